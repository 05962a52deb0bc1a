"""Boosted trainings at the parties: from their manifests and tables to what each of them keeps."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from clients.answering.model_parts import read_run
from clients.disclosure_listing import read_disclosures
from clients.example import PLATFORM_MANIFEST, write_example
from clients.federation_file import FederationConfig, read_federation
from clients.pins import identity_of
from clients.prediction import PredictionJob, PredictionRun
from clients.sources import load_table
from clients.vault import (
    Vault,
    load_binned,
    load_part,
    load_transcript,
    save_part,
    transcript_path,
)
from federation.boosting.importance import feature_importances, split_importances
from federation.boosting.model_part import BoostedPart
from federation.errors import InputError
from federation.metrics import auc
from federation.privacy.events import RECORD, Exact, RandomisedResponse
from federation.report.boosted_importance import render_boosted
from federation.session.in_process import run_in_process
from tests.clients.example_runs import files_below, run_all

BINS = {"kind": "boosted", "trees": 5, "column_sample": 1.0}
ORDER = {"kind": "boosted", "name": "order", "trees": 3, "disclosure": "order", "bins": 8}
NOISY = ORDER | {"name": "noisy", "order_epsilon": 3.0}
ACCEPTING = '\n[boosting]\ndisclosure = "order"\nbins = 16\n'
COMMENTED = '# [boosting]\n# disclosure = "bins"\n# bins = 16\n'


def accepting(folder: Path, table: str = ACCEPTING) -> FederationConfig:
    """The example federation, whose platform accepts what the table says."""
    path = write_example(folder)
    manifest = folder / "platform" / "manifest.toml"
    manifest.write_text(manifest.read_text() + table)
    return read_federation(path)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> FederationConfig:
    """A federation in which boosted trainings are accepted."""
    return accepting(tmp_path_factory.mktemp("boosted") / "federation")


@pytest.fixture(scope="module")
def summaries(config: FederationConfig) -> dict[str, dict[str, Any]]:
    """What both parties told of one run with three trainings."""
    return run_all(config, "run-1", [BINS, ORDER, NOISY])


def part_of(config: FederationConfig, party: str, training: str = "boosted") -> BoostedPart:
    """A party's part."""
    part = load_binned(config.output / "run-1" / party / f"model-{training}.json")
    assert isinstance(part, BoostedPart)
    return part


def test_the_examples_table_is_what_it_says() -> None:
    """Without its comment signs it is a table that a manifest may have."""
    assert COMMENTED in PLATFORM_MANIFEST


def test_every_party_keeps_its_own(
    config: FederationConfig, summaries: dict[str, dict[str, Any]]
) -> None:
    """Trees and the transcript at the bank, its own splits at the platform; all of it private."""
    folder = config.output / "run-1"
    trainings = ("boosted", "noisy", "order")
    assert files_below(folder) == {
        *(f"{party}/model-{name}.json" for party in ("bank", "platform") for name in trainings),
        "bank/transcript-boosted-platform.npz",
        "bank/test-scores.parquet",
        "bank/fit-scores.parquet",
        "bank/disclosures.jsonl",
        "platform/disclosures.jsonl",
    }
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    for name in trainings:
        bank, platform = part_of(config, "bank", name), part_of(config, "platform", name)
        assert (bank.session, bank.training) == (platform.session, platform.training)
        assert bank.split_counts == {"platform": len(platform.splits)}
        assert bank.trees
        assert not platform.trees
        assert platform.intercept == 0
        assert platform.order_epsilon == (3.0 if name == "noisy" else None)
        own = {binning.feature for binning in platform.binnings}
        assert not own & {binning.feature for binning in bank.binnings}


def test_the_record_says_what_was_given(
    config: FederationConfig, summaries: dict[str, dict[str, Any]]
) -> None:
    """Counts of the partner's answers, bits or codes; JSON without a row."""
    bank = summaries["bank"]
    assert json.loads(json.dumps(bank, allow_nan=False)) == bank
    boosted, order, noisy = bank["trainings"]
    assert [t["kind"] for t in (boosted, order, noisy)] == ["boosted"] * 3
    in_fit = bank["counts"]["training"] + bank["counts"]["validation"]
    given = boosted["given"]["platform"]
    transcript = load_transcript(config.output / "run-1" / "bank", "boosted", "platform")
    assert transcript.borrowers == in_fit
    assert given["answers"] == transcript.queries > 0
    assert given["splits"] == len(transcript.splits) > 0
    assert given["split_bits"] == given["splits"] * in_fit
    assert given["codes"] == 0
    features = len(part_of(config, "platform", "order").binnings)
    for training in (order, noisy):
        assert training["given"]["platform"]["codes"] == features * bank["aligned"]
        assert training["given"]["platform"]["answers"] == 0
    assert len(boosted["rounds"]) == boosted["best_round"] == 5
    assert sum(boosted["rounds"][0]["splits"].values()) > 0


