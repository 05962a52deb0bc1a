"""The benchmark of encrypted scoring: its figures belong to right scores."""

from __future__ import annotations

from simulations.bench_encrypted import bench_encrypted


def test_a_small_benchmark_scores_rightly() -> None:
    """A few borrowers: no score differs from the one in the clear, and every figure is there."""
    figures = bench_encrypted(features=5, borrowers=50, singles=2, batches=1)
    assert figures["wrong"] == 0
    assert (figures["features"], figures["borrowers"]) == (5, 50)
    assert figures["request_bytes"] == 65_568
    assert figures["batch_reply_bytes"] == 65_536 + 16 * 50
    for name in (
        "single_ms",
        "p50_ms",
        "p99_ms",
        "batch_per_second",
        "desk_ms",
        "batch_encrypt_ms",
    ):
        assert float(figures[name]) > 0
