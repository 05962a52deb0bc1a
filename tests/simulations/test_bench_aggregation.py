"""The aggregation benchmark gives figures that belong together."""

from __future__ import annotations

import pytest

from simulations.bench_aggregation import bench_aggregation


@pytest.mark.parametrize("scheme", ["bfv", "ckks"])
def test_a_short_round(scheme: str) -> None:
    """The opened sum is the updates' within quantisation, and every figure is there."""
    figures = bench_aggregation(20_000, 3, scheme, repeats=1)
    assert figures["params"] == 20_000
    assert figures["clients"] == 3
    assert figures["scheme"] == scheme
    assert float(figures["relative_error"]) < 1e-4
    assert figures["clipped"] == 0
    assert 0 < float(figures["max_abs_error"]) < 1e-3
    assert float(figures["seconds"]) > float(figures["seconds_plain"]) >= 1
    assert figures["ratio"] == pytest.approx(
        float(figures["seconds"]) / float(figures["seconds_plain"]), abs=1e-3
    )
    assert float(figures["mask_ms"]) < float(figures["encrypt_ms"])


def test_bytes_a_parameter() -> None:
    """Two parameters a coefficient: 8 bytes each, where chunks are full."""
    figures = bench_aggregation(81_918, 2, repeats=1)
    assert float(figures["bytes_per_param"]) < 8.02


def test_a_sum_of_one_is_refused() -> None:
    """There is nothing to measure."""
    with pytest.raises(ValueError, match="two clients"):
        bench_aggregation(10, 1)