def test_the_models_are_worth_their_disclosure(
    config: FederationConfig, summaries: dict[str, dict[str, Any]]
) -> None:
    """Better than the bank alone, but for the one whose codes are mostly noise."""
    table = pq.read_table(config.output / "run-1" / "bank" / "test-scores.parquet")
    label = table.column("label").to_numpy()
    found = {name: auc(label, table.column(name).to_numpy()) for name in table.column_names[2:]}
    assert found["boosted"] > found["alone"]
    assert found["order"] > found["alone"] > 0.6
    assert found["noisy"] < max(found["order"], found["boosted"])


def test_both_ledgers_have_what_was_given_away(
    config: FederationConfig, summaries: dict[str, dict[str, Any]]
) -> None:
    """The bank's of labels; the platform's of records, ε times the features that were sent."""
    assert len(summaries["bank"]["ledger"]["releases"]) == 3
    vault = Vault(config.path.parent / "platform" / "vault")
    spent = vault.expenditures(RECORD, "platform:*")
    features = len(part_of(config, "platform", "noisy").binnings)
    training = [one for one in spent if "borrowers" not in one.what]
    assert [one.event for one in training] == [
        Exact(),
        Exact(),
        RandomisedResponse(3.0 * features),
    ]
    assert all(one.run == "run-1" for one in training)
    assert "each perturbed with ε = 3, for the training 'noisy', to bank" in training[2].what
    assert len(vault.ledger()) == len(spent)


def test_nothing_but_the_agreed_kinds_left_the_platform(
    config: FederationConfig, summaries: dict[str, dict[str, Any]]
) -> None:
    """Sums and bits of one training, codes of the others."""
    sent = read_disclosures(config.output / "run-1")["platform"]
    kinds = {str(entry.body["kind"]) for entry in sent}
    assert {"node_sums", "split_bits", "bin_codes", "bin_shapes"} < kinds
    assert not kinds & {"partial_scores", "embeddings"}


def job(config: FederationConfig, party: str, run: str, training: str, mode: str) -> PredictionJob:
    """What a party is asked to predict."""
    return PredictionJob(
        run=run,
        session=f"{run}-session",
        manifest=config.manifest_of(party),
        identity=identity_of(config, party),
        label_party="bank",
        feature_parties=("platform",),
        alignment=mode,  # type: ignore[arg-type]
        model=config.output / "run-1" / party / f"model-{training}.json",
        output=config.output / run / party,
    )


def predict(config: FederationConfig, training: str, mode: str) -> dict[str, float]:
    """Log-odds by id of one prediction."""
    run = f"predict-{training}-{mode}"
    runs = {p: PredictionRun(job(config, p, run, training, mode)) for p in ("bank", "platform")}
    run_in_process({party: one.machine for party, one in runs.items()})
    for one in runs.values():
        one.finish()
    with (config.output / run / "bank" / "scores.csv").open(newline="") as file:
        return {row["id"]: float(row["log_odds"]) for row in csv.DictReader(file)}


def plainly(config: FederationConfig, training: str, mode: str) -> dict[str, float]:
    """Both parts applied to both tables in one place, tree by tree."""
    now = datetime.now(UTC)
    tables = {p: load_table(config.manifest_of(p), now=now) for p in ("bank", "platform")}
    places = {name: row for row, name in enumerate(tables["platform"].identifiers)}
    names = tables["bank"].identifiers
    found = np.array([places.get(name, 2**32 - 1) for name in names], dtype=np.uint32)
    rows = np.arange(len(names), dtype=np.uint32)
    if mode == "inner":
        rows = rows[found != 2**32 - 1]
    bank = part_of(config, "bank", training)
    bits = {
        "bank": bank.bits(tables["bank"].rows(rows)),
        "platform": part_of(config, "platform", training).bits(
            tables["platform"].rows(found[rows])
        ),
    }
    scores = []
    for column in range(len(rows)):
        score = bank.intercept
        for tree in bank.trees:
            node = tree.nodes[0]
            while not node.is_leaf:
                goes_left = bits[node.party][node.split, column]
                node = tree.nodes[node.left if goes_left else node.right]
            score += node.value
        scores.append(score)
    return dict(zip([names[row] for row in rows.tolist()], scores, strict=True))


