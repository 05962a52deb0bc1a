"""Server optimisers: the paper's formulas, the same to the bit at every bank, and restarted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from federation.errors import InputError
from federation.neural.server_optimiser import ServerOptimiser, ServerState
from tests.federation.neural.tables import small

OPTIMISERS = ("fedavg", "fedadam", "fedyogi")


def _run(settings: Any, rounds: int, restart: bool = False) -> tuple[ServerState, Any]:
    rng = np.random.default_rng(5)
    optimiser = ServerOptimiser(settings)
    weights = rng.normal(size=50).astype(np.float32)
    state = optimiser.init(50)
    for _ in range(rounds):
        state, weights = optimiser.apply(state, weights, rng.normal(0, 0.1, 50))
        if restart:
            optimiser, state = ServerOptimiser(settings), ServerState.from_bytes(state.to_bytes())
    return state, weights


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_restart_changes_no_bit(name: str) -> None:
    """The state's bytes hold all that is remembered."""
    settings = small(server_optimiser=name, server_momentum=0.9, average_last=0.5, rounds=8)
    state, weights = _run(settings, 8)
    again, same = _run(settings, 8, restart=True)
    np.testing.assert_array_equal(weights, same)
    np.testing.assert_array_equal(state.average, again.average)
    assert (state.applied, state.averaged) == (again.applied, again.averaged) == (8, 4)


def test_fedavg_takes_the_mean_as_it_is() -> None:
    """With step size 1 and no momentum."""
    optimiser = ServerOptimiser(small(server_momentum=0.0, server_learning_rate=1.0))
    weights, delta = np.arange(4, dtype=np.float32), np.array([0.5, -1, 0, 2.0])
    _, after = optimiser.apply(optimiser.init(4), weights, delta)
    np.testing.assert_array_equal(after, weights + delta)
    assert after.dtype == np.float32


def test_momentum_carries_on() -> None:
    """FedAvgM: the second of two equal updates goes 1 + β as far."""
    optimiser = ServerOptimiser(small(server_momentum=0.5, server_learning_rate=1.0))
    state, first = optimiser.apply(optimiser.init(1), np.zeros(1, np.float32), np.ones(1))
    _, second = optimiser.apply(state, first, np.ones(1))
    assert (first[0], second[0]) == (1.0, 2.5)


@pytest.mark.parametrize("name", ["fedadam", "fedyogi"])
def test_adaptive_steps_follow_algorithm_two(name: str) -> None:
    """Coordinate by coordinate in plain Python."""
    settings = small(
        server_optimiser=name,
        server_learning_rate=0.1,
        server_momentum=0.9,
        server_second_momentum=0.99,
        server_adaptivity=0.01,
    )
    optimiser = ServerOptimiser(settings)
    deltas = np.random.default_rng(1).normal(0, 0.1, (3, 4))
    weights, state = np.zeros(4, np.float32), optimiser.init(4)
    expected = [0.0] * 4
    first, second = [0.0] * 4, [0.01**2] * 4
    for delta in deltas:
        state, weights = optimiser.apply(state, weights, delta)
        for index, value in enumerate(delta.tolist()):
            first[index] = 0.9 * first[index] + 0.1 * value
            if name == "fedadam":
                second[index] = 0.99 * second[index] + 0.01 * value**2
            else:
                sign = (second[index] > value**2) - (second[index] < value**2)
                second[index] -= 0.01 * value**2 * sign
            expected[index] += 0.1 * first[index] / (second[index] ** 0.5 + 0.01)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_the_final_model_is_the_mean_of_the_last_rounds() -> None:
    """Of as many as `average_last` says; without it, the last one."""
    settings = small(rounds=4, average_last=0.5, server_learning_rate=1.0, server_momentum=0.0)
    optimiser = ServerOptimiser(settings)
    state, weights = optimiser.init(1), np.zeros(1, np.float32)
    for _ in range(4):
        state, weights = optimiser.apply(state, weights, np.ones(1))
    assert optimiser.final(state, weights)[0] == 3.5
    plain = ServerOptimiser(small(rounds=4, average_last=0.0))
    assert plain.final(plain.init(1), weights)[0] == 4.0


@pytest.mark.parametrize("delta", [np.full(3, np.nan), np.full(3, np.inf), np.zeros(4)])
def test_a_broken_update_is_refused(delta: Any) -> None:
    """Before it can spoil the model."""
    optimiser = ServerOptimiser(small())
    with pytest.raises(InputError, match="update"):
        optimiser.apply(optimiser.init(3), np.zeros(3, np.float32), delta)


@pytest.mark.parametrize("content", [b"", b"x" * 40, b"\x02\x00\x00\x00\x00\x00\x00\x00{}"])
def test_a_broken_state_is_refused(content: bytes) -> None:
    """It is read from disk."""
    with pytest.raises(InputError, match="saved state"):
        ServerState.from_bytes(content)
