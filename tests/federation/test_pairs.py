"""Pairs of a party's features: their grids hold the floors, and sessions with them do what says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from federation.additive.label_noise import LabelNoise
from federation.additive.model_part import ModelPart
from federation.additive.pair_grid import PairGrid, fit_grid
from federation.additive.settings import AdditiveSettings
from federation.encrypted_scoring import from_part
from federation.errors import InputError, ProtocolError
from federation.privacy.events import Exact, GaussianRelease
from federation.privacy.ledger import Expenditure
from federation.proto.session_pb2 import Envelope
from federation.report.shapes import shapes_of
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from federation.scoring.points import to_points
from federation.scoring.reason_table import ReasonTable, points_lost
from federation.scoring.rows import RowScorer
from federation.vertical import SessionPlan
from federation.vertical.borrowers import BinnedRows, bin_floor, most_exact_sums
from federation.vertical.exact_sums import main_sums, pair_sums
from federation.vertical.paired_rows import PairedRows, pair_key, pair_queries
from federation.vertical.trainings import bin_key, total_features
from tests.federation.test_kept_sessions import Federation
from tests.federation.test_vertical_session import Table, machines_for, numeric, run, tampered

Vector = npt.NDArray[np.float64]
PAIRS = AdditiveSettings(bins=8, pairs=2, pair_bins=4, pair_ridge=2.0)
FLOOR = 20


def crossed(count: int, partners: tuple[str, ...] = ("platform",), seed: int = 3) -> Any:
    """A bank, and partners whose two features matter most together."""
    generator = np.random.default_rng(seed)
    names = tuple(f"B{number:05d}" for number in range(count))
    limit = generator.normal(size=count)
    odds = -1.0 + 0.4 * limit
    tables = {}
    for partner in partners:
        a, b, c = generator.normal(size=(3, count))
        odds = odds + 1.5 * np.sign(a) * np.sign(b) + 0.4 * a + 0.4 * b
        order = generator.permutation(count)
        features = tuple(numeric(n, v[order]) for n, v in zip("abc", (a, b, c), strict=True))
        tables[partner] = Table(tuple(names[row] for row in order), features)
    label = (generator.random(count) < expit(odds)).astype(np.uint8)
    bank = Table(names, (numeric("limit", limit), numeric("age", generator.normal(size=count))))
    return {"bank": replace(bank, label=label)} | tables


@st.composite
def fine_tables(draw: st.DrawFn) -> tuple[Any, tuple[int, int]]:
    """Borrowers in every bin of two features, alike or not, with empty and rare places."""
    shape = draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    means = generator.choice([0.0, 0.3, 4.0, 60.0], size=shape, p=[0.3, 0.1, 0.2, 0.4])
    ordered = draw(st.tuples(st.integers(0, shape[0]), st.integers(0, shape[1])))
    return generator.poisson(means), ordered


@settings(max_examples=300, deadline=None)
@given(fine_tables(), st.integers(2, 6))
def test_a_grid_keeps_the_floor_whatever_the_bins(
    made: tuple[Any, tuple[int, int]], most: int
) -> None:
    """In cells, in rows and columns less any of their cells, and beside single bins."""
    fine, ordered = made
    grid = fit_grid((0, 1), fine, ordered, most, FLOOR)
    if grid is None:
        return
    rows, columns = grid.groups
    counts = np.zeros(grid.counts.shape, dtype=np.int64)
    np.add.at(counts, (rows[:, None], columns[None, :]), fine)
    np.testing.assert_array_equal(counts, grid.counts)
    assert min(counts.shape) >= 2
    assert counts[counts > 0].min() >= FLOOR
    assert sorted(set(grid.cells[counts > 0])) == list(range(grid.bins))
    for groups, in_order in zip(grid.groups, ordered, strict=True):
        assert (np.diff(groups[:in_order]) >= 0).all()
    for line in chain(counts, counts.T):
        for size in range(len(line)):
            for some in combinations(line, size):
                assert line.sum() - sum(some) == 0 or line.sum() - sum(some) >= FLOOR
    for table, groups in ((fine, rows), (fine.T, columns)):
        other = columns if table is fine else rows
        for bin_, own in enumerate(table):
            inside = np.bincount(other, weights=own)
            cell = (counts if table is fine else counts.T)[groups[bin_]]
            covered = inside[(inside == cell) & (cell > 0)].sum()
            if covered:
                assert own.sum() == covered or own.sum() - covered >= FLOOR


def test_a_bin_that_a_cell_nearly_fills_makes_no_pair() -> None:
    """Bin 0 less the one cell that lies within it would be three borrowers."""
    fine = np.array([[500, 3, 0], [0, 400, 97], [0, 90, 410]])
    fine[1:, 0] = 0
    assert fit_grid((0, 1), fine, (3, 3), 3, FLOOR) is None
    fine[0, 1] = 30
    assert fit_grid((0, 1), fine, (3, 3), 3, FLOOR) is not None


def test_small_cells_go_with_their_whole_row_or_column() -> None:
    """Joined alone, a row's sum less its other cells would bring one of them back."""
    fine = np.full((4, 4), 50)
    fine[1, 2] = 4
    grid = fit_grid((0, 1), fine, (4, 4), 4, FLOOR)
    assert grid is not None
    assert sorted(grid.counts.shape) == [3, 4]
    assert grid.counts.min() >= FLOOR


