"""A second session on unchanged ids: no alignment, no hint, the same model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from federation.additive.settings import AdditiveSettings
from federation.alignment import AlignmentMode, InProcessGroup
from federation.alignment.kept import KeptAlignment, ids_digest
from federation.errors import ProtocolError
from federation.linear_maps import kept, lattice_feature, lattice_label
from federation.session.in_process import run_in_process
from federation.session.machine import Machine, Sent
from federation.session.store import MemoryStore
from federation.session.wire import decode
from federation.vertical import SessionPlan, SplitPlan, feature_party_session, label_party_session
from tests.federation.test_vertical_session import Table, population

SETTINGS = AdditiveSettings(bins=8)
QUICK = AdditiveSettings(bins=3, max_rounds=1)  # where a session is about its alignment
FEW = 300


class Federation:
    """Parties with their vaults, over several sessions."""

    def __init__(self, count: int, partners: tuple[str, ...] = ("one",), known: float = 1.0):
        self.tables = population(count, partners, known)
        self.stores = {name: MemoryStore() for name in self.tables}
        self.sent: dict[str, list[str]] = {}

    def run(self, session: str, stop_at: str = "", **plan_fields: Any) -> dict[str, Any]:
        """One session; `sent` holds the kinds of messages of each party afterwards.

        It breaks off at the first message of the kind `stop_at`.
        """
        partners = tuple(name for name in self.tables if name != "bank")
        few = len(self.tables["bank"].identifiers) <= FEW
        values: dict[str, Any] = {"trainings": (QUICK if few else SETTINGS,)} | plan_fields
        plan = SessionPlan(session, "bank", partners, **values)
        machines: dict[str, Machine[Any]] = {}
        self.sent = {name: [] for name in self.tables}
        for name, table in self.tables.items():
            store, group = self.stores[name], InProcessGroup()
            role: Any = (
                label_party_session(table, plan, group, "run", store=store)
                if name == "bank"
                else feature_party_session(table, name, "bank", session, group, "t", store=store)
            )

            def note(sent: Sent, kinds: list[str] = self.sent[name]) -> None:
                if sent.kind == stop_at:
                    raise RuntimeError("the session broke off")
                kinds.append(sent.kind)

            machines[name] = Machine(name, session, role, on_sent=note)
        return run_in_process(machines)

    def count(self, kind: str) -> int:
        """Messages of a kind in the last session, of all parties."""
        return sum(kinds.count(kind) for kinds in self.sent.values())


@pytest.mark.parametrize(("mode", "known"), [("inner", 0.9), ("label-left", 0.8)])
def test_a_second_session_needs_no_alignment(mode: str, known: float) -> None:
    federation = Federation(FEW, ("one", "two"), known)
    first = federation.run("s1", alignment=AlignmentMode(mode))
    assert federation.count("blinded_ids") > 0
    second = federation.run("s2", alignment=AlignmentMode(mode))
    assert federation.count("blinded_ids") == federation.count("reblinded_ids") == 0
    assert second["bank"].shared == first["bank"].shared
    assert second["bank"].partner_ids == first["bank"].partner_ids
    assert second["bank"].counts == first["bank"].counts
    assert (second["bank"].test_rows == first["bank"].test_rows).all()
    scores = [run["bank"].trainings[0].test_scores for run in (first, second)]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)
    assert second["one"].present == first["one"].present


def test_a_second_session_on_the_same_bins_needs_no_hint() -> None:
    federation = Federation(5400, ("one", "two"))
    first = federation.run("s1")
    assert federation.count("hint_block") >= 2
    second = federation.run("s2")
    assert federation.count("hint_block") == federation.count("blinded_ids") == 0
    third = federation.run("s3")  # put back after each
    assert federation.count("hint_block") == 0
    scores = [run["bank"].trainings[0].test_scores for run in (first, second, third)]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)
    np.testing.assert_allclose(scores[0], scores[2], atol=1e-6)


def other_values(table: Table) -> Table:
    """The table with the first feature's values in another order."""
    first, *rest = table.features
    return replace(table, features=(replace(first, values=first.values[::-1].copy()), *rest))


def test_changed_bins_noise_or_split_take_a_new_hint() -> None:
    federation = Federation(5400)
    federation.run("s1")
    federation.run("s2", split=SplitPlan(0.2, 0.2, 7))
    assert federation.count("hint_block") > 0
    federation.run("s3", trainings=(replace(SETTINGS, label_epsilon=2.0),))
    assert federation.count("hint_block") > 0
    federation.run("s4", trainings=(replace(SETTINGS, label_epsilon=2.0),))
    assert federation.count("hint_block") == 0
    federation.tables["one"] = other_values(federation.tables["one"])
    federation.run("s5", trainings=(replace(SETTINGS, label_epsilon=2.0),))
    assert federation.count("blinded_ids") == 0
    assert federation.count("hint_block") > 0


