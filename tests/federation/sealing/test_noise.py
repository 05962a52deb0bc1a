"""The handshake against an independent implementation of the Noise framework, both ways."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from noise.connection import Keypair, NoiseConnection

from federation.sealing.noise import PROTOCOL_NAME, HandshakeError, KKHandshake

PROLOGUE = b"veilscore test"


def public(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def judge(initiator: bool, own: X25519PrivateKey, peer: bytes) -> NoiseConnection:
    connection = NoiseConnection.from_name(PROTOCOL_NAME)
    (connection.set_as_initiator if initiator else connection.set_as_responder)()
    connection.set_prologue(PROLOGUE)
    connection.set_keypair_from_private_bytes(Keypair.STATIC, own.private_bytes_raw())
    connection.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, peer)
    connection.start_handshake()
    return connection


def test_our_initiator_speaks_with_another_implementation() -> None:
    ours, theirs = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    other = judge(False, theirs, public(ours))
    handshake = KKHandshake(True, ours, public(theirs), PROLOGUE)
    assert other.read_message(handshake.write_opening(b"versions")) == b"versions"
    assert handshake.read_reply(bytes(other.write_message(b"mine"))) == b"mine"
    keys = handshake.split()
    state = other.noise_protocol
    assert keys.sending == state.cipher_state_decrypt.k
    assert keys.receiving == state.cipher_state_encrypt.k


def test_our_responder_speaks_with_another_implementation() -> None:
    ours, theirs = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    other = judge(True, theirs, public(ours))
    handshake = KKHandshake(False, ours, public(theirs), PROLOGUE)
    assert handshake.read_opening(bytes(other.write_message(b"versions"))) == b"versions"
    assert other.read_message(handshake.write_reply(b"mine")) == b"mine"
    keys = handshake.split()
    state = other.noise_protocol
    assert keys.sending == state.cipher_state_decrypt.k
    assert keys.receiving == state.cipher_state_encrypt.k


def pair(
    prologues: tuple[bytes, bytes] = (PROLOGUE, PROLOGUE),
) -> tuple[KKHandshake, KKHandshake]:
    left, right = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    return (
        KKHandshake(True, left, public(right), prologues[0]),
        KKHandshake(False, right, public(left), prologues[1]),
    )


def test_both_sides_hold_crossed_keys_and_two_sessions_share_none() -> None:
    left, right = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    seen: set[bytes] = set()
    for _ in range(2):
        first = KKHandshake(True, left, public(right), PROLOGUE)
        second = KKHandshake(False, right, public(left), PROLOGUE)
        second.read_opening(first.write_opening(b""))
        first.read_reply(second.write_reply(b""))
        a, b = first.split(), second.split()
        assert (a.sending, a.receiving) == (b.receiving, b.sending)
        seen |= {a.sending, a.receiving}
    assert len(seen) == 4


def test_another_prologue_opens_nothing() -> None:
    first, second = pair((PROLOGUE, b"another session"))
    with pytest.raises(HandshakeError):
        second.read_opening(first.write_opening(b""))


def test_another_long_term_key_opens_nothing_in_either_message() -> None:
    left, right, mallory = (X25519PrivateKey.generate() for _ in range(3))
    impostor = KKHandshake(True, mallory, public(right), PROLOGUE)
    with pytest.raises(HandshakeError):
        KKHandshake(False, right, public(left), PROLOGUE).read_opening(impostor.write_opening(b""))
    first = KKHandshake(True, left, public(right), PROLOGUE)
    first.write_opening(b"")
    pretender = KKHandshake(False, mallory, public(left), PROLOGUE)
    pretender._peer_ephemeral = first._ephemeral.public_key()  # it saw the opening, unopened
    with pytest.raises(HandshakeError):
        first.read_reply(pretender.write_reply(b""))


@pytest.mark.parametrize("small", [bytes(32), (1).to_bytes(32, "little")])
def test_a_point_of_small_order_is_refused(small: bytes) -> None:
    _, second = pair()
    with pytest.raises(HandshakeError, match="no proper one"):
        second.read_opening(small + bytes(16))


def test_a_reply_before_its_opening_is_refused() -> None:
    _, second = pair()
    with pytest.raises(HandshakeError, match="before the opening"):
        second.write_reply(b"")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=120))
def test_any_bytes_as_an_opening_are_refused(garbage: bytes) -> None:
    _, second = pair()
    with pytest.raises(HandshakeError):
        second.read_opening(garbage)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 55), st.integers(1, 255))
def test_a_changed_byte_is_noticed(at: int, change: int) -> None:
    first, second = pair()
    message = bytearray(first.write_opening(b"versions"))
    message[at] ^= change
    with pytest.raises(HandshakeError):
        second.read_opening(bytes(message))