def test_the_penalty_spares_what_is_straight_along_both_axes() -> None:
    """A plane, and a product of two straight lines, but no bend."""
    grid = fit_grid((0, 1), np.full((6, 5), 40), (6, 5), 6, FLOOR)
    assert grid is not None
    penalty = grid.term("a × b", 3.0).penalty
    i, j = np.mgrid[:6, :5].astype(float)
    for straight in (1 + 0 * i, i, j, i * j):
        assert straight.ravel() @ penalty @ straight.ravel() == pytest.approx(0, abs=1e-6)
    bent = (i**2).ravel()
    assert bent @ penalty @ bent == pytest.approx(5 * 4 * 4 * 6**3)
    assert np.linalg.eigvalsh(penalty).min() > -1e-6


def test_places_without_borrowers_go_with_the_nearest() -> None:
    """A borrower who turns up there later gets a neighbour's log-odds."""
    fine = np.full((3, 3), 60)
    fine[0, 2] = 0
    grid = fit_grid((0, 1), fine, (3, 3), 3, FLOOR)
    assert grid is not None
    assert grid.bins == 8
    assert grid.cells[0, 2] in (grid.cells[0, 1], grid.cells[1, 2])


@pytest.fixture(scope="module")
def session() -> tuple[dict[str, Table], dict[str, Any], list[Expenditure]]:
    """Two partners, one of them with a single feature, and so without a pair."""
    tables = crossed(5200, ("platform", "telecom"))
    tables["telecom"] = replace(tables["telecom"], features=tables["telecom"].features[:1])
    spent: list[Expenditure] = []
    return tables, run(tables, [PAIRS], on_release=spent.append), spent


def by_party(results: dict[str, Any], name: str = "exact") -> dict[str, ModelPart]:
    """Every party's part of the main model or of a variant."""
    trained = results["bank"].trainings[0]
    bank = next(v for v in trained.variants if v.name == name)
    parts = {p: results[p].parts[name] for p in results if p != "bank" and p in bank.parties}
    return {"bank": bank.part} | parts


def test_pairs_find_what_no_feature_says_alone(
    session: tuple[dict[str, Table], dict[str, Any], list[Expenditure]],
) -> None:
    """Each in its party's part; the parts together score as the session and its fallbacks did."""
    tables, results, spent = session
    bank = results["bank"]
    trained = bank.trainings[0]
    parts = by_party(results)
    assert {p: len(part.pairs) for p, part in parts.items()} == {
        "bank": 1,
        "platform": 2,
        "telecom": 0,
    }
    assert parts["platform"].pairs[0].name == "a × b"
    assert [one.event for one in spent] == [Exact()] * len(spent)
    assert "bins and pairs" in spent[0].what
    labels = bank.test_labels
    assert [r.number for r in trained.fit.rounds] == list(range(1, len(trained.fit.rounds) + 1))
    assert results["platform"].fits["exact"].rounds == len(trained.fit.rounds)
    test = [tables["bank"].identifiers[row] for row in bank.test_rows]
    for variant in trained.variants:
        total = np.zeros(len(test))
        points = np.zeros(len(test), dtype=np.int64)
        for party, part in by_party(results, variant.name).items():
            own = part.partial_scores(tables[party].of(test))
            total, points = total + own, points + to_points(own)
        if variant.name == "exact":
            np.testing.assert_allclose(total, trained.test_scores, atol=1e-5)
            mains = sum(
                replace(part, pairs=()).partial_scores(tables[party].of(test))
                for party, part in parts.items()
            )
            assert roc_auc_score(labels, total) > roc_auc_score(labels, mains) + 0.05
        assert variant.auc == pytest.approx(roc_auc_score(labels, points), abs=2e-3)


