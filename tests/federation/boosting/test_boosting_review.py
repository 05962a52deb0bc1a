"""Attacks on boosted sessions and their corner cases: what leaks, what ends in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from federation.additive.settings import AdditiveSettings
from federation.alignment import InProcessGroup
from federation.boosting import order, owner_label, split_messages
from federation.boosting.acceptance import Acceptance
from federation.boosting.feature_bins import BinLayout, FeatureBins
from federation.boosting.growth import OpenNode
from federation.boosting.model_part import BoostedPart
from federation.boosting.owner_growth import LevelRows, check_totals, groups_of
from federation.boosting.settings import BoostedSettings, Disclosure
from federation.errors import InputError, ProtocolError
from federation.privacy.events import LABEL, RECORD, Exact, RandomisedResponse
from federation.proto.session_pb2 import BinShapes, Envelope, RootTotals
from federation.proto.session_pb2 import Split as SplitMessage
from federation.session.in_process import run_in_process
from federation.session.machine import Machine, Progress, Release, Sent
from federation.session.store import MemoryStore
from federation.vertical import SessionPlan, feature_party_session, label_party_session
from federation.vertical.plan import SplitPlan
from federation.vertical.trainings import Training
from tests.federation.boosting.sessions import (
    ORDER,
    SMALL,
    assert_pooled,
    machines_for,
    parts_of,
    run,
)
from tests.federation.boosting.test_boosting_tampering import in_order, in_sums
from tests.federation.test_vertical_session import (
    PARTNERS,
    Table,
    Tamper,
    changed,
    numeric,
    population,
    tampered,
)

OWNER = BoostedSettings(name="o", disclosure="owner", trees=4, depth=3, label_epsilon=4.0)
LATTICE = 5200  # borrowers whose fit the lattice map serves


# What reaches whom


def session_of(
    tables: Mapping[str, Table],
    trainings: tuple[Training, ...],
    stores: Mapping[str, MemoryStore] | None = None,
    session: str = "s1",
    watch: Callable[[str, object], None] = lambda party, step: None,
    **plan_fields: Any,
) -> dict[str, Any]:
    """One session; `watch` sees every message, release and progress note as it leaves."""
    partners = tuple(name for name in tables if name != "bank")
    plan = SessionPlan(session, "bank", partners, trainings=trainings, **plan_fields)
    machines: dict[str, Machine[Any]] = {}
    for name, table in tables.items():
        store = stores[name] if stores else None
        role: Any = (
            label_party_session(table, plan, InProcessGroup(), "run", store=store)
            if name == "bank"
            else feature_party_session(
                table, name, "bank", session, InProcessGroup(), "t", store=store
            )
        )

        def note(step: object, party: str = name) -> None:
            watch(party, step)

        machines[name] = Machine(
            name,
            session,
            role,
            on_sent=note,
            on_progress=note,
            on_release=lambda spent, party=name: watch(party, Release(spent)),
        )
    return run_in_process(machines)


def test_beyond_the_flipped_labels_no_true_label_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opposite labels whose flips come out the same: the same trees, notes, figures and sums."""
    tables = population(LATTICE, PARTNERS[:1])
    bank = tables["bank"]
    assert bank.label is not None
    cut = np.zeros(LATTICE, dtype=np.uint8)
    cut[np.random.default_rng(2).permutation(LATTICE)[: LATTICE // 5]] = 2
    cut[:50] = 1
    by_name: dict[int, npt.NDArray[np.float64]] = {}
    calls: list[float] = []

    def flipped(labels: npt.NDArray[np.float64], epsilon: float) -> npt.NDArray[np.float64]:
        """What was drawn for the first labels, whatever comes."""
        calls.append(epsilon)
        return by_name.setdefault(len(labels), (np.arange(len(labels)) % 4 == 0).astype(float))

    monkeypatch.setattr(owner_label, "randomised_response", flipped)
    seen: list[list[str]] = []
    results = []
    stores = {name: MemoryStore() for name in tables}  # one alignment: flips go by place
    for number, label in enumerate((bank.label, 1 - bank.label)):
        notes: list[str] = []

        def watch(party: str, step: object, notes: list[str] = notes) -> None:
            if isinstance(step, Progress) and step.stage == "training":
                notes.append(f"{party} {step.fraction} {step.detail}")

        own = tables | {"bank": replace(bank, label=label, split=cut)}
        results.append(session_of(own, (OWNER,), stores, f"s{number}", watch))
        seen.append(notes)
    assert calls == [4.0, 4.0]
    assert seen[0] == seen[1]
    one, other = (parts_of_training(r, "o") for r in results)
    for party in one:
        assert one[party].splits == other[party].splits
        assert one[party].trees == other[party].trees
    fits = [r["bank"].trainings[0].fit for r in results]
    assert fits[0].rounds == fits[1].rounds
    assert fits[0].given == fits[1].given


def parts_of_training(results: Mapping[str, Any], name: str) -> dict[str, BoostedPart]:
    """Every party's part of one training."""
    bank = next(t.part for t in results["bank"].trainings if t.settings.name == name)
    return {"bank": bank} | {p: r.parts[name] for p, r in results.items() if p != "bank"}


@pytest.mark.parametrize(
    ("settings", "label", "record"),
    [
        (SMALL, Exact(), Exact()),
        (ORDER, Exact(), Exact()),
        (replace(ORDER, order_epsilon=3.0), Exact(), RandomisedResponse(6.0)),
        (OWNER, RandomisedResponse(4.0), None),
    ],
    ids=["bins", "order", "perturbed", "owner"],
)
def test_the_ledger_has_it_before_anything_leaves(
    settings: BoostedSettings, label: object, record: object
) -> None:
    """One entry a party: before the first order at the bank, before the bins at the partner."""
    count = LATTICE if settings is OWNER else 150
    steps: dict[str, list[object]] = {"bank": [], "platform": []}

    def watch(party: str, step: object) -> None:
        if isinstance(step, Release):
            steps[party].append((step.spent.unit, step.spent.event))
        if isinstance(step, Sent) and step.kind in {"tree_order", "bin_shapes", "bin_codes"}:
            steps[party].append(step.kind)

    session_of(population(count, PARTNERS[:1]), (settings,), watch=watch)
    assert steps["bank"][0] == (LABEL, label)
    assert set(steps["bank"][1:]) == {"tree_order"}
    if record is None:
        assert steps["platform"] == []
        return
    assert steps["platform"][:2] == [(RECORD, record), "bin_shapes"]
    assert sum(isinstance(step, tuple) for step in steps["platform"]) == 1


def test_a_session_of_many_trainings_is_no_way_around_what_was_accepted() -> None:
    """Codes perturbed twice are averaged; 16 and 15 bins cut a feature into 30."""
    noisy = [
        BoostedSettings(name=f"n{k}", disclosure="order", order_epsilon=2.0, bins=8)
        for k in range(2)
    ]
    acceptance = Acceptance(Disclosure.ORDER, 16, 2.0)
    acceptance.check_all(noisy[:1], "platform")
    with pytest.raises(ProtocolError, match="epsilon of 4 in all, and platform accepts 2 a sess"):
        acceptance.check_all(noisy, "platform")
    halves = [replace(one, order_epsilon=1.0) for one in noisy]
    acceptance.check_all(halves, "platform")
    exact = Acceptance(Disclosure.ORDER, 16)
    sixteen, fifteen, eight = (BoostedSettings(name=f"b{b}", bins=b) for b in (16, 15, 8))
    exact.check_all([sixteen, eight], "platform")
    with pytest.raises(ProtocolError, match="with 15 and 16 bins a feature cut it into 30 togeth"):
        exact.check_all([sixteen, fifteen], "platform")
    exact.check_all([sixteen, replace(OWNER, bins=15)], "platform")
    tables = population(150, PARTNERS[:1])
    plan = SessionPlan("s1", "bank", ("platform",), trainings=(sixteen, fifteen))
    role = label_party_session(tables["bank"], plan, InProcessGroup(), "run")
    theirs = feature_party_session(
        tables["platform"], "platform", "bank", "s1", InProcessGroup(), "t", acceptance=exact
    )
    with pytest.raises(ProtocolError, match="cut it into 30 together"):
        run_in_process(
            {"bank": Machine("bank", "s1", role), "platform": Machine("platform", "s1", theirs)}
        )


@pytest.mark.parametrize("bins", [2, 5, 253])
def test_a_code_is_never_replaced_more_rarely_than_epsilon_asks_for(
    bins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a float makes of e^-100: the lowest draws replace, the highest keep."""
    codes = (np.arange(1000) % bins).astype(np.uint8)
    for word, kept in ((0, False), (2**64 - 1, True)):

        def drawn(count: int, bits: int, word: int = word) -> npt.NDArray[np.uint64]:
            return np.full(count, word >> (64 - bits), dtype=np.uint64)

        monkeypatch.setattr(order, "uniform_residues", drawn)
        for epsilon in (1e-3, 4.0, 100.0):
            found = order.perturbed(codes, bins, epsilon)
            assert found.max() < bins
            assert ((found == codes) == kept).all()


# Messages that no honest party sends


def in_kind(kind: str, change: Callable[[Any], None]) -> Tamper:
    """Change the body of every message of a kind on its way."""

    def tamper(recipient: str, envelope: Envelope) -> Envelope:
        if envelope.WhichOneof("body") == kind:
            change(getattr(envelope, kind))
        return envelope

    return tamper


def crowded(which: str) -> Callable[[Any], None]:
    """A hundred thousand splits, none of which is there."""
    beyond = [SplitMessage(feature=9, left=[0])] * 100_000
    return lambda message: getattr(message, which).splits.extend(beyond)


def shapes(features: int) -> Callable[[Any], None]:
    """Bins of so many features."""
    lists = {"bins": [5] * features, "ordered": [5] * features, "omitted": [0] * features}
    return lambda message: message.CopyFrom(BinShapes(**lists))


def many_features(message: Any) -> None:
    """More than there are, ascending."""
    del message.features[:]
    message.features.extend(range(1_000_000))


HOSTILE: list[tuple[BoostedSettings, Tamper, str]] = [
    (SMALL, in_kind("bin_shapes", shapes(3)), "describes the bins of 3 features, but declared 2"),
    (ORDER, in_kind("bin_shapes", shapes(3)), "describes the bins of 3 features, but declared 2"),
    (SMALL, in_kind("bin_shapes", shapes(100_000)), "of 100000 features, but declared 2"),
    (SMALL, in_kind("bin_shapes", shapes(400_000)), "'bin_shapes' of 12000.. bytes came from pl"),
    (SMALL, in_order("splits", crowded("splits")), "10000. splits were asked for at level 0"),
    (SMALL, in_order("model", crowded("model")), "model has 10000. splits of platform's; 2 trees"),
    (ORDER, in_order("model", crowded("model")), "model has 10000. splits of platform's; 2 trees"),
    (SMALL, in_sums(many_features), r"platform answered for features \[0, 1, 2\] of 2"),
]


@pytest.mark.parametrize(("settings", "tamper", "sentence"), HOSTILE)
def test_many_of_anything_are_refused_before_they_are_read(
    settings: BoostedSettings, tamper: Tamper, sentence: str
) -> None:
    """By their number alone."""
    with pytest.raises(ProtocolError, match=sentence):
        tampered(machines_for(population(110, PARTNERS[:1]), settings), tamper)


def in_rows(change: Callable[[Any], None]) -> Tamper:
    """Change the first rows that a partner sends."""
    seen = [False]

    def tamper(recipient: str, envelope: Envelope) -> Envelope:
        if envelope.WhichOneof("body") == "node_rows" and not seen[0]:
            seen[0] = True
            change(envelope.node_rows)
        return envelope

    return tamper


def another_tree(message: Any) -> None:
    """Of a tree that was not begun."""
    message.tree = 7


def many_rows(message: Any) -> None:
    """More than two features have."""
    message.hint.rows = 5000


def without_hint(message: Any) -> None:
    """An answer alone."""
    message.ClearField("hint")


def of_a_third_vector(message: Any) -> None:
    """More than were asked for."""
    message.answer.vectors = 3


@pytest.mark.parametrize(
    ("tamper", "sentence"),
    [
        (in_rows(another_tree), r"platform sent \d+ rows of tree 7; 152 at most of tree 0"),
        (in_rows(many_rows), "platform sent 5,000 rows of tree 0; 152 at most of tree 0"),
        (in_rows(without_hint), "hint rows 0 to 0 came where row 0 is next"),
        (in_rows(of_a_third_vector), "answer 0 came where answer 0 to the query is next"),
        (changed("sums", values=b"1234"), "the sums of answer 0 holds? 4 bytes"),
        (changed("sums", query_id=5), "sums came for answer 5, which has no open mask"),
        (in_order("query", lambda one: one.ClearField("totals")), "sent units of gradients that"),
        (in_order("query", lambda one: setattr(one, "tree", 4)), "an order 'query' for tree 4 aft"),
        (in_order("query", lambda one: setattr(one, "tree", 0), 1), "for tree 0 after tree 0"),
    ],
)
def test_hostile_messages_where_trees_grow_at_their_owners(tamper: Tamper, sentence: str) -> None:
    """One sentence each."""
    with pytest.raises(ProtocolError, match=sentence):
        tampered(machines_for(population(LATTICE, PARTNERS[:1]), OWNER), tamper)


@pytest.mark.parametrize("unit", [1e300, np.inf, -1.0, 5e9])
def test_units_whose_squares_are_not_finite_are_refused(unit: float) -> None:
    """They would make leaves that are no numbers."""
    told = RootTotals(gradient=1, hessian=1, gradient_unit=unit, hessian_unit=1.0)
    with pytest.raises(ProtocolError, match="not positive numbers up to 1e\\+09"):
        check_totals(told, 100, 31, "bank")


def test_trees_that_a_map_cannot_serve_are_refused_before_they_grow() -> None:
    """A map gives 131,072 answers in its life."""
    BoostedSettings(trees=512, depth=8)
    with pytest.raises(InputError, match=r"^model\.trees is 513 at model\.depth 8: up to 131,328"):
        BoostedSettings(trees=513, depth=8)
    replace(OWNER, trees=1000, depth=8)
    BoostedSettings(trees=1000, depth=8, disclosure="order")


# Corner cases


def test_levels_of_more_nodes_than_a_query_holds() -> None:
    """Over 32 nodes at a level go in several messages."""
    settings = replace(SMALL, bins=40, depth=8, trees=1, min_borrowers=1, min_child_weight=0.0)
    tables = population(LATTICE, PARTNERS[:1])
    kinds: list[str] = []

    def watch(party: str, step: object) -> None:
        if isinstance(step, Sent):
            kinds.append(step.kind)

    results = session_of(tables, (settings,), watch=watch)
    assert_pooled(tables, results)
    assert kinds.count("node_sums") > settings.depth


def test_rows_of_many_nodes_go_in_several_matrices_too() -> None:
    """A feature of many bins in many nodes: groups of nodes, and the sums of all bins."""
    generator, n = np.random.default_rng(4), 2000
    layout = BinLayout((FeatureBins(9, 9), FeatureBins(30, 0)))
    codes = np.stack([generator.integers(0, f.bins, n) for f in layout.features]).astype(np.uint8)
    vectors = generator.integers(-31, 32, (2, n))
    nodes = [
        OpenNode(place, np.sort(part), len(part), tuple(map(float, vectors[:, part].sum(axis=1))))
        for place, part in enumerate(np.array_split(generator.permutation(n), 7))
    ]
    groups = groups_of(nodes, layout, most_rows=64)
    assert [len(group) for group in groups] == [2, 2, 2, 1]
    found = []
    for group in groups:
        rows = LevelRows(group, codes, layout, most_rows=64)
        assert all(matrix.rows <= 64 for matrix in rows.matrices)
        sums = [
            [v[members].sum() for m in rows.matrices for members in m.members()] for v in vectors
        ]
        found += rows.complete(np.array(sums))
    for node, both in zip(nodes, found, strict=True):
        for vector, cells in zip(vectors, both, strict=True):
            inside = [
                np.bincount(codes[f][node.members], vector[node.members], feature.bins)
                for f, feature in enumerate(layout.features)
            ]
            assert np.array_equal(cells, np.concatenate(inside))


def test_split_bits_of_many_borrowers_go_in_several_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No message passes what a frame holds; the trees are the same."""
    monkeypatch.setattr(split_messages, "BITS_BYTES", 30)
    tables = population(200, PARTNERS[:1])
    kinds: list[str] = []

    def watch(party: str, step: object) -> None:
        if isinstance(step, Sent):
            kinds.append(step.kind)

    results = session_of(tables, (replace(SMALL, trees=6, depth=3),), watch=watch)
    assert_pooled(tables, results)
    few = [kind for kind in kinds if kind == "split_bits"]
    splits = results["bank"].trainings[0].fit.given["platform"].splits
    assert len(few) > splits > 1
    assert split_messages.bit_blocks(0, 0) == [(0, 0)]


@pytest.mark.parametrize("settings", [SMALL, ORDER], ids=["bins", "order"])
def test_without_test_or_validation_borrowers(settings: BoostedSettings) -> None:
    """Everybody trains; there are no test scores."""
    tables = population(200, PARTNERS[:1])
    results = run(tables, settings, split=SplitPlan(0.0, 0.0, 1))
    assert results["bank"].trainings[0].test_scores.shape == (0,)
    assert results["bank"].trainings[0].fit.scores.shape == (200,)


def test_exactly_as_many_borrowers_as_the_lattice_map_needs() -> None:
    """4,096 of the fit."""
    tables = population(5120, PARTNERS[:1])
    results = run(tables, replace(SMALL, bins=12, trees=1, min_borrowers=None))
    assert results["bank"].trainings[0].fit.scores.shape == (4096,)
    assert_pooled(tables, results)


def test_absent_borrowers_of_two_partners() -> None:
    """They have a bin of their own at each."""
    tables = population(5600, PARTNERS[:2], known=0.7)
    settings = replace(SMALL, bins=8, min_borrowers=None, trees=3, depth=4)
    assert_pooled(tables, run(tables, settings, alignment="label-left"), left=True)


def constant(table: Table, values: npt.NDArray[np.float64]) -> Table:
    """The same borrowers with one feature."""
    return replace(table, features=(numeric("one", values),))


def test_a_partner_that_says_nothing_of_default() -> None:
    """None of its splits is chosen; without a feature of two bins it says so."""
    tables = population(300, PARTNERS[:2])
    own = tables["receivables"]
    count = len(own.identifiers)
    noise = np.random.default_rng(1).integers(0, 2, count).astype(float)
    tables["receivables"] = constant(own, noise)
    results = run(tables, replace(SMALL, depth=1, trees=1))
    part = results["receivables"].parts["b"]
    assert part.splits == ()
    assert results["bank"].trainings[0].part.split_counts["receivables"] == 0
    tables["receivables"] = constant(own, np.zeros(count))
    for settings in (SMALL, ORDER):
        with pytest.raises(InputError, match="no feature of this party has two bins"):
            run(tables, settings)


def test_a_single_tree_grown_at_its_owner() -> None:
    """The bank has none; constant features in deeper nodes have no rows at all."""
    tables = population(LATTICE, PARTNERS[:1])
    own = tables["platform"]
    tables["platform"] = constant(own, (np.nan_to_num(own.features[0].values) > 0).astype(float))
    results = run(tables, replace(OWNER, trees=1))
    bank, platform = parts_of(results).values()
    assert bank.trees == ()
    assert [len(tree.nodes) for tree in platform.trees] == [3]
    assert BoostedPart.from_json(json.loads(bank.to_json()), "here") == bank


def test_a_bank_without_features_takes_its_turn() -> None:
    """Where trees grow at their owners too: a leaf."""
    tables = population(LATTICE, PARTNERS[:2])
    tables["bank"] = replace(tables["bank"], features=())
    part = parts_of(run(tables, OWNER))["bank"]
    assert [len(tree.nodes) for tree in part.trees] == [1]


def test_a_training_repeats_on_a_kept_alignment_too() -> None:
    """The same tables and seed: the same trees, aligned anew or not, beside other trainings."""
    tables = population(400, PARTNERS[:2])
    again = replace(ORDER, name="again")
    additive = AdditiveSettings(bins=3, max_rounds=1, name="a")
    stores = {name: MemoryStore() for name in tables}
    kinds: list[list[str]] = []
    results = []
    for session in ("s1", "s2"):
        own: list[str] = []

        def watch(party: str, step: object, own: list[str] = own) -> None:
            if isinstance(step, Sent):
                own.append(step.kind)

        trainings = (replace(SMALL, seed=7), additive, again)
        results.append(session_of(tables, trainings, stores, session, watch))
        kinds.append(own)
    results.append(session_of(tables, (replace(SMALL, seed=7),)))
    assert "blinded_ids" in kinds[0]
    assert "blinded_ids" not in kinds[1]
    first, *others = (parts_of_training(one, "b") for one in results)
    for other in others:
        assert {p: part.splits for p, part in first.items()} == {
            p: part.splits for p, part in other.items()
        }
        for one, same in zip(first["bank"].trees, other["bank"].trees, strict=True):
            for node, right in zip(one.nodes, same.nodes, strict=True):
                assert node.value == pytest.approx(right.value, rel=1e-9)
    assert parts_of_training(results[0], "again")["bank"].trees


def test_beside_a_split_training() -> None:
    """Three kinds in one session, each with a model of its own."""
    split = pytest.importorskip("federation.split.settings").SplitSettings(
        name="net", exchanges=2, joint_exchanges=1, batch_size=64
    )
    tables = population(200, PARTNERS[:1])
    results = session_of(tables, (split, SMALL, AdditiveSettings(bins=3, max_rounds=1, name="a")))
    assert set(results["platform"].parts) >= {"net", "b", "a"}
    assert [t.settings.name for t in results["bank"].trainings] == ["net", "b", "a"]
