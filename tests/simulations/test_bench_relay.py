"""The relay's benchmark loses nothing and says what it measured."""

from __future__ import annotations

import pytest

from federation.errors import InputError, ProtocolError
from simulations.bench_relay import PumpingParty, bench_relay


@pytest.mark.parametrize("slow", [False, True])
def test_three_processes_and_a_relay(slow: bool) -> None:
    """Every message arrives as it was sent."""
    figures = bench_relay(parties=3, megabytes=12, slow=slow)
    assert figures["messages"] == figures["megabytes"] == 12
    assert figures["lost"] == 0
    assert figures["slow"] is slow
    assert figures["megabytes_per_second"] == pytest.approx(12 / figures["seconds"], rel=0.05)
    assert 20 < figures["relay_peak_rss_mb"] < 300
    assert 1024 * 1024 < figures["most_queued_bytes"] <= 4 * 1024 * 1024


def test_a_message_that_was_changed_or_is_missing_is_noticed() -> None:
    """The benchmark's own check."""
    sender = PumpingParty("a", "s", ("b", "c"), 6)
    taker = PumpingParty("b", "s", ("c", "a"), 6)
    frames = [frame for peer, frame in sender.start() if peer == "b"]
    taker.receive(frames[0], "a")
    taker.receive(frames[2], "a")
    assert (taker.taken, taker.lost) == (2, 1)
    with pytest.raises(ProtocolError, match="^message 1 from a was changed on its way$"):
        taker.receive(frames[1][:-1] + bytes([frames[1][-1] ^ 1]), "a")


def test_too_little_to_measure_is_refused() -> None:
    """With what would be right."""
    with pytest.raises(InputError, match="at least 3 parties and 2 MB for each"):
        bench_relay(parties=10, megabytes=10)
