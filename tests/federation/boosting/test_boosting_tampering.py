"""Messages of boosted sessions that no honest party sends end them in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from federation.boosting.settings import BoostedSettings
from federation.errors import ProtocolError
from federation.proto.session_pb2 import Envelope
from federation.proto.session_pb2 import Split as SplitMessage
from federation.session.in_process import run_in_process
from federation.session.machine import Machine
from federation.session.wire import decode, encode
from tests.federation.boosting.sessions import ORDER, SMALL, machines_for
from tests.federation.test_vertical_session import (
    PARTNERS,
    Tamper,
    changed,
    population,
    tampered,
)


def in_order(kind: str, change: Callable[[Any], None], place: int = 0) -> Tamper:
    """Change one tree order of a kind on its way: the first, or a later one."""
    seen = [0]

    def tamper(recipient: str, envelope: Envelope) -> Envelope:
        order = envelope.tree_order
        if envelope.WhichOneof("body") == "tree_order" and order.WhichOneof("order") == kind:
            if seen[0] == place:
                change(order)
            seen[0] += 1
        return envelope

    return tamper


def in_sums(change: Callable[[Any], None], place: int = 0) -> Tamper:
    """Change one answer on its way."""
    seen = [0]

    def tamper(recipient: str, envelope: Envelope) -> Envelope:
        if envelope.WhichOneof("body") == "node_sums":
            if seen[0] == place:
                change(envelope.node_sums)
            seen[0] += 1
        return envelope

    return tamper


def repeated(name: str, values: list[int]) -> Callable[[Any], None]:
    """Overwrite a list of a message."""

    def change(message: Any) -> None:
        del getattr(message, name)[:]
        getattr(message, name).extend(values)

    return change


def in_shapes(name: str, values: list[int]) -> Tamper:
    """Overwrite a list of what a partner says of its bins."""

    def tamper(recipient: str, envelope: Envelope) -> Envelope:
        if envelope.WhichOneof("body") == "bin_shapes":
            repeated(name, values)(envelope.bin_shapes)
        return envelope

    return tamper


def assigned(**values: Any) -> Callable[[Any], None]:
    """Overwrite fields of a message."""

    def change(message: Any) -> None:
        for name, value in values.items():
            setattr(message, name, value)

    return change


def longer(message: Any) -> None:
    """One byte more than there should be."""
    message.query.ciphertext += b"\0"


def one_sum_less(message: Any) -> None:
    """The last of them is cut off."""
    message.answer.ciphertext = message.answer.ciphertext[:-32]


def many_vectors(message: Any) -> None:
    """Nine vectors where two are all that a root needs."""
    message.query.vectors = 9


def first_split(**values: Any) -> Callable[[Any], None]:
    """Change the first split of a list."""

    def change(order: Any) -> None:
        one = (order.splits if order.WhichOneof("order") == "splits" else order.model).splits[0]
        for name, value in values.items():
            if name == "left":
                repeated(name, value)(one)
            else:
                setattr(one, name, value)

    return change


def more_splits(order: Any) -> None:
    """As many as a level has nodes, and one more."""
    order.splits.splits.extend([order.splits.splits[0]] * 2)


def another_split(order: Any) -> None:
    """One whose bits were never asked for in training."""
    asked = {(one.feature, tuple(one.left)) for one in order.model.splits}
    bins = 4
    free = next(
        (feature, (place,))
        for feature in (0, 1)
        for place in range(1, bins)
        if (feature, (place,)) not in asked
    )
    order.model.splits.append(SplitMessage(feature=free[0], left=free[1]))


def twice(order: Any) -> None:
    """The first split once more."""
    order.model.splits.append(order.model.splits[0])


def emptied(order: Any) -> None:
    """No order in it."""
    order.ClearField("query")


TAMPERED: list[tuple[Tamper, str]] = [
    (in_shapes("bins", [5]), "platform describes the bins of .* features; as many bins"),
    (in_shapes("bins", [99, 5]), "platform's feature 0 has 99 bins, .*; 8 at most were agreed"),
    (in_shapes("ordered", [1, 5]), "platform's feature 0 has .* special bins"),
    (in_shapes("omitted", [77, 0]), "platform's feature 0 has . bins, of which bin 77 is not"),
    (in_shapes("bins", [7, 5]), "platform offers a map of .* rows for bins that have"),
    (changed("map_offer", columns=7), "over 7 borrowers was offered"),
    (changed("map_offer", rows_sent=3), "platform offers a map of 3 rows for bins that have"),
    (in_order("query", assigned(level=1)), "an order for level 1 of tree 0 came after level -1"),
    (in_order("query", assigned(tree=1)), "an order for level 0 of tree 1 came after level -1"),
    (in_order("query", assigned(level=2), 1), "an order for level 2 of tree 0 came after level 0"),
    (in_order("query", assigned(tree=2, level=0), 1), "level 0 of tree 2 came after level 0 of"),
    (in_order("query", assigned(tree=0), 2), "level 0 of tree 0 came after level 1 of tree 0"),
    (in_order("query", many_vectors), "9 vectors were asked for at level 0 .*, where 2 are all"),
    (in_order("query", longer), "query 0 holds .* bytes"),
    (in_order("query", emptied), "bank sent an order for tree 0 without one"),
    (in_order("splits", more_splits), "splits were asked for at level 0 of a tree, where 1 are"),
    (in_order("splits", first_split(feature=2)), "asks for a split of feature 2; there are 2"),
    (in_order("splits", first_split(left=[])), r"bank's split sends bins \[\] of"),
    (in_order("splits", first_split(left=[1, 0])), r"bank's split sends bins \[1, 0\] of"),
    (in_order("splits", first_split(left=[60])), r"bank's split sends bins \[60\] of"),
    (in_order("splits", first_split(left=list(range(6)))), "bank's split sends bins"),
    (in_order("model", another_split), "bank's model has splits of platform's features whose"),
    (in_order("model", twice), "bank's model has the same split of platform's twice"),
    (in_sums(repeated("features", [])), r"platform answered for features \[\] of 2"),
    (in_sums(repeated("features", [1, 0])), r"platform answered for features \[1, 0\] of 2"),
    (in_sums(repeated("features", [0, 2])), r"platform answered for features \[0, 2\] of 2"),
    (in_sums(repeated("features", [0])), "the answer to query 0 holds"),
    (in_sums(repeated("features", [0]), 1), "platform answered for other features in the same"),
    (in_sums(one_sum_less), "the answer to query 0 holds"),
    (in_sums(assigned(level=2)), "platform answered for level 2 of tree 0; level 0 of tree 0 is"),
    (in_sums(assigned(tree=1), 1), "platform answered for level 1 of tree 1; level 1 of tree 0 is"),
    (changed("split_bits", bits=bytes(9)), "platform sent bits of 1 splits for part 'fit' in 9"),
    (changed("split_bits", splits=7), "platform sent bits of 7 splits for part 'fit'"),
    (changed("split_bits", part="test"), "platform sent bits of . splits for part 'test'"),
]


@pytest.mark.parametrize(("tamper", "sentence"), TAMPERED)
def test_what_no_honest_party_sends_is_refused(tamper: Tamper, sentence: str) -> None:
    """Each ends the session in one sentence that says what came and what would be right."""
    tables = population(110, PARTNERS[:1])
    with pytest.raises(ProtocolError, match=sentence):
        tampered(machines_for(tables), tamper)


@pytest.mark.parametrize(
    ("tamper", "sentence"),
    [
        (changed("bin_codes", feature=5), "platform sent codes of feature 5 for .*; feature 0 for"),
        (changed("bin_codes", fit=bytes(9)), "platform sent codes of feature 0 for 9 and 22 bor"),
        (changed("bin_codes", test=b""), "platform sent codes of feature 0 for 88 and 0 borr"),
        (changed("bin_codes", fit=b"\xff" * 88), "a code beyond the bins of feature 0"),
        (in_order("model", first_split(feature=9)), "asks for a split of feature 9; there are 2"),
        (in_order("model", twice), "bank's model has the same split of platform's twice"),
    ],
)
def test_bin_codes_that_cannot_be_are_refused(tamper: Tamper, sentence: str) -> None:
    """Where codes are sent."""
    tables = population(110, PARTNERS[:1])
    with pytest.raises(ProtocolError, match=sentence):
        tampered(machines_for(tables, ORDER), tamper)


def test_a_message_of_another_kind_is_refused_by_name() -> None:
    """An answer where bits are due, and an order after the model's."""
    tables = population(110, PARTNERS[:1])

    def swapped(recipient: str, envelope: Envelope) -> Envelope:
        if envelope.WhichOneof("body") == "split_bits":
            envelope.node_sums.tree = 1
        return envelope

    with pytest.raises(ProtocolError, match="bank expected 'split_bits' from platform, but mess"):
        tampered(machines_for(tables), swapped)


