"""Embeddings and gradients as messages: what arrives, what masks hide, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import ProtocolError
from federation.masking import PairwiseMasks
from federation.proto.session_pb2 import Embeddings, Gradients
from federation.session.machine import Receive, Send
from federation.session.wire import pack_array
from federation.split import embeddings
from federation.split.embeddings import (
    BOUND,
    receive_embeddings,
    receive_gradients,
    send_embeddings,
    send_gradients,
)

Matrix = np.ndarray


def sent(role: Generator[Any, object, None]) -> list[Any]:
    """The bodies that a sending role sends."""
    return [step.body for step in role if isinstance(step, Send)]


def received(role: Generator[Any, object, Matrix], queues: dict[str, list[Any]]) -> Matrix:
    """Feed a receiving role with each party's messages."""
    answer: object = None
    try:
        while True:
            step = role.send(answer)
            assert isinstance(step, Receive)
            answer = queues[step.sender].pop(0)
    except StopIteration as end:
        assert not any(queues.values())
        return end.value  # type: ignore[no-any-return]


def agreed(*parties: str) -> dict[str, PairwiseMasks]:
    """Masks of a session."""
    masks = {party: PairwiseMasks(party) for party in parties}
    keys = {party: one.public_key for party, one in masks.items()}
    for one in masks.values():
        one.agree("s", keys)
    return masks


def made(rows: int, size: int, seed: int = 1) -> Matrix:
    """Embeddings of some borrowers."""
    values = np.random.default_rng(seed).uniform(-BOUND, BOUND, (rows, size))
    return values.astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(0, 40),
    size=st.integers(1, 5),
    parties=st.integers(1, 3),
    block=st.integers(4, 200),
)
def test_the_sum_of_masked_embeddings_arrives(
    rows: int, size: int, parties: int, block: int
) -> None:
    """In any number of blocks, to within the fixed point's grain."""
    names = [f"p{number}" for number in range(parties)]
    masks = agreed(*names)
    own = {name: made(rows, size, seed) for seed, name in enumerate(names)}
    before = embeddings.BLOCK_BYTES
    embeddings.BLOCK_BYTES = block
    try:
        queues = {
            name: sent(send_embeddings(own[name], masks[name], "bank", "t", "fit", 1))
            for name in names
        }
    finally:
        embeddings.BLOCK_BYTES = before
    total = received(receive_embeddings(names, "fit", 1, rows, size), queues)
    assert np.allclose(total, sum(own.values()), atol=parties * 2.0**-16)


def test_one_of_two_partners_embeddings_look_random() -> None:
    """The words that a partner sends say nothing without the other's: they fill their range."""
    masks = agreed("a", "b")
    values = made(5000, 4)
    (body,) = sent(send_embeddings(values, masks["a"], "bank", "t", "fit", 1))
    words = np.frombuffer(body.values, dtype="<u4").astype(np.float64) / 2**32
    counts = np.histogram(words, bins=16, range=(0, 1))[0]
    expected = len(words) / 16
    assert ((counts - expected) ** 2 / expected).sum() < 60  # χ² with 15 degrees of freedom
    assert abs(np.corrcoef(words, values.ravel())[0, 1]) < 0.03


def test_masks_differ_between_exchanges_and_parts() -> None:
    """Equal embeddings never look equal twice: no difference of two messages is in the clear."""
    masks = agreed("a", "b")
    values = made(20, 3)
    seen = [
        sent(send_embeddings(values, masks["a"], "bank", training, part, exchange))[0].values
        for training, part, exchange in (
            ("t", "fit", 1),
            ("t", "fit", 2),
            ("t", "test", 0),
            ("u", "fit", 1),
        )
    ]
    assert len(set(seen)) == 4


@pytest.mark.parametrize("wrong", [np.nan, np.inf, BOUND * 1.01])
def test_an_encoder_that_diverged_sends_nothing(wrong: float) -> None:
    """Embeddings that are no numbers or out of range never leave."""
    values = made(3, 2)
    values[1, 1] = wrong
    with pytest.raises(ValueError, match="finite and within"):
        sent(send_embeddings(values, PairwiseMasks("a"), "bank", "t", "fit", 1))


def block(**changes: Any) -> Embeddings:
    """A partner's right block of 4 borrowers, changed."""
    values = pack_array(np.zeros((4, 2), dtype=np.uint32), "<u4")
    content = {"exchange": 1, "part": "fit", "first": 0, "rows": 4, "values": values}
    return Embeddings(**(content | changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"exchange": 2}, "platform sent embeddings of exchange 2"),
        ({"part": "test"}, "platform sent embeddings of part 'test'"),
        ({"first": 1}, "from 1; up to 4 from 0 are right"),
        ({"rows": 5}, "of 5 borrowers"),
        ({"rows": 0, "values": b""}, "of 0 borrowers"),
        ({"rows": 2**40}, "borrowers from 0"),
        ({"values": b"abc"}, "holds 3 bytes|hold 3 bytes"),
        ({"values": bytes(28)}, "28 bytes"),
        ({"values": b"\xff\xff\xff\x7f" * 8}, "more than ±4"),
    ],
)
def test_garbage_embeddings_are_refused_by_name(changes: dict[str, Any], sentence: str) -> None:
    """Out of turn, of another size, or out of range."""
    with pytest.raises(ProtocolError, match=sentence):
        received(
            receive_embeddings(("platform",), "fit", 1, 4, 2), {"platform": [block(**changes)]}
        )


def test_gradients_arrive_at_every_partner() -> None:
    """As they were sent, to each of them alike."""
    values = made(10, 3)
    steps = [s for s in send_gradients(values, ("a", "b"), 2) if isinstance(s, Send)]
    assert [step.recipient for step in steps] == ["a", "b"]
    for step in steps:
        taken = received(receive_gradients("bank", 2, 10, 3), {"bank": [step.body]})
        assert (taken == values).all()


def changed(change: Callable[[Matrix], None]) -> bytes:
    """Gradients of 4 borrowers, changed."""
    values = np.full((4, 2), 0.5, dtype=np.float32)
    change(values)
    return pack_array(values, "<f4")


def put(value: float) -> Callable[[Matrix], None]:
    """A change that puts one number in."""

    def change(values: Matrix) -> None:
        values[2, 1] = value

    return change


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"values": changed(put(np.nan))}, "not finite"),
        ({"values": changed(put(-np.inf))}, "not finite"),
        ({"values": changed(put(1e4))}, "beyond ±1000"),
        ({"values": bytes(12)}, "12 bytes"),
        ({"exchange": 3}, "of exchange 3; those of exchange 1 are due"),
        ({"first": 2, "rows": 2, "values": bytes(16)}, "from 2"),
    ],
)
def test_garbage_gradients_are_refused(changes: dict[str, Any], sentence: str) -> None:
    """NaN, infinite, out of range, of another size, or out of turn."""
    content = {"exchange": 1, "first": 0, "rows": 4, "values": changed(put(0.0))}
    message = Gradients(**(content | changes))
    with pytest.raises(ProtocolError, match=sentence):
        received(receive_gradients("bank", 1, 4, 2), {"bank": [message]})
