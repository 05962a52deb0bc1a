"""What a boosted run gave away: found at its bank, compared with the truth where that lies here."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from rich.console import Console

from clients.disclosure_listing import read_disclosures
from clients.example import write_example
from clients.federation_file import FederationConfig, read_federation
from clients.vault import load_binned, load_transcript, transcript_path
from federation.errors import InputError
from federation.report import render
from simulations.console import print_table
from simulations.run_leakage import SHORT_ROUNDS, RunLeak, leaks_of, short_leaks
from simulations.run_record import (
    ALONE,
    RunFigures,
    compare,
    metrics_json,
    probabilities,
    read_scores,
)
from simulations.run_report import report_input
from simulations.true_codes import agree, codes_path, keep_true_codes, read_true_codes
from tests.clients.example_runs import run_all

SMALL = {"kind": "boosted", "trees": 4, "depth": 2, "bins": 6, "min_borrowers": 100}
TRAININGS = [
    {"name": "exact", "max_rounds": 2},
    SMALL | {"name": "trees", "disclosure": "bins", "column_sample": 1.0},
    SMALL | {"name": "codes", "disclosure": "order"},
]


class Done(NamedTuple):
    """A run with its short attacks."""

    config: FederationConfig
    folder: Path
    summaries: dict[str, dict[str, Any]]
    leaks: tuple[RunLeak, ...]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """An additive and two boosted trainings of the example's parties."""
    file = write_example(tmp_path_factory.mktemp("leak") / "federation")
    manifest = file.parent / "platform" / "manifest.toml"
    manifest.write_text(manifest.read_text() + '\n[boosting]\ndisclosure = "order"\nbins = 16\n')
    config = read_federation(file)
    summaries = run_all(config, "run-1", TRAININGS)
    folder = config.output / "run-1"
    leaks = short_leaks(config, folder, summaries["bank"]["trainings"])
    record = {"trainings": {t["name"]: t for t in summaries["bank"]["trainings"]}}
    (folder / "metrics.json").write_text(json.dumps(record))
    return Done(config, folder, summaries, leaks)


def figures_of(done: Done) -> RunFigures:
    """As a run's end makes them, without baselines."""
    scores = read_scores(done.folder, "bank")
    fitted = read_scores(done.folder, "bank", "fit-scores.parquet")
    names = [str(training["name"]) for training in TRAININGS]
    models = {name: probabilities(scores[name]) for name in names}
    models[ALONE] = probabilities(scores["alone"])
    return RunFigures(
        run="run-1",
        created=datetime(2026, 7, 1, 12, 30, tzinfo=UTC),
        config=done.config,
        simulated=True,
        data_note="Simulated firms.",
        summaries=done.summaries,
        comparisons=compare(scores["label"], models),
        probabilities=models,
        labels=scores["label"],
        fit_probabilities={name: probabilities(fitted[name]) for name in names},
        baselines=(),
        disclosures=read_disclosures(done.folder),
        bytes_sent={},
        seconds={},
        transport="in one process",
        fingerprints={},
        leaks=done.leaks,
    )


@pytest.fixture
def elsewhere(done: Done, tmp_path: Path) -> Path:
    """The same run's folder as the bank alone has it."""
    shutil.copytree(done.folder / "bank", tmp_path / "run" / "bank")
    return tmp_path / "run"


def test_the_short_attack_is_measured_against_the_partners_true_bins(done: Done) -> None:
    """One leak, of the training whose sums went to the bank; counts as the bank counted them."""
    (leak,) = done.leaks
    assert (leak.training, leak.partner, leak.rounds) == ("trees", "platform", SHORT_ROUNDS)
    counted = done.summaries["bank"]["trainings"][1]["given"]["platform"]
    assert leak.answers == counted["answers"]
    assert leak.sums == counted["sums"]
    assert (leak.splits, leak.split_bits) == (counted["splits"], counted["split_bits"])
    assert leak.measured
    assert leak.result.found is not None
    assert leak.result.fullest is not None
    assert leak.result.found > leak.result.fullest + 0.05
    assert 0.05 < leak.share <= 1
    assert "one round of the attack" in leak.how
    assert "against the true bins" in leak.how


def test_true_codes_lie_in_the_partners_folder_only_and_fit_the_transcript(done: Done) -> None:
    """Private to their owner; the bank has none."""
    path = codes_path(done.folder, "trees", "platform")
    assert path.parent == done.folder / "platform"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not list((done.folder / "bank").glob("fit-codes*"))
    transcript = load_transcript(done.folder / "bank", "trees", "platform")
    codes = read_true_codes(done.folder, "trees", "platform", transcript)
    assert codes is not None
    assert agree(transcript, codes)
    assert not agree(transcript, codes[:, ::-1])
    assert not agree(transcript, np.roll(codes, 1, axis=1))
    assert not agree(transcript, codes[1:])


def test_codes_that_do_not_fit_are_refused_and_none_are_made_up(done: Done, tmp_path: Path) -> None:
    """A damaged file, another training's codes; and no kept alignment that fits."""
    transcript = load_transcript(done.folder / "bank", "trees", "platform")
    path = codes_path(tmp_path, "trees", "platform")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no zip")
    with pytest.raises(InputError, match="is no file of bin codes"):
        read_true_codes(tmp_path, "trees", "platform", transcript)
    np.savez(path, codes=np.zeros((len(transcript.features), transcript.borrowers), np.uint8))
    with pytest.raises(InputError, match="other bin codes"):
        read_true_codes(tmp_path, "trees", "platform", transcript)
    changed = replace(transcript.splits[0], bits=np.roll(transcript.splits[0].bits, 1))
    foreign = replace(transcript, splits=(changed, *transcript.splits[1:]))
    assert keep_true_codes(done.config, done.folder, "trees", "platform", foreign) is None


