"""Whom the relay lets in, and what strangers at its port do to a session that runs: nothing."""

from __future__ import annotations

import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from federation.errors import InputError, PartyFailure
from federation.identity import PartyKey
from federation.identity.certificates import TlsIdentity, party_identity
from federation.session.relay_messages import MAX_MESSAGE_BYTES, parcel_message
from federation.session.wire import MAX_PARCEL_BYTES
from server.coordinator.relay import Relay, RelayLimits
from server.coordinator.relay_admission import LINES_A_MINUTE
from tests.clients.small_sessions import (
    SECONDS,
    SESSION,
    by_hand,
    in_thread,
    key,
    no_thread_left,
    relay_of,
    sending,
    taking,
)

QUICK = RelayLimits(handshake_seconds=0.5)


@pytest.fixture(autouse=True)
def _leaves_no_thread() -> Iterator[None]:
    with no_thread_left():
        yield


@contextmanager
def a_session_goes_on() -> Iterator[Relay]:
    """A relay with a bank that waits; when the test is through, its session ends well."""
    with relay_of("bank", "platform", limits=QUICK) as relay:
        bank = in_thread(relay, "bank", taking(["platform"], 3, 1000))
        while not relay._seats["bank"].joined:
            time.sleep(0.01)
        yield relay
        platform = in_thread(relay, "platform", sending(["bank"], 3, 1000))
        relay.wait()
        assert bank.result(SECONDS) == [("platform", number) for number in range(3)]
        platform.result(SECONDS)


def issued_by(
    signer: str, party: str = "platform", session: str = SESSION, now: datetime | None = None
) -> TlsIdentity:
    """A certificate for a party that some party's key has signed."""
    return party_identity(key(signer), party, session, now)


@pytest.mark.parametrize(
    ("identity", "sentence"),
    [
        (
            issued_by("platform", session="session-0"),
            "platform's certificate is for session 'session-0'; this is session 'session-1'",
        ),
        (
            issued_by("platform", party="bank"),
            "its certificate is for 'bank' but not signed with the key that is pinned for bank",
        ),
        (
            issued_by("platform", party="mallory"),
            "its certificate is for 'mallory', no party of this session",
        ),
        (issued_by("bank"), "its certificate is for 'platform' but not signed with the key"),
        (issued_by("bank", party="bank"), "bank is here already"),
    ],
    ids=["another run", "another's name", "a stranger's name", "another's key", "twice"],
)
def test_whom_the_relay_refuses(
    identity: TlsIdentity, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each with its sentence, at the client and in the coordinator's log; the session goes on."""
    with a_session_goes_on() as relay, by_hand(relay, "platform", identity=identity) as stream:
        with pytest.raises(grpc.RpcError) as raised:
            stream.read()
        assert sentence in str(raised.value.details())  # type: ignore[attr-defined]
        assert sentence in caplog.text


@pytest.mark.parametrize("hours", [-25, 25], ids=["expired", "not valid yet"])
def test_a_certificate_out_of_date_is_refused(hours: int) -> None:
    """TLS itself hangs up on it; the party's clock is in the sentence that it gets."""
    then = datetime.now(UTC) + timedelta(hours=hours)
    with (
        a_session_goes_on() as relay,
        by_hand(relay, "platform", identity=issued_by("platform", now=then)) as stream,
    ):
        with pytest.raises(grpc.RpcError) as raised:
            stream.read()
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]


def test_a_key_that_is_not_pinned_is_refused() -> None:
    """The party is told all that may be wrong, in one sentence."""
    with a_session_goes_on() as relay:
        other = PartyKey(b"x" * 32)
        refused = in_thread(relay, "platform", sending(["bank"], 3), with_key=other)
        sentence = (
            f"the relay at {relay.address} hung up on this party's certificate: the party's key "
            "is not the one that the coordinator has pinned for it, or its clock is wrong, or the "
            "address is another run's"
        )
        with pytest.raises(PartyFailure, match=f"^{re.escape(sentence)}"):
            refused.result(SECONDS)


def test_a_party_of_another_run_hears_it() -> None:
    """Through its channel, as a sentence."""
    with a_session_goes_on() as relay:
        stray = in_thread(relay, "platform", sending(["bank"], 3), session="session-0")
        sentence = (
            f"^the relay at {relay.address} refused this party: platform's certificate is for"
        )
        with pytest.raises(PartyFailure, match=sentence):
            stray.result(SECONDS)


def test_a_client_without_a_certificate_is_refused() -> None:
    """TLS of both sides is a must."""
    with a_session_goes_on() as relay:
        credentials = grpc.ssl_channel_credentials(relay.certificate)
        options = [("grpc.ssl_target_name_override", "relay.veilscore.internal")]
        with grpc.secure_channel(relay.address, credentials, options) as channel:
            call = channel.stream_stream("/veilscore.relay.Relay/Session")(iter(()))
            with pytest.raises(grpc.RpcError):
                next(call)
        with (
            grpc.insecure_channel(relay.address) as channel,
            pytest.raises(grpc.RpcError),
        ):
            next(channel.stream_stream("/veilscore.relay.Relay/Session")(iter(())))


