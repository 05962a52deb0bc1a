"""The queue that is bounded in bytes."""

from __future__ import annotations

import contextlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.session.byte_queue import ITEM_BYTES, ByteQueue, QueueClosed, QueueEmpty

SECONDS = 10.0


@given(st.lists(st.integers(0, 400)), st.integers(1, 1000))
def test_items_come_in_order_and_within_the_bound(sizes: list[int], limit: int) -> None:
    """One that is larger than the bound passes alone; nothing is lost."""
    queue: ByteQueue[int] = ByteQueue(limit)
    taken = []
    for number, size in enumerate(sizes):
        while not queue.put(number, size, timeout=0):
            taken.append(queue.get(0))
    queue.finish()
    with contextlib.suppress(QueueClosed):
        while True:
            taken.append(queue.get(0))
    assert taken == list(range(len(sizes)))
    assert queue.queued_bytes == 0
    assert queue.most_bytes <= max([limit, *(size + ITEM_BYTES for size in sizes)])


def test_a_full_queue_holds_its_sender_up() -> None:
    """Until something is taken."""
    queue: ByteQueue[int] = ByteQueue(1000)
    queue.put(0, 900)
    came = threading.Event()

    def sender() -> None:
        queue.put(1, 900)
        came.set()

    thread = threading.Thread(target=sender)
    thread.start()
    assert not came.wait(0.1)
    assert queue.get() == 0
    assert came.wait(SECONDS)
    thread.join(SECONDS)
    assert queue.get() == 1
    with pytest.raises(QueueEmpty):
        queue.get(0.01)


def test_a_small_message_goes_past_a_full_queue() -> None:
    """After what is there already; not into a closed one."""
    queue: ByteQueue[str] = ByteQueue(1000)
    queue.put("large", 2000)
    queue.put_now("small", 1)
    queue.finish()
    queue.put_now("late", 1)
    assert [queue.get(0), queue.get(0)] == ["large", "small"]
    with pytest.raises(QueueClosed):
        queue.get(0)


def test_closing_wakes_whoever_waits() -> None:
    """Sender and taker."""
    full: ByteQueue[int] = ByteQueue(10)
    full.put(0, 10)
    empty: ByteQueue[int] = ByteQueue(10)
    closed = []

    def waiting(wait: str) -> None:
        with pytest.raises(QueueClosed):
            full.put(1, 10) if wait == "put" else empty.get()
        closed.append(wait)

    threads = [threading.Thread(target=waiting, args=(wait,)) for wait in ("put", "get")]
    for thread in threads:
        thread.start()
    full.replace(7)
    empty.finish()
    for thread in threads:
        thread.join(SECONDS)
    assert sorted(closed) == ["get", "put"]
    assert full.get(0) == 7
    full.replace(8)  # the last word was said
    with pytest.raises(QueueClosed):
        full.get(0)


def test_a_widened_queue_has_another_bound() -> None:
    """Meanwhile only, and it tells when that one is reached."""
    queue: ByteQueue[int] = ByteQueue(1000, 3000)
    queue.put(0, 800)
    assert not queue.put(1, 800, timeout=0)
    assert not queue.overflows(800)
    with queue.widened():
        assert queue.put(1, 800, timeout=0)
        assert queue.put(2, 800, timeout=0)
        assert not queue.put(3, 800, timeout=0)
        assert queue.overflows(800)
        assert not queue.overflows(1)
    assert not queue.overflows(800)
    assert not queue.put(3, 1, timeout=0)
