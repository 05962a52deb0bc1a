"""The alignment benchmark gives figures that belong together."""

from __future__ import annotations

import pytest

from simulations.bench_alignment import bench_alignment


def test_two_processes_align_what_they_share() -> None:
    """A short run finds the overlap and reports every figure."""
    figures = bench_alignment(2_000, overlap=0.25)
    assert figures["ids"] == 2_000
    assert figures["shared"] == 500
    assert figures["messages"] == 4
    assert figures["bytes"] > 3 * 2_000 * 32
    assert figures["ids_per_second"] == pytest.approx(2_000 / figures["seconds"], rel=0.01)
    assert figures["peak_rss_mb"] > 10


def test_an_overlap_of_nothing_is_refused() -> None:
    """Two lists that share nobody can't be aligned, so there is nothing to measure."""
    with pytest.raises(ValueError, match="share no borrower"):
        bench_alignment(10, overlap=0.0)