@pytest.mark.parametrize("versions", [None, "", "two", "2;3", "9" * 50, ",".join("1" * 40)])
def test_a_party_that_offers_no_versions_is_refused(versions: str | None) -> None:
    """What is no list of versions is no reason to end the session."""
    with (
        a_session_goes_on() as relay,
        by_hand(relay, "platform", versions=versions) as stream,
    ):
        with pytest.raises(grpc.RpcError) as raised:
            stream.read()
        assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED  # type: ignore[attr-defined]


def _garbage(port: int) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    peer.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
    return peer


def _one_byte(port: int) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    peer.sendall(b"\x16")  # how a TLS handshake begins
    return peer


def _nothing(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def _tls_then_nothing(port: int) -> socket.socket:
    """TLS as the bank, and not a byte of HTTP/2."""
    identity = issued_by("bank", party="bank")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with ExitStack() as stack:
        path = stack.enter_context(_in_a_file(identity))
        context.load_cert_chain(path)
    return context.wrap_socket(_nothing(port))


@contextmanager
def _in_a_file(identity: TlsIdentity) -> Iterator[Path]:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(identity.private_key + identity.certificate)
        file.flush()
        yield Path(file.name)


@pytest.mark.parametrize(
    "connect",
    [_garbage, _one_byte, _nothing, _tls_then_nothing],
    ids=["garbage", "one byte", "nothing", "TLS and nothing"],
)
def test_connections_that_say_nothing_useful_are_closed(
    connect: Callable[[int], socket.socket],
) -> None:
    """Each within the handshake's time, many at once, while a session runs."""
    with a_session_goes_on() as relay, ExitStack() as stack:
        port = int(relay.address.rpartition(":")[2])
        peers = [stack.enter_context(connect(port)) for _ in range(20)]
        for peer in peers:
            try:
                while peer.recv(4096):
                    continue
            except ConnectionResetError:
                continue


def test_many_streams_of_one_party_keep_nobody_out() -> None:
    """Each is refused at once, whatever it holds open."""
    with a_session_goes_on() as relay, ExitStack() as stack:
        streams = [stack.enter_context(by_hand(relay, "bank")) for _ in range(30)]
        for stream in streams:
            with pytest.raises(grpc.RpcError) as raised:
                stream.read()
            assert raised.value.code() is grpc.StatusCode.ALREADY_EXISTS  # type: ignore[attr-defined]
        assert sum(t.name.startswith("relay") for t in threading.enumerate()) <= 2 + 4 + 1


def test_refused_streams_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """A few lines a minute say it."""
    caplog.set_level(logging.WARNING, "veilscore.coordinator")
    with a_session_goes_on() as relay:
        for _ in range(LINES_A_MINUTE + 20):
            with by_hand(relay, "bank") as stream, pytest.raises(grpc.RpcError):
                stream.read()
    lines = [record.getMessage() for record in caplog.records]
    assert LINES_A_MINUTE <= len(lines) <= 2 * LINES_A_MINUTE  # a minute may end in between
    assert any(line.endswith("more of this minute are not logged") for line in lines)
    assert "PRIVATE" not in caplog.text


def test_a_stream_that_stays_silent_is_noticed() -> None:
    """A party that is let in and says nothing more, not even that it lives, ends the session."""
    limits = RelayLimits(lost_seconds=0.6, heartbeat_seconds=0.1)
    with relay_of("bank", "platform", limits=limits) as relay, by_hand(relay, "platform"):
        sentence = (
            "^platform has not been heard of for 0.6 s; check its process and the network, then "
            "start again$"
        )
        with pytest.raises(PartyFailure, match=sentence):
            relay.wait()


def test_a_parcel_that_is_too_large_is_refused_by_name() -> None:
    """A little too large: with both lengths. Far too large: the stream breaks."""
    for size, sentence in (
        (
            MAX_PARCEL_BYTES + 1,
            f"platform sent what can't be passed on: a frame of {MAX_PARCEL_BYTES + 1} ",
        ),
        (MAX_MESSAGE_BYTES + 1, "platform: left before the session had ended; its log says why"),
    ):
        with relay_of("bank", "platform") as relay, by_hand(relay, "platform") as stream:
            bank = in_thread(relay, "bank", taking(["platform"], 1))
            assert stream.read_past_heartbeats().HasField("begin")
            small = parcel_message("bank", b"x")
            assert small == b"\x12\x09\x0a\x04bank\x12\x01x"
            stream.send(_parcel_of(size))
            for wait in (relay.wait, lambda run=bank: run.result(SECONDS)):
                with pytest.raises(PartyFailure, match=f"^{re.escape(sentence)}"):
                    wait()


def _parcel_of(size: int) -> bytes:
    from federation.proto.relay_pb2 import FromParty, Parcel

    return FromParty(parcel=Parcel(peer="bank", frame=bytes(size))).SerializeToString()


def test_two_parties_with_one_key_are_refused() -> None:
    """Whoever holds it would be both."""
    pin = key("bank").public
    with pytest.raises(InputError, match="bank and platform have the same party key"):
        Relay(SESSION, {"bank": pin, "platform": pin})


def test_a_port_that_is_taken_is_named() -> None:
    """One clear sentence instead of gRPC's."""
    with relay_of("bank") as relay:
        again = relay_of("bank", listen=relay.address)
        with pytest.raises(InputError, match=f"can't listen on '{relay.address}'; a free port"):
            again.__enter__()
        again.__exit__()
