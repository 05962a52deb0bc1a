"""A horizontal run that goes well: exact sums, one model at all banks, no worse than plain sums."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from federation.aggregation import SecureSumClient
from federation.horizontal import contribution, opening
from federation.horizontal.rows import TEST, TRAINING
from federation.horizontal.server import Limits
from federation.metrics import auc
from federation.neural.local_training import clip_norm, train_locally
from federation.neural.models import build
from federation.neural.scaling import Scaling
from federation.neural.server_optimiser import ServerOptimiser
from federation.neural.weights import NeuralModel, flatten, load
from tests.federation.horizontal.banks import FIVE, Drive, plan_of, rows_of

torch.set_num_threads(1)


def test_every_total_is_the_exact_sum_and_every_bank_ends_with_one_model() -> None:
    """Under both schemes, with every bank restarted from its bytes before every order."""
    for scheme in ("bfv", "ckks"):
        drive = Drive(plan_of(scheme=scheme))
        outcome = drive.finish()
        assert outcome.banks == FIVE
        assert (outcome.rounds, outcome.steps, outcome.excluded) == (3, 5, {})
        drive.check_same(outcome)
        drive.check_sums()
        figures = drive.state("ash").evaluation
        assert figures == drive.state("elm").evaluation
        assert figures["rows"] == sum((rows_of(bank).parts == TEST).sum() for bank in FIVE)


def test_a_mean_update_is_off_by_less_than_a_ten_thousandth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In every one of eight rounds, in L2 relative to the banks' true mean."""
    deltas: list[np.ndarray] = []
    means: list[np.ndarray] = []

    def noted(delta: np.ndarray, bound: float) -> np.ndarray:
        deltas.append(clip_norm(delta, bound))
        return deltas[-1]

    def opened(*arguments: object) -> object:
        figures, update = decode(*arguments)
        means.append(update / figures.share)
        return figures, update

    decode = opening.decode_update
    monkeypatch.setattr(contribution, "clip_norm", noted)
    monkeypatch.setattr(opening, "decode_update", opened)
    Drive(plan_of(rounds=8)).finish()
    rows = np.array([(rows_of(bank).parts != TEST).sum() for bank in FIVE], float)
    for number in range(8):
        of_round = np.array(deltas[5 * number : 5 * number + 5], float)
        truth = rows @ of_round / rows.sum()
        for mean in means[5 * number : 5 * number + 5]:
            assert np.linalg.norm(mean - truth) <= 1e-4 * np.linalg.norm(truth)


def test_encryption_costs_the_model_nothing() -> None:
    """The AUC on all test borrowers is that of the same training with plain sums."""
    drive = Drive(plan_of(rounds=6))
    drive.finish()
    plan, schema, settings = drive.plan, drive.plan.schema, drive.plan.settings
    rows = {bank: rows_of(bank).without_validation() for bank in FIVE}
    parts = {bank: one.part(TRAINING) for bank, one in rows.items()}
    sums = sum(Scaling.statistics(columns, schema) for columns, _ in parts.values())
    scaling = Scaling.from_sums(schema, np.asarray(sums))
    network = build(settings, schema)
    weights, optimiser = flatten(network), ServerOptimiser(settings)
    state = optimiser.init(len(weights))
    shares = np.array([len(labels) for _, labels in parts.values()], float)
    shares /= shares.sum()
    for number in range(settings.rounds):
        load(network, weights)
        deltas = [
            clip_norm(
                train_locally(
                    network,
                    scaling.encode(columns),
                    labels,
                    settings,
                    np.random.default_rng([settings.seed, number, *bank.encode()]),
                ).delta,
                settings.update_norm_bound,
            ).astype(float)
            for bank, (columns, labels) in parts.items()
        ]
        state, weights = optimiser.apply(state, weights, shares @ np.array(deltas))
    plain = NeuralModel(settings, schema, scaling, optimiser.final(state, weights))
    ended = drive.state("ash")
    federated = NeuralModel(
        settings, schema, Scaling.from_json(json.loads(ended.scaling), plan.schema), ended.weights
    )
    tests = [one.part(TEST) for one in rows.values()]
    labels = np.concatenate([labels for _, labels in tests])
    found, wanted = (
        auc(labels, np.concatenate([model.probabilities(columns) for columns, _ in tests]))
        for model in (federated, plain)
    )
    assert wanted > 0.75
    assert abs(found - wanted) < 0.001
    assert abs(ended.evaluation["auc"] - found) < 0.01  # from counts by score