def test_the_joint_fit_stands_where_no_step_helps(
    session: tuple[dict[str, Table], dict[str, Any], list[Expenditure]],
) -> None:
    """The gradient in every cell of the partner's pairs, penalty included, is next to nothing."""
    tables, results, _ = session
    bank = results["bank"]
    ids = tables["bank"].identifiers
    test = {ids[row] for row in bank.test_rows}
    fit = [identifier for identifier in ids if identifier not in test]
    place = {identifier: row for row, identifier in enumerate(ids)}
    assert tables["bank"].label is not None
    labels = tables["bank"].label[[place[identifier] for identifier in fit]]
    parts = by_party(results)
    scores = sum(part.partial_scores(tables[p].of(fit)) for p, part in parts.items())
    residual = labels - expit(scores)
    part, columns = parts["platform"], tables["platform"].of(fit)
    codes = {
        b.feature: b.assign(c) for b in part.binnings for c in columns if c.spec.name == b.feature
    }
    pair = part.pairs[0]
    cells = pair.cells(*(codes[name] for name in pair.features))
    sums = np.bincount(cells, weights=residual, minlength=len(pair.cell_weights))
    last, table = bank.trainings[0].fit.rounds[-1], np.array(pair.weights)
    rows, columns_ = (np.diff(np.eye(size), 2, axis=0) for size in table.shape)
    bent = table.shape[0] ** 3 * rows.T @ rows @ table
    bent += table.shape[1] ** 3 * table @ columns_.T @ columns_
    pull = PAIRS.pair_ridge * (last.smoothness * bent + last.ridge * table)
    assert np.abs(pull).max() > 20
    assert np.abs(sums - pull.ravel()).max() < 0.05 * np.abs(pull).max()


def test_one_row_a_batch_and_the_reasons_agree(
    session: tuple[dict[str, Table], dict[str, Any], list[Expenditure]],
) -> None:
    """To the bit; a pair is named 'A × B', and only where both features have a public label."""
    tables, results, _ = session
    part = by_party(results)["platform"]
    columns = list(tables["platform"].features)
    columns[0].values[:40] = np.nan
    scorer = RowScorer(part, [column.spec for column in columns])
    scores = part.partial_scores(columns)
    table = ReasonTable.of(part, columns, np.arange(300))
    labelled = replace(part, labels=("Orders", "Returns", None))
    public = ReasonTable.of(labelled, columns, np.arange(300))
    assert table.labels == ()
    assert public.labels == ("Orders", "Returns", "Orders × Returns")
    named = RowScorer(replace(part, labels=("Orders", "Returns", "Calls")), scorer_specs(columns))
    told = set()
    for row in range(300):
        values = [None if np.isnan(c.values[row]) else float(c.values[row]) for c in columns]
        assert scorer.log_odds(values) == scores[row]
        against = dict(named.reasons(values, 9))
        told |= set(against)
        for label, points in public.against(row, 9):
            assert against[label] == points
    assert "Orders × Returns" in told
    assert points_lost([0.0, 1.0], [0.5, 0.5])[1] > 0


def scorer_specs(columns: list[FeatureColumn]) -> list[FeatureSpec]:
    """What the columns are."""
    return [column.spec for column in columns]


