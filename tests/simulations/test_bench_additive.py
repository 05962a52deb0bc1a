"""`veilscore bench additive` reports figures that belong together."""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import veilscore
from federation.errors import InputError
from simulations.bench_additive import bench

PROMISED = {
    "seconds",
    "setup_seconds",
    "rounds",
    "bytes",
    "peak_rss_mb",
    "auc",
    "auc_plain",
    "logistic_seconds",
}


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for temporary files, empty again at the end, with no process left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert not list(tmp_path.iterdir())
    assert not multiprocessing.active_children()


def test_every_party_in_a_process_of_its_own() -> None:
    """Over the stream: all promised figures, and the plaintext model's AUC."""
    figures = bench(6000, 3, 5, 16, "stream", "simulated")
    assert figures.keys() >= PROMISED
    assert figures["transport"] == "stream"
    assert figures["auc"] == pytest.approx(figures["auc_plain"], abs=0.003)
    assert 0.6 < figures["auc"] < 0.95
    assert 1 <= figures["rounds"] <= 10
    assert figures["seconds"] == pytest.approx(
        figures["setup_seconds"] + figures["training_seconds"], abs=1e-3
    )
    assert figures["bytes"] > 100_000
    assert figures["alignment_bytes"] > 3 * 6000 * 32
    assert figures["peak_rss_mb"] > 50


def test_in_memory_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON object on stdout."""
    arguments = ["--rows", "4000", "--label-features", "2", "--party-features", "3", "--bins", "8"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys,
            "argv",
            ["veilscore", "bench", "additive", *arguments, "--transport", "memory", "--json"],
        )
        with pytest.raises(SystemExit) as ended:
            veilscore.main()
    assert not ended.value.code
    figures = json.loads(capsys.readouterr().out)
    assert figures.keys() >= PROMISED
    assert (figures["rows"], figures["bins"], figures["transport"]) == (4000, 8, "memory")
    assert (figures["label_features"], figures["party_features"]) == (2, 3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"transport": "pigeon"}, "transport may be 'memory' or 'stream'"),
        ({"data": "german"}, "data 'simulated' or 'uci'"),
        ({"rows": 100}, "at least 500 rows and one feature a party are needed"),
        ({"party_features": 0}, "at least 500 rows and one feature a party are needed"),
    ],
)
def test_what_cannot_be_measured_is_refused(changes: dict[str, object], sentence: str) -> None:
    """Before anything is made."""
    good = {"rows": 600, "label_features": 1, "party_features": 1, "bins": 8}
    with pytest.raises(InputError, match=sentence):
        bench(**good | {"transport": "memory", "data": "simulated"} | changes)  # type: ignore[arg-type]
