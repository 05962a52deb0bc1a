"""Orders and replies as bytes, parsed defensively."""

from __future__ import annotations

import contextlib

from google.protobuf.message import DecodeError, Message

from federation.errors import ProtocolError
from federation.proto.horizontal_pb2 import Declined, Order, Reply

PROTOCOL_VERSION = 2
# A contribution of 8 bytes a parameter: models of up to 30 million parameters.
MAX_MESSAGE_BYTES = 256 * 1024 * 1024

_ORDER_FIELDS = {
    type(getattr(Order(), field.name)): field.name
    for field in Order.DESCRIPTOR.oneofs_by_name["body"].fields
}
_REPLY_FIELDS = {
    type(getattr(Reply(), field.name)): field.name
    for field in Reply.DESCRIPTOR.oneofs_by_name["body"].fields
}


def encode_order(run: str, bank: str, sequence: int, body: Message) -> bytes:
    """One order for one bank."""
    order = Order(protocol_version=PROTOCOL_VERSION, run=run, bank=bank, sequence=sequence)
    field = getattr(order, _ORDER_FIELDS[type(body)])
    field.CopyFrom(body)
    field.SetInParent()  # a body without fields set is still that body
    return order.SerializeToString()


def encode_reply(order: Order, body: Message) -> bytes:
    """The reply to an order."""
    reply = Reply(
        protocol_version=PROTOCOL_VERSION, run=order.run, bank=order.bank, sequence=order.sequence
    )
    field = getattr(reply, _REPLY_FIELDS[type(body)])
    field.CopyFrom(body)
    field.SetInParent()
    return reply.SerializeToString()


def decode_order(data: bytes, run: str, bank: str) -> Order:
    """Parse an order that came to this bank.

    Raises:
        ProtocolError: damaged, of another version or run, for another bank, or without a body.
    """
    order = Order()
    _parse(order, data, "the coordinator")
    if order.protocol_version != PROTOCOL_VERSION:
        raise ProtocolError(
            f"the coordinator speaks version {order.protocol_version} of the horizontal protocol, "
            f"this bank version {PROTOCOL_VERSION}; install the same release of veilscore"
        )
    if order.run != run or order.bank != bank:
        raise ProtocolError(
            f"an order for '{order.bank}' in run '{order.run}' came to '{bank}' in run '{run}'"
        )
    if order.WhichOneof("body") is None:
        raise ProtocolError("the coordinator's order has no content that this version knows")
    return order


def decode_reply(data: bytes, run: str, bank: str, sequence: int) -> Reply:
    """Parse a bank's reply to the order of that sequence number.

    Raises:
        ProtocolError: damaged, of another run, bank or order, or without a body; names the bank.
    """
    reply = Reply()
    _parse(reply, data, bank)
    if reply.protocol_version != PROTOCOL_VERSION:
        raise ProtocolError(
            f"{bank} speaks version {reply.protocol_version} of the horizontal protocol; "
            f"version {PROTOCOL_VERSION} is right"
        )
    if (reply.run, reply.bank) != (run, bank):
        raise ProtocolError(
            f"{bank} sent a reply of '{reply.bank}' in run '{reply.run}'; its own in run '{run}' "
            "is right"
        )
    if reply.sequence != sequence:
        raise ProtocolError(
            f"{bank} sent its reply to order {reply.sequence} again; the reply to order {sequence} "
            "is right"
        )
    if reply.WhichOneof("body") is None:
        raise ProtocolError(f"the reply of {bank} has no content that this version knows")
    return reply


def _parse(message: Message, data: bytes, sender: str) -> None:
    if len(data) > MAX_MESSAGE_BYTES:
        raise ProtocolError(
            f"a message of {len(data)} bytes from {sender} is over the limit of {MAX_MESSAGE_BYTES}"
        )
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise ProtocolError(
            f"a message of {len(data)} bytes from {sender} is truncated or damaged"
        ) from error


def declined(order: bytes, sentence: str) -> bytes:
    """The reply of a bank that can't follow an order, whatever is wrong with it."""
    parsed = Order()
    with contextlib.suppress(DecodeError):
        parsed.ParseFromString(order)
    return encode_reply(parsed, Declined(reason=sentence))


def reply_kind(body: Message) -> str:
    """The name of a reply's field, for the disclosure log."""
    return _REPLY_FIELDS[type(body)]
