"""One client of secure sums: masks, encrypts, helps take masks off, and opens totals.

Two layers protect a client's vector. Encryption hides everything from the server, which never has
the key; masks (Bonawitz et al. 2017, see `masks`) hide it from the other clients, which all have
the key, even where one of them works together with the server. What remains is the sum.

The rule on which the masks rest: of every other client and step, a client gives away either its
share of the self-mask seed (the vector is in the sum) or its share of the mask key (it is not),
never both, and once. With more than half of the holders needed to rebuild a secret, a server that
tells two stories can't rebuild both, as long as no holder lies; with c lying holders of n the
threshold must be above (n + c) / 2.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from google.protobuf.message import DecodeError

from federation.aggregation import preparation
from federation.aggregation.layout import VectorLayout
from federation.aggregation.masks import adds, apply_masks, pair_seed, self_seed_stream
from federation.aggregation.messages import (
    STATE_VERSION,
    BlamedError,
    checksum,
    require_names,
    require_whole,
)
from federation.aggregation.roster import Roster, SealedPair
from federation.aggregation.run_key import check_parcel, unwrap_key, wrap_key
from federation.aggregation.sum_ciphers import SumCipher, sum_cipher
from federation.errors import InputError, ProtocolError
from federation.proto.secure_sum_pb2 import (
    ClientState,
    Contribution,
    KeyParcel,
    MaskedTotal,
    Preparation,
    StepState,
    UnmaskShares,
)

Words = npt.NDArray[np.uint64]


class SecureSumClient:
    """One client in one run, without I/O. Its state is secret, and must be stored before an
    answer that it gave is sent: a client that forgot an answer could be made to give another."""

    def __init__(self, state: ClientState) -> None:
        """Use `start` or `from_bytes`."""
        self._state = state
        self._roster = Roster(state.run, dict(state.roster)) if state.roster else None

    def __repr__(self) -> str:
        """Who and where; nothing secret."""
        return f"SecureSumClient({self._state.party!r}, run {self._state.run!r})"

    @classmethod
    def start(cls, party: str, run: str) -> SecureSumClient:
        """A client with a fresh key for this run."""
        private = X25519PrivateKey.generate().private_bytes_raw()
        return cls(ClientState(version=STATE_VERSION, run=run, party=party, private_key=private))

    @classmethod
    def from_bytes(cls, data: bytes) -> SecureSumClient:
        """A client as it was at `to_bytes`.

        Raises:
            InputError: the bytes are no such state.
        """
        try:
            state = ClientState.FromString(data)
            if state.version != STATE_VERSION or len(state.private_key) != 32:
                raise ValueError(f"version {state.version}")
            return cls(state)
        except (DecodeError, ValueError, ProtocolError) as error:
            raise InputError(
                f"the stored state of the secure sum ({len(data)} bytes) is damaged or of another "
                "version; the run must be started again"
            ) from error

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

    def contribute(self, step: int, participants: Sequence[str], slots: Words) -> Contribution:
        """Mask and encrypt one vector; each step takes one.

        Args:
            step: prepared by all participants.
            participants: between whom the pairwise masks run, this client among them.
            slots: (n,) below the cipher's modulus.

        Raises:
            ProtocolError: too few participants, one without preparation, or a second vector.
        """
        state, roster, kept = self._state, self._agreed, self._prepared(step)
        present = require_names(participants, roster.keys, "the participants of a step")
        if state.party not in present:
            raise ProtocolError(f"{state.party} was asked for a vector that it has no part in")
        if len(present) < state.minimum:
            raise ProtocolError(
                f"{len(present)} participants in step {step} are fewer than the {state.minimum} "
                f"that {state.party} asks for"
            )
        if kept.contributed or kept.unmasked:
            raise ProtocolError(f"{state.party} contributed to step {step} or closed it already")
        unprepared = [name for name in present if name not in kept.held]
        if unprepared:
            raise ProtocolError(f"step {step} was not prepared by {', '.join(unprepared)}")
        cipher = self.cipher
        if slots.dtype != np.uint64 or slots.ndim != 1 or slots.size == 0:
            raise ValueError("slots must be a vector of uint64")
        if slots.max() >= cipher.modulus:
            raise ValueError(f"slots must be below the cipher's modulus {cipher.modulus}")
        masked = slots.copy()
        added = [self_seed_stream(roster, step, state.party, kept.self_mask_seed)]
        subtracted: list[bytes] = []
        for peer in present:
            if peer != state.party:
                public = kept.held[peer].mask_public_key
                seed = pair_seed(roster, step, state.party, peer, kept.mask_key, public)
                (added if adds(state.party, peer) else subtracted).append(seed)
        apply_masks(masked, added, subtracted)
        masked &= np.uint64(cipher.modulus - 1)
        ciphertext = cipher.encrypt(state.secret_key, masked)
        message = Contribution(
            run=state.run,
            party=state.party,
            step=step,
            key_id=state.key_id,
            participants=present,
            slots=slots.size,
            ciphertext=ciphertext,
        )
        message.checksum = checksum(message, ciphertext)
        # Once used, the secrets are needed no more; the shares of them are with the others.
        kept.contributed, kept.mask_key, kept.self_mask_seed = True, b"", b""
        kept.participants.extend(present)
        return message

    def unmask(
        self, step: int, participants: Sequence[str], survivors: Sequence[str]
    ) -> UnmaskShares:
        """Give what takes the masks off a sum; once a step.

        Args:
            step: of the sum.
            participants: who was to contribute.
            survivors: whose vectors are in the sum.

        Raises:
            ProtocolError: too few survivors, other participants than at this client's own
                contribution, an unprepared one, or a second request for the step.
        """
        state, kept = self._state, self._prepared(step)
        if kept.unmasked:
            raise ProtocolError(
                f"{state.party} was asked twice to take the masks off step {step}; once is all it "
                "may do"
            )
        present = require_names(participants, self._agreed.keys, "the participants of a step")
        in_sum = require_names(survivors, present, "the survivors of a step")
        if kept.contributed and present != list(kept.participants):
            raise ProtocolError(
                f"step {step} has other participants than when {state.party} contributed"
            )
        if len(in_sum) < state.minimum:
            raise ProtocolError(
                f"{len(in_sum)} contributions to step {step} are fewer than the {state.minimum} "
                f"that {state.party} asks for"
            )
        unprepared = [name for name in present if name not in kept.held]
        if unprepared:
            raise ProtocolError(f"step {step} was not prepared by {', '.join(unprepared)}")
        message = UnmaskShares(run=state.run, party=state.party, step=step)
        for name in present:
            held = kept.held[name]
            if name in in_sum:
                message.self_mask_shares[name] = held.self_mask_share
            else:
                message.mask_key_shares[name] = held.mask_key_share
        _close(kept, in_sum)
        return message

    def open(self, step: int, total: MaskedTotal, count: int) -> Words:
        """Decrypt a sum.

        Args:
            step: of the sum.
            total: from the server.
            count: slots (n,) that it must hold.

        Raises:
            ProtocolError: it is another sum, or no sum at all.
        """
        state = self._state
        if (total.run, total.step, total.key_id) != (state.run, step, state.key_id):
            raise ProtocolError(f"the server's total is not of step {step} of this run")
        survivors = require_names(total.survivors, self._agreed.keys, "the survivors of a step")
        kept = state.steps[step] if step in state.steps else StepState()
        if kept.unmasked and survivors != list(kept.survivors):
            raise ProtocolError(f"the total of step {step} has other survivors than were unmasked")
        if len(survivors) < state.minimum:
            raise ProtocolError(
                f"{len(survivors)} vectors in the total of step {step} are fewer than the "
                f"{state.minimum} that {state.party} asks for"
            )
        if total.slots != count:
            raise ProtocolError(
                f"the total of step {step} has {total.slots} slots where {count} are right"
            )
        ciphertext = total.ciphertext
        fault = self.cipher.check(ciphertext, count)
        if fault:
            raise ProtocolError(f"the server sent {fault}")
        require_whole(total, ciphertext, "the server")
        return self.cipher.decrypt(state.secret_key, ciphertext, count)

    def _prepared(self, step: int) -> StepState:
        if step not in self._state.steps:
            raise ProtocolError(f"step {step} was not prepared at {self._state.party}")
        return self._state.steps[step]

    def _pair(self, peer: str) -> SealedPair:
        return SealedPair(self._agreed, self._state.private_key, self._state.party, peer)


def _close(kept: StepState, survivors: Sequence[str]) -> None:
    """Forget a step's shares, so that no second story can be told from them."""
    kept.unmasked, kept.mask_key, kept.self_mask_seed = True, b"", b""
    kept.survivors.extend(survivors)
    for held in kept.held.values():
        held.self_mask_share = held.mask_key_share = b""