def test_a_part_with_pairs_survives_its_file_and_is_drawn(
    session: tuple[dict[str, Table], dict[str, Any], list[Expenditure]],
) -> None:
    """Bit by bit; older software refuses it by its format; the shapes name every cell."""
    _, results, _ = session
    part = by_party(results)["platform"]
    content = json.loads(part.to_json())
    assert content["format"].endswith("part 2")
    assert ModelPart.from_json(content, "f") == part
    shapes = {shape.feature: shape for shape in part.shape_functions()}
    cells = shapes["a × b"]
    assert len(cells.bin_labels) == len(cells.log_odds) == len(set(cells.bin_labels))
    assert sum(cells.shares) == pytest.approx(1)
    drawn = {shape.feature: shape for shape in shapes_of(part)}
    assert drawn["a × b"].others == tuple(zip(cells.bin_labels, cells.log_odds, strict=True))
    with pytest.raises(InputError, match="pairs = 0"):
        from_part(part)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda pair: pair | {"features": ["a", "z"]}, "does not fit its features' bins"),
        (lambda pair: pair | {"groups": [pair["groups"][0][1:], pair["groups"][1]]}, "not fit"),
        (lambda pair: pair | {"weights": pair["weights"][1:]}, "does not fit"),
        (lambda pair: pair | {"weights": [[float("nan")], *pair["weights"][1:]]}, "not fit"),
        (lambda pair: pair | {"shares": []}, "does not fit"),
        (lambda pair: pair | {"groups": None}, "is damaged"),
        (lambda pair: None, "is damaged"),
    ],
)
def test_damaged_pairs_are_refused(
    session: tuple[dict[str, Table], dict[str, Any], list[Expenditure]],
    change: Callable[[Any], Any],
    sentence: str,
) -> None:
    """With the file's name."""
    content = json.loads(by_party(session[1])["platform"].to_json())
    content["pairs"] = [change(content["pairs"][0])]
    with pytest.raises(InputError, match=f"model.json: .*{sentence}"):
        ModelPart.from_json(content, "model.json")
    del content["pairs"]
    with pytest.raises(InputError, match="its format must be"):
        ModelPart.from_json(content, "model.json")


def test_pairs_share_the_cap_on_exact_sums() -> None:
    """Bins and cells of every exact training together stay within a twentieth of the borrowers."""
    other = replace(PAIRS, name="other", class_weight="balanced")
    noisy = replace(PAIRS, name="noisy", label_epsilon=2.0)
    plan = SessionPlan("s", "bank", ("p",), trainings=(PAIRS, other, noisy))
    for borrowers in (400, 4800, 24_000):
        mains = main_sums(plan, bin_key(PAIRS), borrowers)
        each = [pair_sums(plan, training, borrowers) for training in (PAIRS, other)]
        assert mains is not None
        assert mains + sum(one or 0 for one in each) <= most_exact_sums(borrowers)
        assert pair_sums(plan, noisy, borrowers) is None
    assert pair_sums(plan, PAIRS, 24_000) == 2 * 15
    with pytest.raises(InputError, match="the same pair_bins"):
        SessionPlan("s", "bank", ("p",), trainings=(PAIRS, replace(other, pair_bins=5)))
    few = PairedRows.of(binned := binned_rows(), np.ones(total(binned)), PAIRS, most_sums=3)
    assert few.grids == ()


def binned_rows() -> BinnedRows:
    """Three features of 800 borrowers."""
    columns = list(crossed(1000)["platform"].features)
    return BinnedRows.of(columns, np.where(np.arange(1000) < 800, 0, 2).astype(np.uint8), 8)


def total(binned: BinnedRows) -> int:
    """How many bins there are."""
    return sum(binning.bins for binning in binned.binnings)


def test_pairs_are_of_the_features_that_matter() -> None:
    """By the product of importances; a feature that adds nothing is in no pair."""
    binned = binned_rows()
    sizes = [binning.bins for binning in binned.binnings]
    bent = [np.linspace(-size, size, bins) for size, bins in zip((1, 0, 3), sizes, strict=True)]
    rows = PairedRows.of(binned, np.concatenate(bent), replace(PAIRS, pairs=3))
    assert [grid.places for grid in rows.grids] == [(0, 2)]
    assert rows.fit.shape == (1, 800)
    assert np.bincount(rows.fit[0]).min() >= bin_floor(800)


def offer_more(field: str, value: int) -> Callable[[str, Envelope], Envelope]:
    """The second map's offer, with one number changed."""
    seen = []

    def tamper(recipient: str, envelope: Envelope) -> Envelope:
        if recipient == "bank" and envelope.WhichOneof("body") == "map_offer":
            seen.append(envelope)
            if len(seen) == 2:
                setattr(envelope.map_offer, field, value)
        return envelope

    return tamper


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [("features", 3, "offers a map of 3 pairs, but the plan allows 2"), ("rows_sent", 500, "sums")],
)
def test_the_label_party_refuses_more_pairs_than_agreed(
    field: str, value: int, sentence: str
) -> None:
    """In number, and in sums."""
    machines = machines_for(crossed(600), [replace(PAIRS, max_rounds=1)])
    with pytest.raises(ProtocolError, match=sentence):
        tampered(machines, offer_more(field, value))


