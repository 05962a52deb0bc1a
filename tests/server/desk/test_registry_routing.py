"""Which borrowers a challenger gets: the share that was asked for, always the same ones."""

from __future__ import annotations

import math
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from server.desk.registry.records import MILLION
from server.desk.registry.routing import epoch_name, new_epoch_key, place, threshold

KEYS = st.binary(min_size=16, max_size=16)
SHARES = st.integers(1, MILLION - 1)
COUNT = 4000


@given(key=KEYS, share=SHARES, prefix=st.text(max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_share_is_the_share_of_the_borrowers(key: bytes, share: int, prefix: str) -> None:
    """Within six standard deviations of a binomial, for any key and any kind of ids."""
    below = threshold(share)
    taken = sum(place(f"{prefix}{number}", key) < below for number in range(COUNT))
    expected = share / MILLION
    deviation = math.sqrt(COUNT * expected * (1 - expected))
    assert abs(taken - COUNT * expected) <= 6 * deviation + 6


@given(key=KEYS, shares=st.tuples(SHARES, SHARES), borrower=st.text())
def test_a_growing_share_keeps_its_borrowers(
    key: bytes, shares: tuple[int, int], borrower: str
) -> None:
    """Who is the challenger's at a small share is at a larger one."""
    smaller, larger = sorted(shares)
    assert not place(borrower, key) < threshold(smaller) or place(borrower, key) < threshold(larger)


@given(key=KEYS, borrower=st.text(st.characters()))
def test_a_place_is_a_function_of_key_and_id(key: bytes, borrower: str) -> None:
    """Any text has one, lone surrogates too."""
    assert 0 <= place(borrower, key) == place(borrower, key) < 2**64


def test_another_process_gives_the_same_places() -> None:
    """No hash that changes with the process."""
    key = bytes(range(16))
    code = (
        "from server.desk.registry.routing import place; "
        "print([place(f'b{n}', bytes(range(16))) for n in range(50)])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert told.stdout.strip() == str([place(f"b{n}", key) for n in range(50)])


def test_epochs_choose_independently() -> None:
    """Of a tenth in one epoch about a tenth is in the next; the name does not tell the key."""
    first, second = new_epoch_key(), new_epoch_key()
    below = threshold(MILLION // 10)
    one = {n for n in range(20_000) if place(f"b{n}", first) < below}
    both = {n for n in one if place(f"b{n}", second) < below}
    assert 0.05 * len(one) < len(both) < 0.16 * len(one)
    assert epoch_name(first) != epoch_name(second)
    assert len(epoch_name(first)) == 16