@pytest.mark.parametrize(
    "settings",
    [
        {"server_optimiser": "fedadam", "server_learning_rate": 0.05},
        {"server_optimiser": "fedyogi", "server_learning_rate": 0.05},
        {"proximal_mu": 0.1},
        {"architecture": "gru", "sequence_hidden": 4},
    ],
)
def test_other_ways_of_training_run_too(settings: dict[str, object]) -> None:
    """FedAdam, FedYogi, FedProx and a recurrent network end with one model as well."""
    drive = Drive(plan_of(rounds=2, **settings))
    outcome = drive.finish()
    assert outcome.banks == FIVE
    drive.check_same(outcome)
    drive.check_sums()


def test_training_stops_in_the_same_round_everywhere() -> None:
    """Once the validation loss has stopped falling, long before the last round."""
    drive = Drive(plan_of(rounds=40, patience=2, learning_rate=1.0, local_epochs=4.0))
    outcome = drive.finish()
    assert 3 <= outcome.rounds < 40
    drive.check_same(outcome)
    states = [drive.state(bank) for bank in FIVE]
    assert {state.rounds for state in states} == {outcome.rounds}
    assert {state.best_round for state in states} == {states[0].best_round}
    assert (states[0].weights == states[0].best_weights).all()
    losses = [each["validation_loss"] for each in states[0].curve if "validation_loss" in each]
    assert min(losses) == pytest.approx(states[0].best_loss)


def test_a_sample_of_the_banks_trains_and_the_others_stay_in_step() -> None:
    """Three of five a round; scaling and evaluation are with all of them."""
    drive = Drive(
        plan_of(rounds=5, minimum_banks=2), limits=Limits(2, dropouts=1, sample_share=0.6)
    )
    outcome = drive.finish()
    assert outcome.banks == FIVE
    assert outcome.excluded == {}
    drive.check_same(outcome)
    drive.check_sums()
    sizes = [len(total.survivors) for total in drive.totals]
    assert sizes == [5, 5, 3, 3, 3, 3, 5]
    kinds = {len(names) for kind, _, names, _ in drive.asked if kind == "contribute"}
    assert kinds == {3, 5}


def test_blocks_of_masks_follow_one_another() -> None:
    """A run that is longer than one block prepares the next one."""
    drive = Drive(plan_of(rounds=4), limits=Limits(3, 1, block_steps=2))
    outcome = drive.finish()
    assert outcome.rounds == 4
    assert sum(kind == "setup" for kind, *_ in drive.asked) == 2 + 3
    drive.check_sums()


def test_the_coordinator_never_holds_a_key_or_an_update() -> None:
    """Nothing that it was sent, sent or wrote down has the key, a vector or the weights in it."""
    drive = Drive()
    drive.run(stop=lambda kept: len(kept.totals) == 4)
    assert drive.transcript is not None
    held = [*drive.traffic, drive.transcript.secure_sum]
    held += [total.SerializeToString() for total in drive.transcript.totals]
    assert sum(map(len, held)) > 1_000_000
    for bank in FIVE:
        state = drive.state(bank)
        client = SecureSumClient.from_bytes(state.secure_sum)._state
        secrets = [client.secret_key, client.private_key, state.weights.tobytes()[:64]]
        secrets += [client.secret_key[at : at + 64] for at in range(0, 4096, 512)]
        secrets += [state.weights.astype(float).tobytes()[:64], state.scaling.encode()[:64]]
        secrets += [
            slots.tobytes()[at : at + 32]
            for (_, name), slots in drive.slots.items()
            if name == bank
            for at in (0, 64)
        ]
        for step in client.steps.values():
            secrets += [each for each in (step.mask_key, step.self_mask_seed) if each]
        for secret in secrets:
            assert len(secret) >= 16
            assert not any(secret in data for data in held)
