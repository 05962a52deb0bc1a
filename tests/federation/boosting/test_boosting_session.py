"""Whole boosted sessions in process: the trees are those of the pooled bins."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from federation.boosting.acceptance import Acceptance
from federation.boosting.settings import BoostedSettings, Disclosure
from federation.errors import InputError, ProtocolError
from federation.session.machine import Sent
from tests.federation.boosting.sessions import (
    ORDER,
    SMALL,
    assert_pooled,
    machines_for,
    parts_of,
    run,
    with_category,
)
from tests.federation.test_vertical_session import PARTNERS, population


@pytest.mark.parametrize("settings", [SMALL, ORDER], ids=["bins", "order"])
@pytest.mark.parametrize(
    ("partners", "alignment", "known"),
    [(1, "inner", 0.95), (1, "label-left", 0.7), (2, "inner", 0.95), (2, "label-left", 0.8)],
)
def test_the_trees_are_those_of_the_pooled_bins(
    settings: BoostedSettings, partners: int, alignment: str, known: float
) -> None:
    """With missing, absent and categorical bins; few borrowers, over elgamal."""
    tables = with_category(population(300, PARTNERS[:partners], known=known))
    results = run(tables, settings, alignment=alignment)
    plain = assert_pooled(tables, results, alignment == "label-left")
    parts = parts_of(results)
    assert any(not binning.ordered_bins for binning in parts["platform"].binnings)
    if alignment == "label-left":
        assert all(b.absent >= b.ordered_bins for b in parts["platform"].binnings)
    # whoever scores from the parts and the tables gets what the session got
    bank = results["bank"]
    test = [tables["bank"].identifiers[row] for row in bank.test_rows]
    bits = {party: part.bits(tables[party].of(test)) for party, part in parts.items()}
    again = parts["bank"].intercept + parts["bank"].forest().scores(bits)
    np.testing.assert_allclose(again, bank.trainings[0].test_scores, atol=1e-12)
    assert bank.trainings[0].part_digests == {p: part.digest for p, part in parts.items()}
    assert len(plain.rounds) == 2


def test_over_the_lattice_map_too() -> None:
    """From 4,096 borrowers of the fit on."""
    tables = with_category(population(5300, PARTNERS[:1]))
    settings = replace(SMALL, trees=4, depth=4, bins=12, min_borrowers=None)
    results = run(tables, settings)
    assert_pooled(tables, results)
    bank = results["bank"]
    assert roc_auc_score(bank.test_labels, bank.trainings[0].test_scores) > 0.65


def test_early_stopping_classes_and_samples_change_nothing_about_it() -> None:
    """Which trees are kept is the same, and so is who is drawn."""
    tables = population(700, PARTNERS[:1])
    settings = replace(
        ORDER,
        trees=12,
        depth=3,
        rate=0.9,
        early_stopping=2,
        class_weight="balanced",
        row_sample=0.5,
    )
    results = run(tables, settings)
    plain = assert_pooled(tables, results)
    fit = results["bank"].trainings[0].fit
    assert fit.best_round == plain.best_round < len(fit.rounds) == len(plain.rounds)


@pytest.mark.parametrize("settings", [SMALL, ORDER], ids=["bins", "order"])
def test_a_partner_draws_features_for_each_tree(settings: BoostedSettings) -> None:
    """One of three a tree: the same trees, and both sides count alike what was given."""
    tables = with_category(population(300, PARTNERS[:1]))
    results = run(tables, replace(settings, trees=4, column_sample=0.34))
    assert_pooled(tables, results)
    fit, theirs = results["bank"].trainings[0].fit, results["platform"].fits["b"]
    if settings is ORDER:
        return
    given = fit.given["platform"]
    assert (given.answers, given.sums) == (theirs.answers, theirs.sums)
    assert given.splits == theirs.asked_splits >= len(theirs.splits)
    assert given.split_bits == given.splits * (300 - len(results["bank"].test_rows))
    transcript = fit.transcripts["platform"]
    assert transcript.queries == given.answers
    assert all(len(batch.features) == 1 for batch in transcript.asked)
    assert len({batch.features for batch in transcript.asked}) > 1
    assert len(transcript.splits) == given.splits


def test_the_order_of_delivery_between_parties_changes_nothing() -> None:
    """Messages of each pair in order, pairs at random: the same trees."""
    tables = population(200, PARTNERS[:2])
    machines, shuffle = machines_for(tables), random.Random(3)
    queues: dict[tuple[str, str], deque[bytes]] = {}

    def post(sender: str, frames: Iterator[tuple[str, bytes]]) -> None:
        for recipient, frame in frames:
            queues.setdefault((sender, recipient), deque()).append(frame)

    for name in shuffle.sample(sorted(machines), len(machines)):
        post(name, machines[name].start())
    while any(queues.values()):
        pair = shuffle.choice([pair for pair, queue in queues.items() if queue])
        post(pair[1], machines[pair[1]].receive(queues[pair].popleft()))
    assert_pooled(tables, {name: machine.result for name, machine in machines.items()})


def test_a_bank_without_features_of_its_own_can_train() -> None:
    """All splits are the partner's."""
    tables = population(200, PARTNERS[:1])
    tables["bank"] = replace(tables["bank"], features=())
    results = run(tables)
    part = results["bank"].trainings[0].part
    assert part.splits == part.binnings == ()
    assert {node.party for tree in part.trees for node in tree.nodes} == {"", "platform"}


def test_what_a_partner_did_not_accept_ends_the_session() -> None:
    """Before anything of its features leaves; and a model that can't be grown says why."""
    tables = population(200, PARTNERS[:1])
    sent: list[Sent] = []
    with pytest.raises(ProtocolError, match="asks for disclosure = 'order' .* platform accepts"):
        run(tables, ORDER, acceptance=Acceptance(Disclosure.BINS), on_sent=sent.append)
    assert not {"bin_shapes", "bin_codes"} & {one.kind for one in sent}
    with pytest.raises(InputError, match="training 'b': no split of 160 borrowers reaches"):
        run(tables, replace(SMALL, min_borrowers=400))


def test_perturbed_codes_make_a_model_that_is_worse_but_one() -> None:
    """The noise costs accuracy; the parts say under which ε they answer."""
    tables = population(6000, PARTNERS[:1])
    exact = run(tables, replace(ORDER, trees=6))
    noisy = run(tables, replace(ORDER, trees=6, order_epsilon=0.5))
    aucs = [
        roc_auc_score(r["bank"].test_labels, r["bank"].trainings[0].test_scores)
        for r in (exact, noisy)
    ]
    assert 0.5 < aucs[1] < aucs[0]
    assert parts_of(noisy)["platform"].order_epsilon == 0.5
    assert json.loads(parts_of(exact)["platform"].to_json())["order_epsilon"] is None