def test_label_noise_counts_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """One release for features and pairs of all parties; each cell's noise is drawn once."""
    noisy = replace(PAIRS, name="noisy", bins=4, label_epsilon=2.0, ridge=30.0, noisy_rounds=2)
    declared = {"bank": 2, "platform": 3, "telecom": 3}
    assert total_features(noisy, declared, "bank") == 8 + 3 * 2
    drawn: list[int] = []
    draw = LabelNoise.draw

    def counted(self: LabelNoise, cells: int) -> Any:
        drawn.append(cells)
        return draw(self, cells)

    monkeypatch.setattr(LabelNoise, "draw", counted)
    spent: list[Expenditure] = []
    results = run(crossed(600, ("platform", "telecom")), [noisy], on_release=spent.append)
    expected = LabelNoise.for_settings(noisy, 14)
    assert expected is not None
    assert [one.event for one in spent] == [GaussianRelease(expected.rho)]
    assert len(drawn) == 6  # own and two partners', of bins, then of cells; none for fallbacks
    trained = results["bank"].trainings[0]
    assert len(trained.fit.rounds) == 4
    assert trained.fit.noise == expected


def test_a_flipped_label_moves_one_cell_of_each_pair() -> None:
    """The sensitivity that the noise is calibrated to."""
    rows = PairedRows.of(binned := binned_rows(), np.arange(float(total(binned))), PAIRS)
    for borrower in range(0, 800, 97):
        flipped = np.zeros(800)
        flipped[borrower] = 127
        for grid, cells in zip(rows.grids, rows.fit, strict=True):
            moved = np.bincount(cells, weights=flipped, minlength=grid.bins)
            assert np.count_nonzero(moved) == 1
    assert len(rows.grids) == 2


def test_a_second_session_goes_on_with_the_maps_of_the_pairs() -> None:
    """No hint is made again where the same pairs are chosen; fewer pairs take a new map."""
    federation = Federation(200)
    federation.tables = crossed(5200, ("one",))
    first = federation.run("s1", trainings=(PAIRS,))
    assert federation.count("hint_block") >= 2
    second = federation.run("s2", trainings=(PAIRS,))
    assert federation.count("hint_block") == 0
    np.testing.assert_allclose(
        first["bank"].trainings[0].test_scores, second["bank"].trainings[0].test_scores, atol=1e-4
    )
    federation.run("s3", trainings=(replace(PAIRS, pairs=1),))
    assert federation.count("hint_block") >= 1
    plan = SessionPlan("s", "bank", ("one", "two"), trainings=(PAIRS,))
    assert pair_queries(plan.fits, PAIRS, "one") == 2 * PAIRS.max_rounds
    assert pair_key(PAIRS) != pair_key(replace(PAIRS, pairs=1)) != bin_key(PAIRS)


@pytest.mark.parametrize(
    ("name", "value"), [("pairs", -1), ("pairs", 1.5), ("pair_bins", 1), ("pair_ridge", 0)]
)
def test_settings_out_of_range_are_refused(name: str, value: object) -> None:
    """By their name."""
    with pytest.raises(InputError, match=f"model.{name} is"):
        AdditiveSettings(**{name: value})  # type: ignore[arg-type]


def test_a_category_pairs_with_a_number() -> None:
    """Categories keep their names in the table's cells; the rarest share a row."""
    generator = np.random.default_rng(4)
    regions = np.array(list("nnnnssseew"), dtype=object)[generator.integers(0, 10, 1000)]
    known = np.ones(1000, dtype=np.bool_)
    region = FeatureColumn(FeatureSpec("region", FeatureKind.CATEGORICAL), regions, known)
    columns = [numeric("a", generator.normal(size=1000)), region]
    parts = np.where(np.arange(1000) < 800, 0, 2).astype(np.uint8)
    binned = BinnedRows.of(columns, parts, 8)
    rows = PairedRows.of(binned, np.arange(float(total(binned))), replace(PAIRS, pair_bins=3))
    table = rows.tables(np.arange(float(rows.grids[0].bins)))[0]
    first, second = binned.binnings
    labels = table.cell_labels(first, second)
    assert any(label.startswith("≤ ") and label.endswith("; n") for label in labels)
    assert any(" or " in label for label in labels)
    assert isinstance(rows.grids[0], PairGrid)
    part = binned.model_part("p", "s", "t", np.zeros(total(binned)), 0.5, (table,))
    codes = rows.grids[0].codes(
        np.array([b.assign(c) for b, c in zip(binned.binnings, columns, strict=True)])
    )
    np.testing.assert_allclose(part.partial_scores(columns), 0.5 + codes)
