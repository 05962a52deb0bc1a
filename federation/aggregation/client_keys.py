"""One client of secure sums up to the first step: its keys, the roster, and its masks' secrets.

Rounds 0 and 1 of Bonawitz et al. 2017, figure 4, and the run's encryption key. What follows in a
step is in `client`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federation.aggregation import preparation
from federation.aggregation.layout import VectorLayout
from federation.aggregation.messages import STATE_VERSION, require_names, restored
from federation.aggregation.roster import KEY_BYTES, Roster, SealedPair
from federation.aggregation.run_key import check_parcel, unwrap_key, wrap_key
from federation.aggregation.sum_ciphers import SumCipher, sum_cipher
from federation.errors import BlamedError, ProtocolError
from federation.proto.secure_sum_pb2 import ClientState, KeyParcel, Preparation


class KeyedClient:
    """What a client of one run has and agrees on before it contributes to a sum."""

    def __init__(self, state: ClientState) -> None:
        """Use `start` or `from_bytes`."""
        if len(state.private_key) != KEY_BYTES:
            raise ValueError("a client has a private key of 32 bytes")
        self._state = state
        self._roster = Roster(state.run, dict(state.roster)) if state.roster else None

    def __repr__(self) -> str:
        """Who and where; nothing secret."""
        return f"{type(self).__name__}({self._state.party!r}, run {self._state.run!r})"

    @classmethod
    def start(cls, party: str, run: str) -> Self:
        """A client with a fresh key for this run."""
        private = X25519PrivateKey.generate().private_bytes_raw()
        return cls(ClientState(version=STATE_VERSION, run=run, party=party, private_key=private))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """A client as it was at `to_bytes`.

        Raises:
            InputError: the bytes are no such state.
        """
        return restored(ClientState, data, cls)

    def to_bytes(self) -> bytes:
        """Everything the client must remember. Secret: for its vault only."""
        return self._state.SerializeToString()

    @property
    def public_key(self) -> bytes:
        """32 bytes for the roster."""
        private = X25519PrivateKey.from_private_bytes(self._state.private_key)
        return private.public_key().public_bytes_raw()

    @property
    def cipher(self) -> SumCipher:
        """The run's cipher, sized for the roster; there once the key is."""
        if not self._state.scheme:
            raise ProtocolError(f"{self._state.party} has no encryption key of this run yet")
        return sum_cipher(self._state.scheme, len(self._agreed.keys))

    def layout(self, length: int, fields: int, largest: int = 0) -> VectorLayout:
        """The place of `length` values in a vector of slots, sized for the roster.

        Raises:
            InputError: so many clients' values of up to `largest` do not fit a field.
        """
        return VectorLayout(length, self.cipher.modulus, len(self.roster), fields, largest)

    @property
    def has_agreed(self) -> bool:
        """Whether this client has taken a roster, which can't change any more."""
        return self._roster is not None

    @property
    def roster(self) -> Mapping[str, bytes]:
        """All clients' run keys, by name."""
        return self._agreed.keys

    @property
    def _agreed(self) -> Roster:
        if self._roster is None:
            raise ProtocolError(f"{self._state.party} knows no roster of the run yet")
        return self._roster

    def agree(self, roster: Mapping[str, bytes], minimum: int = 3, dropouts: int = 0) -> None:
        """Take all clients' run keys.

        Args:
            roster: by name; must hold this client's own key.
            minimum: fewest clients in a sum that this client takes part in, at least 2 (in a sum
                of two, each learns the other's vector).
            dropouts: how many clients may be missing when masks are taken off.

        Raises:
            ProtocolError: the roster is not right, or another was agreed before.
        """
        if minimum < 2:
            raise ValueError("a sum of one client's vector would be that vector")
        agreed = Roster(self._state.run, dict(roster))
        if self._roster is not None and self._roster.digest != agreed.digest:
            raise ProtocolError("the roster of a run can't change once it is agreed")
        if agreed.keys.get(self._state.party) != self.public_key:
            raise ProtocolError(f"the roster does not hold the run key of {self._state.party}")
        if len(agreed.keys) < minimum:
            raise ProtocolError(
                f"{len(agreed.keys)} clients on the roster are fewer than the {minimum} that "
                f"{self._state.party} asks for"
            )
        self._roster = agreed
        self._state.minimum, self._state.dropouts = minimum, dropouts
        self._state.roster.update(agreed.keys)

    def make_key(self, scheme: str) -> KeyParcel:
        """Draw the run's encryption key; for the first client by name only, once.

        Raises:
            ProtocolError: this client is not the first, or made a key before.
            InputError: there is no such scheme, or it can't serve so many clients.
        """
        roster, state = self._agreed, self._state
        if roster.first != state.party:
            raise ProtocolError(f"the run's key is made by {roster.first}, not by {state.party}")
        if state.secret_key:
            raise ProtocolError(f"{state.party} has made the run's key already")
        parcel, state.secret_key = wrap_key(roster, scheme, self._pair)
        state.scheme, state.key_id = scheme, parcel.key_id
        return parcel

    def take_key(self, parcel: KeyParcel) -> None:
        """Unwrap the run's encryption key.

        Raises:
            ProtocolError: it is of another run or roster, not from the first client, or does not
                open with this client's run key.
        """
        roster, state = self._agreed, self._state
        check_parcel(roster, parcel)
        if state.secret_key:
            if state.key_id != parcel.key_id:
                raise BlamedError(parcel.party, f"{parcel.party} made a second key for the run")
            return
        state.secret_key = unwrap_key(roster, state.party, parcel, self._pair)
        state.scheme, state.key_id = parcel.scheme, parcel.key_id

    def prepare(
        self,
        first_step: int,
        steps: int,
        dropouts: int | None = None,
        members: Collection[str] | None = None,
    ) -> Preparation:
        """Draw and share the masks' secrets for a block of steps.

        Args:
            first_step, steps: the block.
            dropouts: how many of the members may be missing; as agreed unless told.
            members: who holds shares; all clients unless told.

        Raises:
            InputError: so many dropouts would leave half of the members or fewer.
            ProtocolError: the members are not right, or a step was prepared before.
        """
        roster = self._agreed
        chosen = roster.names if members is None else sorted(members)
        require_names(chosen, roster.keys, "the members of a step")
        if self._state.party not in chosen or len(chosen) < self._state.minimum:
            raise ProtocolError(
                f"a step of {self._state.party} must have it among at least "
                f"{self._state.minimum} members"
            )
        block = preparation.Block(roster, self._state.party, first_step, steps, tuple(chosen))
        for step in block.numbers:
            if step in self._state.steps and self._state.party in self._state.steps[step].held:
                raise ProtocolError(f"{self._state.party} has prepared step {step} already")
        threshold = block.threshold(self._state.dropouts if dropouts is None else dropouts)
        message, secrets_of_steps = preparation.prepare(block, threshold, self._pair)
        for step, own in secrets_of_steps.items():
            kept = self._state.steps[step]
            kept.mask_key, kept.self_mask_seed = own.mask_key, own.self_mask_seed
            kept.held[self._state.party].CopyFrom(own.held)
        return message

    def take_preparations(self, preparations: Mapping[str, Preparation]) -> None:
        """Take other members' mask keys, and this client's shares of their secrets.

        Raises:
            ProtocolError: names whose preparation is not right; none is taken.
        """
        taken = {
            peer: preparation.open_shares(
                self._agreed, self._state.party, peer, message, self._pair
            )
            for peer, message in preparations.items()
            if peer != self._state.party
        }
        for peer, steps in taken.items():
            for step, shares in steps.items():
                held = self._state.steps[step].held
                if peer in held and held[peer].mask_public_key != shares.mask_public_key:
                    raise BlamedError(peer, f"{peer} prepared step {step} twice")
        for peer, steps in taken.items():
            for step, shares in steps.items():
                held = self._state.steps[step].held
                if peer not in held:  # a preparation may come again
                    held[peer].CopyFrom(shares)

    def _pair(self, peer: str) -> SealedPair:
        return SealedPair(self._agreed, self._state.private_key, self._state.party, peer)
