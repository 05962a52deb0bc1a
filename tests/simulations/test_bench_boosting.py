"""`veilscore bench boosting` reports figures that belong together."""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import veilscore
from federation.boosting.settings import BoostedSettings
from federation.errors import InputError
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from simulations.bench_boosting import Population, Setting, bench_boosting, boosted_settings
from simulations.bench_boosting_plain import Pooled, xgboost_model

PROMISED = {
    "seconds_per_tree",
    "setup_seconds",
    "alignment_seconds",
    "bytes_per_tree",
    "setup_bytes",
    "peak_rss_mb",
    "cpu_seconds",
    "auc",
    "auc_plain",
    "auc_same_model",
    "same_model_seconds_per_tree",
    "xgboost_seconds_per_tree",
    "ratio_over_xgboost",
    "answers",
    "split_bits",
    "trees",
}
SMALL = Population(5200, 2, 3)
FEW = BoostedSettings(trees=3, depth=3, bins=8, column_sample=0.6)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for temporary files, empty again at the end, with no process left."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert not list(place.iterdir())
    assert not multiprocessing.active_children()


def test_every_party_in_a_process_of_its_own() -> None:
    """Over the stream: the very same model as in plaintext, columns sampled alike."""
    figures = bench_boosting(SMALL, FEW)
    assert figures.keys() >= PROMISED
    assert figures["transport"] == "stream"
    assert figures["auc"] == pytest.approx(figures["auc_same_model"], abs=1e-12)
    assert figures["auc"] == pytest.approx(figures["auc_plain"], abs=0.05)
    assert 0.6 < figures["auc"] < 0.95
    assert figures["trees"] == figures["grown"] == 3
    # a root and each smaller child of two splits and four: a gradient and a hessian of each
    assert 6 <= figures["answers"] <= 3 * 2 * (1 + 1 + 2)
    assert figures["split_bits"] % 4160 == 0
    # every vector has 4 bytes a borrower or more
    assert figures["bytes_per_tree"] * 3 > figures["answers"] * 4160 * 4
    assert figures["setup_bytes"] > 3 * 6 * 2048
    assert set(figures["cpu_seconds"]) == {"bank", "platform"}
    assert figures["ratio_over_xgboost"] == pytest.approx(
        figures["seconds_per_tree"] / figures["xgboost_seconds_per_tree"], abs=1e-3
    )


def test_in_memory_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON object on stdout; codes that are sent make as good a model."""
    arguments = ["--rows", "4000", "--label-features", "2", "--party-features", "2"]
    arguments += ["--bins", "8", "--depth", "2", "--trees", "2", "--disclosure", "order"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys,
            "argv",
            ["veilscore", "bench", "boosting", *arguments, "--transport", "memory", "--json"],
        )
        with pytest.raises(SystemExit) as ended:
            veilscore.main()
    assert not ended.value.code
    figures = json.loads(capsys.readouterr().out)
    assert figures.keys() >= PROMISED
    assert (figures["rows"], figures["bins"], figures["transport"]) == (4000, 8, "memory")
    assert figures["auc"] == pytest.approx(figures["auc_same_model"], abs=1e-12)
    assert (figures["answers"], figures["split_bits"]) == (0, 0)


def test_a_kept_folder_goes_on_with_its_alignment(tmp_path: Path) -> None:
    """A second run aligns nothing, and trains the same model; another population is refused."""
    setting = Setting("memory", keep=tmp_path / "kept")
    population = Population(1200, 2, 2)
    settings = BoostedSettings(trees=2, depth=2, bins=4)
    first, second = (bench_boosting(population, settings, setting) for _ in range(2))
    assert second["alignment_seconds"] < first["alignment_seconds"] / 5
    assert second["auc"] == first["auc"]
    with pytest.raises(InputError, match="holds the population"):
        bench_boosting(Population(1300, 2, 2), settings, setting)


def test_xgboost_stops_early_on_the_validation_borrowers() -> None:
    """Fewer trees than asked for where nothing is left to learn; categories are taken."""
    generator = np.random.default_rng(5)
    rows = 3000
    value, letter = generator.normal(size=rows), generator.integers(0, 3, rows)
    label = (generator.random(rows) < 0.2 + 0.4 * (letter == 1)).astype(np.uint8)
    words = np.array(["a", "b", "c"], dtype=object)[letter]
    words[:100] = None
    known = np.ones(rows, dtype=np.bool_)
    columns = [
        FeatureColumn(FeatureSpec("x", FeatureKind.NUMERIC), value, known),
        FeatureColumn(FeatureSpec("y", FeatureKind.CATEGORICAL), words, known),
    ]
    parts = (np.arange(rows) % 3).astype(np.uint8)
    pool = Pooled(label, [columns[:1], columns[1:]], parts)
    settings = BoostedSettings(trees=200, depth=3, rate=0.5, early_stopping=5, min_borrowers=20)
    figures = xgboost_model(pool, settings)
    assert 1 <= figures["xgboost_trees"] < 100
    assert figures["auc_plain"] > 0.65


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"disclosure": "everything"}, "--disclosure is 'everything'"),
        ({"depth": 9}, "depth is 9"),
        ({"row_sample": 0.0}, "row_sample is 0.0"),
    ],
)
def test_settings_that_cannot_be_are_refused(values: dict[str, object], sentence: str) -> None:
    """Each by its name."""
    with pytest.raises(InputError, match=sentence):
        boosted_settings(values)


def test_what_cannot_be_measured_is_refused() -> None:
    """Before anything is made."""
    with pytest.raises(InputError, match="data is 'german'"):
        Population(data="german")
    with pytest.raises(InputError, match="at least 500 rows and one feature a party"):
        Population(rows=100)
    with pytest.raises(InputError, match="transport is 'pigeon'"):
        bench_boosting(Population(600, 1, 1), FEW, Setting("pigeon"))
