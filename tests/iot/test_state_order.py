"""The order of one device's samples, whatever order they come in."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from iot.codec.sample import Sample
from iot.state.order import HOLD, MOST_HELD, Arrival, Gap, Order
from iot.units import DeviceId, Millis

NOON = 1_760_000_000_000


def sample(boot: int, seq: int, received: int = NOON) -> Sample:
    return Sample(DeviceId("d1"), boot, seq, Millis(NOON), Millis(received))


def fed(order: Order, *samples: Sample) -> list[tuple[int, int]]:
    """Hand samples in at the times they came; what was handed on, by key."""
    out = []
    for one in samples:
        out += [(ready.boot, ready.seq) for ready in order.ready(one.received)]
        if order.take(one) is Arrival.IN_ORDER:
            out.append((one.boot, one.seq))
        out += [(ready.boot, ready.seq) for ready in order.ready(one.received)]
    return out


def started() -> Order:
    order = Order()
    assert order.take(sample(1, 1)) is Arrival.IN_ORDER
    return order


def test_the_expected_sample_is_handed_on_at_once() -> None:
    order = started()
    assert order.take(sample(1, 2)) is Arrival.IN_ORDER
    assert order.through() == (1, 2)


def test_an_early_sample_waits_for_the_one_before_it() -> None:
    order = started()
    assert fed(order, sample(1, 3)) == []
    assert order.missing() == [Gap(1, 2, 2)]
    assert fed(order, sample(1, 2)) == [(1, 2), (1, 3)]
    assert order.missing() == []


def test_a_wait_ends_and_leaves_a_gap() -> None:
    order = started()
    order.take(sample(1, 4))
    assert order.due() == NOON + HOLD
    assert list(order.ready(Millis(NOON + HOLD - 1))) == []
    assert [one.seq for one in order.ready(Millis(NOON + HOLD))] == [4]
    assert order.gaps == [Gap(1, 2, 3)]
    assert order.due() is None


def test_what_fills_a_gap_is_late_once() -> None:
    order = started()
    order.take(sample(1, 6))
    list(order.ready(Millis(NOON + HOLD)))
    assert order.take(sample(1, 4)) is Arrival.LATE
    assert order.gaps == [Gap(1, 2, 3), Gap(1, 5, 5)]
    assert order.take(sample(1, 4)) is Arrival.SEEN


def test_a_key_that_was_taken_is_seen() -> None:
    order = started()
    assert order.take(sample(1, 1)) is Arrival.SEEN
    assert order.take(sample(1, 5)) is Arrival.EARLY
    assert order.take(sample(1, 5)) is Arrival.SEEN


def test_the_tail_of_an_earlier_boot_is_late_and_no_duplicate() -> None:
    order = started()
    order.take(sample(2, 1))
    list(order.ready(Millis(NOON + HOLD)))
    assert order.take(sample(1, 2)) is Arrival.LATE
    assert order.take(sample(1, 1)) is Arrival.SEEN


def test_what_a_device_sent_before_we_knew_it_is_late() -> None:
    order = Order()
    order.take(sample(3, 500))
    assert [one.seq for one in order.ready(Millis(NOON + HOLD))] == [500]
    assert order.missing() == []
    assert order.take(sample(3, 499)) is Arrival.LATE
    assert order.take(sample(2, 9)) is Arrival.LATE


def test_the_first_message_of_a_new_device_is_handed_on_at_once() -> None:
    order = Order()
    assert order.take(sample(1, 1)) is Arrival.IN_ORDER
    assert order.take(sample(1, 2)) is Arrival.IN_ORDER
    assert order.take(sample(1, 1)) is Arrival.SEEN


def test_too_many_waiting_samples_end_the_wait() -> None:
    order = started()
    handed_on = fed(order, *(sample(1, seq) for seq in range(3, MOST_HELD + 4)))
    assert handed_on == [(1, seq) for seq in range(3, MOST_HELD + 4)]
    assert order.gaps == [Gap(1, 2, 2)]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_arrival_order_within_the_wait_hands_on_the_same(data: st.DataObject) -> None:
    boots = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3), label="messages a boot")
    keys = [(boot, seq) for boot, count in enumerate(boots, 1) for seq in range(1, count + 1)]
    lost = data.draw(st.sets(st.sampled_from(keys), max_size=2), label="lost")
    sent = [key for key in keys if key not in lost]
    copies = data.draw(st.lists(st.sampled_from(sent), max_size=3), label="twice") if sent else []
    arrivals = data.draw(st.permutations(sent + copies))
    order = Order()
    handed_on = []
    for number, (boot, seq) in enumerate(arrivals):
        handed_on += fed(order, sample(boot, seq, NOON + number))
        if data.draw(st.booleans(), label="stored and loaded"):
            order = msgspec.msgpack.decode(msgspec.msgpack.encode(order), type=Order)
    handed_on += [(one.boot, one.seq) for one in order.ready(Millis(NOON + 2 * HOLD))]
    assert handed_on == sorted(sent)