@pytest.mark.parametrize(("training", "mode"), [("boosted", "label-left"), ("order", "inner")])
def test_a_prediction_gives_the_whole_models_scores(
    config: FederationConfig, summaries: dict[str, Any], training: str, mode: str
) -> None:
    """Every borrower's own path through every tree; one that the platform lacks is 'absent'."""
    found, expected = predict(config, training, mode), plainly(config, training, mode)
    assert found.keys() == expected.keys()
    assert max(abs(found[name] - expected[name]) for name in found) < 2e-6
    sent = read_disclosures(config.output / f"predict-{training}-{mode}")["platform"]
    assert [str(e.body["kind"]) for e in sent].count("split_bits") == 1


def test_perturbed_codes_are_perturbed_in_predictions_too(
    config: FederationConfig, summaries: dict[str, Any]
) -> None:
    """Other scores than from true codes, and ε of the features in use in the platform's ledger."""
    found, exact = predict(config, "noisy", "inner"), plainly(config, "noisy", "inner")
    assert found.keys() == exact.keys()
    moved = np.mean([abs(found[name] - exact[name]) > 2e-6 for name in found])
    assert 0.02 < moved < 0.9
    vault = Vault(config.path.parent / "platform" / "vault")
    last = vault.expenditures(RECORD, "platform:*")[-1]
    used = {split.feature for split in part_of(config, "platform", "noisy").splits}
    assert last.event == RandomisedResponse(3.0 * len(used))
    assert last.run == "predict-noisy-inner"


def test_parts_are_told_apart_by_their_format(
    config: FederationConfig, summaries: dict[str, Any], tmp_path: Path
) -> None:
    """The same part back; whoever needs weights of bins hears that there are none."""
    path = config.output / "run-1" / "bank" / "model-boosted.json"
    save_part(tmp_path / "model-boosted.json", part_of(config, "bank"))
    assert load_binned(tmp_path / "model-boosted.json") == part_of(config, "bank")
    with pytest.raises(InputError, match=r"model-boosted.json: is the part of a boosted model"):
        load_part(path)
    with pytest.raises(InputError, match="model-boosted.json is not served: the label party's"):
        read_run(config.output / "run-1", "platform", ("platform",))


def test_a_transcript_that_is_missing_or_damaged_is_refused(
    config: FederationConfig, summaries: dict[str, Any], tmp_path: Path
) -> None:
    """With its path."""
    with pytest.raises(InputError, match=r"transcript-order-platform.npz: there is no transcript"):
        load_transcript(config.output / "run-1" / "bank", "order", "platform")
    content = transcript_path(config.output / "run-1" / "bank", "boosted", "platform").read_bytes()
    transcript_path(tmp_path, "boosted", "platform").write_bytes(content[:-40])
    with pytest.raises(InputError, match=r"transcript-boosted-platform.npz: is not a transcript"):
        load_transcript(tmp_path, "boosted", "platform")


def bank_label(part: BoostedPart, feature: str) -> str:
    """What a page calls a feature."""
    place = [binning.feature for binning in part.binnings].index(feature)
    return part.labels[place] or feature


def test_importance_is_known_where_the_trees_are(
    config: FederationConfig, summaries: dict[str, Any]
) -> None:
    """A page at the bank without a name of the platform's features; none at the platform."""
    bank, platform = part_of(config, "bank"), part_of(config, "platform")
    page = render_boosted(bank)
    assert f"all {len(platform.splits)} splits of platform" in page
    asked = {bank.binnings[split.feature].feature for split in bank.splits}
    assert asked
    assert all(f">{bank_label(bank, name)}<" in page for name in asked)
    assert not any(binning.feature in page for binning in platform.binnings)
    of_splits = split_importances(bank)
    # By hand: every inner node moves each of its borrowers by the difference of two values.
    by_hand = 0.0
    for tree in bank.trees:
        for node in tree.nodes:
            if not node.is_leaf:
                below = (tree.nodes[node.left], tree.nodes[node.right])
                assert sum(b.cover for b in below) == pytest.approx(node.cover)
                moves = sum(b.cover * abs(b.value - node.value) for b in below)
                by_hand += moves / tree.nodes[0].cover
    assert sum(float(values.sum()) for values in of_splits.values()) == pytest.approx(by_hand)
    of_the_platform = feature_importances(platform, of_splits["platform"])
    assert [value for _, value in of_the_platform] == sorted(
        (value for _, value in of_the_platform), reverse=True
    )
    assert sum(v for _, v in of_the_platform) == pytest.approx(of_splits["platform"].sum())
    with pytest.raises(InputError, match="is known to the label party only"):
        render_boosted(platform)