def test_the_whole_attack_finds_no_less_and_names_features_by_public_labels(done: Done) -> None:
    """More rounds, the same transcript; features without a public label go by number."""
    (leak,) = leaks_of(done.folder, None, 30)
    assert leak.measured
    assert leak.share > done.leaks[0].share - 0.02
    names = [one.name for one in leak.result.features]
    assert "share returned" in names
    assert any(name.startswith("feature ") and name.endswith(" of platform") for name in names)


def test_report_and_terminal_show_what_each_model_gave_away(done: Done) -> None:
    """Every training's row, the share that the attack rebuilt, and the courses of the trees."""
    figures = figures_of(done)
    page = re.sub(r"<[^>]+>", " ", render(report_input(figures, done.folder)))
    section = page[page.index("What each model gave away") :]
    for shown in ("Federated, trees", f"{done.leaks[0].share:.0%}", "sent as they are", "100%"):
        assert shown in section, shown
    assert "4 of 4 trees are in the model. Splits by party: bank" in page
    record = json.loads(metrics_json(figures))
    assert record["leakage"][0]["entropy_resolved"] == done.leaks[0].share
    assert record["test"]["federated_trees"]["auc"] > 0.5
    assert any("rebuilt" in one for one in record["learned"]["bank"]["could_reconstruct"])
    console = Console(width=120, record=True, file=io.StringIO())
    print_table(figures, console)
    shown = console.export_text()
    assert "What each model gave away" in shown
    assert "federated, codes" in shown


def test_a_boosted_model_that_leads_counts_trees_and_weighs_splits(done: Done) -> None:
    """A run of boosted trainings only."""
    bank = dict(done.summaries["bank"])
    bank["trainings"] = bank["trainings"][1:]
    figures = replace(figures_of(done), summaries=dict(done.summaries) | {"bank": bank})
    assert figures.main_training == "trees"
    report = report_input(figures, done.folder)
    assert report.step == "tree"
    assert [point.round for point in report.rounds] == [1, 2, 3, 4]
    assert report.shapes == ()
    moved = {one.party: one.features for one in report.importance}
    assert set(moved) == {"bank", "platform"}
    assert all(feature.importance > 0 for feature in moved["bank"])
    part = load_binned(done.folder / "platform" / "model-trees.json")
    private = {b.feature for b, label in zip(part.binnings, part.labels, strict=True) if not label}
    assert not private & {feature.feature for feature in moved["platform"]}


def test_some_features_can_be_rebuilt_alone(done: Done) -> None:
    """As they would be among all; one that is not there is refused with those that are."""
    (leak,) = leaks_of(done.folder, "trees", 2, labels=("share returned",))
    assert [one.name for one in leak.result.features] == ["share returned"]
    (every,) = leaks_of(done.folder, "trees", 2)
    among = next(one for one in every.result.features if one.name == "share returned")
    assert leak.result.features[0].found == among.found
    with pytest.raises(InputError, match="--feature 'turnover': platform has no feature .*share"):
        leaks_of(done.folder, "trees", 2, labels=("turnover",))


def test_without_the_truth_the_attack_says_how_sure_it_is(elsewhere: Path) -> None:
    """The bank alone: an estimate, numbers for names, and it says so."""
    for run in (elsewhere, elsewhere / "bank"):
        (leak,) = leaks_of(run, "trees", 2)
        assert not leak.measured
        assert leak.share == leak.result.estimated_resolved
        assert "own estimate" in leak.how
        assert leak.result.features[0].name == "feature 1 of platform"


def test_what_has_no_transcript_is_refused_in_one_sentence(done: Done, elsewhere: Path) -> None:
    """No run, no such training, not boosted, codes that were sent, a transcript that is gone."""
    with pytest.raises(InputError, match="there is no such run"):
        leaks_of(done.folder / "nowhere", None, 1)
    with pytest.raises(InputError, match="no training 'nix'; it has codes, exact, trees"):
        leaks_of(done.folder, "nix", 1)
    with pytest.raises(InputError, match="'exact' is not a boosted one"):
        leaks_of(done.folder, "exact", 1)
    with pytest.raises(InputError, match="sent their bin codes"):
        leaks_of(done.folder, "codes", 1)
    transcript_path(elsewhere / "bank", "trees", "platform").unlink()
    with pytest.raises(InputError, match="larger than 256 MB"):
        leaks_of(elsewhere, "trees", 1)
    (elsewhere / "bank" / "model-trees.json").unlink()
    (elsewhere / "bank" / "model-codes.json").unlink()
    with pytest.raises(InputError, match="no training of this run is a boosted one"):
        leaks_of(elsewhere, None, 1)


@pytest.mark.slow
def test_the_command_prints_a_table_or_one_json_object(done: Done) -> None:
    """As a person and as a program read it."""
    command = [sys.executable, "-m", "veilscore", "leakage", str(done.folder), "--rounds", "1"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "'trees': platform's bins rebuilt (against the true bins)" in shown
    assert "split bits" in shown.replace("\n", " ")
    told = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout
    record = json.loads(told)
    assert record["run"] == "run-1"
    (leak,) = record["leakage"]
    assert leak["measured"] is True
    assert 0 < leak["entropy_resolved"] <= 1
    refused = subprocess.run([*command[:-1], "151"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "--rounds 151" in refused.stderr