@pytest.mark.parametrize("forgets", ["bank", "one"])
def test_a_map_that_one_side_has_lost_is_made_anew(forgets: str) -> None:
    federation = Federation(5400)
    federation.run("s1")
    store = federation.stores[forgets]
    for name in store.names("maps"):
        store.take("maps", name)
    result = federation.run("s2")
    assert federation.count("blinded_ids") == 0
    assert federation.count("hint_block") > 0
    assert len(result["bank"].trainings[0].fit.rounds) > 1


def test_a_map_whose_session_broke_off_is_made_anew() -> None:
    federation = Federation(5400)
    federation.run("s1")
    with pytest.raises(RuntimeError, match="broke off"):
        federation.run("s2", stop_at="partial_scores")
    federation.run("s3")
    assert federation.count("hint_block") > 0


def without_last(table: Table) -> Table:
    """The table after a borrower has gone."""
    features = tuple(
        replace(c, values=c.values[:-1], present=c.present[:-1]) for c in table.features
    )
    label = None if table.label is None else table.label[:-1]
    return replace(table, identifiers=table.identifiers[:-1], features=features, label=label)


@pytest.mark.parametrize("changed", ["bank", "one"])
def test_other_ids_at_either_side_are_aligned_anew(changed: str) -> None:
    federation = Federation(FEW)
    federation.run("s1")
    federation.tables[changed] = without_last(federation.tables[changed])
    federation.run("s2")
    assert federation.count("blinded_ids") > 0
    federation.run("s3")
    assert federation.count("blinded_ids") == 0


def test_other_modes_or_parties_are_aligned_anew() -> None:
    federation = Federation(FEW, ("one", "two"))
    federation.run("s1")
    federation.run("s2", alignment=AlignmentMode.LABEL_LEFT)
    assert federation.count("blinded_ids") > 0
    del federation.tables["two"]
    federation.run("s3")
    assert federation.count("blinded_ids") > 0


def test_a_party_that_has_forgotten_is_aligned_anew() -> None:
    federation = Federation(FEW)
    federation.run("s1")
    federation.stores["one"] = MemoryStore()
    federation.run("s2")
    assert federation.count("blinded_ids") > 0


def test_a_map_with_too_few_answers_left_for_the_plan_is_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a session of many trainings would come to its end in the middle."""
    for module in (kept, lattice_feature, lattice_label):
        monkeypatch.setattr(module, "MOST_ANSWERS", 250)
    federation = Federation(5400)
    federation.run("s1")
    long = tuple(replace(SETTINGS, name=f"long-{n}", max_rounds=100) for n in (1, 2, 3))
    federation.run("s2", trainings=long[:2])
    assert federation.count("hint_block") == 0  # about 240 left, 200 may be asked for
    federation.run("s3", trainings=long)
    assert federation.count("hint_block") > 0
    federation.run("s4")
    assert federation.count("hint_block") == 0


def test_a_plan_on_an_alignment_that_was_not_offered_is_refused() -> None:
    federation = Federation(FEW)
    federation.run("s1")
    role = feature_party_session(
        federation.tables["one"], "one", "bank", "s2", InProcessGroup(), "t", store=MemoryStore()
    )
    plan = SessionPlan("s2", "bank", ("one",), trainings=(SETTINGS,))
    bank_role = label_party_session(
        federation.tables["bank"], plan, InProcessGroup(), "run", store=federation.stores["bank"]
    )
    machines: dict[str, Machine[Any]] = {
        "bank": Machine("bank", "s2", bank_role),
        "one": Machine("one", "s2", role),
    }
    assert not list(machines["bank"].start())
    ((_, hello),) = list(machines["one"].start())
    plan_frame = next(machines["bank"].receive(hello))[1]
    envelope = decode(plan_frame)
    envelope.plan.kept_alignment = "s1"
    with pytest.raises(ProtocolError, match="a session that this party has not offered"):
        list(machines["one"].receive(envelope.SerializeToString()))


def test_a_kept_alignment_reads_back_and_garbage_does_not() -> None:
    kept = KeptAlignment(
        "s1", "bank", AlignmentMode.INNER, ids_digest(["a"]), np.arange(3, dtype=np.uint32), 5
    )
    back = KeptAlignment.from_bytes(kept.to_bytes())
    assert back is not None
    assert (back.rows == kept.rows).all()
    assert (back.session, back.mode, back.label_party_ids) == ("s1", AlignmentMode.INNER, 5)
    for damaged in (b"\xff" * 9, kept.to_bytes()[:-9], b""):
        assert KeptAlignment.from_bytes(damaged) is None


def test_the_digest_tells_lists_of_ids_apart() -> None:
    lists = [["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"], ["ab", "c", ""], []]
    assert len({ids_digest(ids) for ids in lists}) == len(lists)
