"""A party's machine with everything that leaves it sealed, and everything that comes opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from federation.errors import ProtocolError
from federation.identity import PartyKey, PartyPublicKey
from federation.sealing.channel import (
    Piece,
    PieceKind,
    SealedChannel,
    check_channel,
    direction,
    piece_header,
)
from federation.sealing.noise import HandshakeError, KKHandshake
from federation.session.machine import Machine
from federation.session.wire import PROTOCOL_VERSION, SUPPORTED_VERSIONS


class SealedMachine:
    """Drives a machine whose frames travel sealed; itself driven like a machine.

    Args:
        machine: the party's protocol.
        key: this party's long-term key.
        pins: the peers' public keys that this party trusts, and no others'.
        opens: whether this side opens the handshakes (the label party does); a peer's opening is
            then refused, and the other way round.
        versions: protocol versions that this side speaks; told to the peer under seal, so that a
            carrier that talks two parties into an older one is found out.
    """

    def __init__(
        self,
        machine: Machine[Any],
        key: PartyKey,
        pins: Mapping[str, PartyPublicKey],
        opens: bool,
        versions: tuple[int, ...] = SUPPORTED_VERSIONS,
    ) -> None:
        """Nothing is drawn before the first frame."""
        self._machine = machine
        self._key = key
        self._pins = {peer: pin for peer, pin in pins.items() if peer != machine.party}
        self._opens = opens
        self._versions = versions
        self._version = PROTOCOL_VERSION
        self._handshakes: dict[str, KKHandshake] = {}
        self._channels: dict[str, SealedChannel] = {}
        self._waiting: dict[str, list[bytes]] = {}

    @property
    def party(self) -> str:
        """The machine's party."""
        return self._machine.party

    @property
    def session(self) -> str:
        """The machine's session."""
        return self._machine.session

    @property
    def finished(self) -> bool:
        """Whether the machine has finished."""
        return self._machine.finished

    @property
    def result(self) -> Any:
        """What the machine's role returned."""
        return self._machine.result

    @property
    def waiting_for(self) -> str:
        """In words, what this party waits for."""
        unanswered = [peer for peer in self._handshakes if peer not in self._channels]
        if unanswered:
            return f"the handshake of {', '.join(sorted(unanswered))}"
        return self._machine.waiting_for

    def use_version(self, version: int) -> None:
        """Run the session under the version that its carrier found all parties to speak.

        Before `start`. The peer must have been told the same, or the handshake does not open; and
        it must be the newest that both speak, or the handshake is refused.
        """
        self._machine.use_version(version)
        self._version = version

    def start(self) -> Iterator[tuple[str, bytes]]:
        """Open the handshakes that this side opens, and run the role to its first wait."""
        if self._opens:
            for peer in self._pins:
                handshake = self._handshake(peer)
                body = handshake.write_opening(bytes(self._versions))
                yield peer, self._frame(peer, PieceKind.OPENING, body)
        yield from self._seal(self._machine.start())

    def receive(self, frame: bytes, sender: str | None = None) -> Iterator[tuple[str, bytes]]:
        """Take one frame that arrived; yields the frames to deliver because of it.

        Args:
            frame: a piece.
            sender: who sent it, as the transport knows.

        Raises:
            ProtocolError: the frame is not the next one that this peer sealed for this party.
        """
        if sender is None:
            raise ProtocolError("a sealed frame came without its sender's name")
        piece = Piece.parse(frame, sender)
        if sender not in self._pins:
            raise ProtocolError(
                f"{self.party} was given a message from {sender}, with whom it exchanges none in "
                f"this session; only {', '.join(sorted(self._pins)) or 'nobody'} may send it any"
            )
        if piece.kind is PieceKind.OPENING:
            return self._take_opening(sender, piece)
        if piece.kind is PieceKind.REPLY:
            return self._take_reply(sender, piece)
        channel = self._channels.get(sender)
        if channel is None:
            raise ProtocolError(f"a message from {sender} came before its handshake was over")
        message = channel.open(piece)
        if message is None:
            return iter(())
        return self._seal(self._machine.receive(message, sender))

    def _take_opening(self, sender: str, piece: Piece) -> Iterator[tuple[str, bytes]]:
        if self._opens or sender in self._handshakes:
            raise ProtocolError(
                f"{sender} opened a handshake that is not its to open, or opened it twice"
            )
        self._check_handshake(sender, piece)
        handshake = self._handshake(sender)
        try:
            offered = handshake.read_opening(piece.sealed)
            reply = handshake.write_reply(bytes(self._versions))
        except HandshakeError as error:
            raise self._not_the_pinned(sender) from error
        self._check_versions(sender, offered)
        self._open_channel(sender, handshake)
        yield sender, self._frame(sender, PieceKind.REPLY, reply)
        yield from self._flush(sender)

    def _take_reply(self, sender: str, piece: Piece) -> Iterator[tuple[str, bytes]]:
        handshake = self._handshakes.get(sender)
        if not self._opens or handshake is None or sender in self._channels:
            raise ProtocolError(f"{sender} replied to a handshake that was not opened, or twice")
        self._check_handshake(sender, piece)
        try:
            offered = handshake.read_reply(piece.sealed)
        except HandshakeError as error:
            raise self._not_the_pinned(sender) from error
        self._check_versions(sender, offered)
        self._open_channel(sender, handshake)
        yield from self._flush(sender)

    def _seal(self, frames: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        for recipient, frame in frames:
            if recipient not in self._pins:
                raise ProtocolError(
                    f"{self.party} has no pinned key of {recipient}, to whom its message goes"
                )
            channel = self._channels.get(recipient)
            if channel is None:
                self._waiting.setdefault(recipient, []).append(frame)
                continue
            for piece in channel.seal(frame):
                yield recipient, piece

    def _flush(self, peer: str) -> Iterator[tuple[str, bytes]]:
        """What the role sent before the handshake was over."""
        for frame in self._waiting.pop(peer, []):
            for piece in self._channels[peer].seal(frame):
                yield peer, piece

    def _handshake(self, peer: str) -> KKHandshake:
        pair = (self.party, peer) if self._opens else (peer, self.party)
        prologue = b"veilscore handshake 1" + bytes([self._version])
        prologue += direction(self.session, *pair)
        made = KKHandshake(self._opens, self._key.sealing, self._pins[peer].sealing, prologue)
        self._handshakes[peer] = made
        return made

    def _open_channel(self, peer: str, handshake: KKHandshake) -> None:
        self._channels[peer] = SealedChannel(handshake.split(), self.session, self.party, peer)

    def _frame(self, peer: str, kind: PieceKind, body: bytes) -> bytes:
        return piece_header(kind, direction(self.session, self.party, peer)[:8], 0) + body

    def _check_handshake(self, sender: str, piece: Piece) -> None:
        bound_to = direction(self.session, sender, self.party)
        check_channel(piece, bound_to, sender, self.party, self.session)

    def _check_versions(self, sender: str, offered: bytes) -> None:
        """Both sides speak the version in use, and no newer one in common."""
        common = set(self._versions) & set(offered)
        if max(common, default=None) != self._version:
            raise ProtocolError(
                f"{sender} speaks protocol versions {_listed(offered)}, {self.party} "
                f"{_listed(self._versions)}, and the session runs under {self._version}: who "
                "carries the messages chose it, or a release is too old; install the same release"
            )

    def _not_the_pinned(self, sender: str) -> ProtocolError:
        pin = self._pins[sender].fingerprint
        return ProtocolError(
            f"{sender}'s handshake does not open with the key that {self.party} has pinned for it "
            f"({pin}), or {sender} has pinned another one for {self.party} (its own is "
            f"{self._key.public.fingerprint}): compare both with `veilscore keys`"
        )


def _listed(versions: bytes | tuple[int, ...]) -> str:
    return ", ".join(str(version) for version in versions) or "none"