@pytest.mark.parametrize("settings", [SMALL, ORDER], ids=["bins", "order"])
def test_a_message_that_is_lost_repeated_or_cut_ends_the_session(settings: BoostedSettings) -> None:
    """Whichever of the trainings' own; nobody is left with a model of it."""
    tables = population(110, PARTNERS[:1])
    settings = replace(settings, trees=1)
    kinds = {"bin_shapes", "tree_order", "node_sums", "split_bits", "bin_codes"}
    total = [0]

    def count(recipient: str, envelope: Envelope) -> Envelope:
        total[0] += envelope.WhichOneof("body") in kinds
        return envelope

    tampered(machines_for(tables, settings), count)
    for fault in ("lost", "twice", "cut"):
        for hit in range(0, total[0], 3):
            machines = machines_for(tables, settings)
            with pytest.raises(ProtocolError):
                _with_fault(machines, kinds, hit, fault)
            assert not all(machine.finished for machine in machines.values())


def _with_fault(
    machines: dict[str, Machine[Any]], kinds: set[str], hit: int, fault: str
) -> dict[str, Any]:
    """Run with one message of these kinds lost, delivered twice, or cut short."""
    seen = [0]
    for machine in machines.values():

        def receive(
            frame: bytes,
            sender: str,
            take: Callable[[bytes], Iterator[tuple[str, bytes]]] = machine.receive,
        ) -> Iterator[tuple[str, bytes]]:
            envelope = decode(frame)
            frames = [frame]
            if envelope.WhichOneof("body") in kinds:
                if seen[0] == hit:
                    frames = {"lost": [], "twice": [frame] * 2, "cut": [_cut(envelope)]}[fault]
                seen[0] += 1
            for one in frames:
                yield from take(one)

        machine.receive = receive  # type: ignore[method-assign,assignment]
    return run_in_process(machines)


def _cut(envelope: Envelope) -> bytes:
    """The same envelope with an empty body."""
    kind = str(envelope.WhichOneof("body"))
    empty = type(getattr(envelope, kind))()
    return encode(
        envelope.session, envelope.sender, envelope.recipient, envelope.sequence, kind, empty
    )
