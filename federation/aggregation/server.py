"""The server of secure sums: orders steps, checks what comes, adds what it can't read.

It holds public things only: the roster, the scheme's parameters, ciphertexts, sealed blobs, and
the shares that clients give for taking masks off. It adds ciphertexts as arrays of words modulo
SEAL's prime and parses nothing else of what clients send, so that damaged or hostile bytes meet
length and range checks, never a library's loader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from federation.aggregation import preparation
from federation.aggregation.masks import CHECK_SLOTS, apply_masks
from federation.aggregation.messages import (
    STATE_VERSION,
    checksum,
    require_names,
    require_whole,
    restored,
)
from federation.aggregation.roster import Roster
from federation.aggregation.run_key import check_parcel
from federation.aggregation.sum_ciphers import SumCipher, sum_cipher
from federation.aggregation.unmasking import Unmasking
from federation.errors import BlamedError, ProtocolError
from federation.proto.secure_sum_pb2 import (
    Accepted,
    Contribution,
    KeyParcel,
    MaskedTotal,
    Order,
    Preparation,
    ServerState,
    UnmaskShares,
)

Words = npt.NDArray[np.uint64]
# Words of each chunk's second polynomial that go into a ciphertext's fingerprint. They are uniform
# and fresh in every honest encryption.
FINGERPRINT_WORDS = 2
_CHUNK_WORDS = 2 * 4096


class SecureSumServer:
    """One run's server, without I/O."""

    def __init__(self, state: ServerState) -> None:
        """Use `start` or `from_bytes`."""
        self._state = state
        self._roster = Roster(state.run, dict(state.roster))
        self._prepared: dict[int, dict[str, Preparation]] = {}
        # Clients that gave shares which do not fit; the sums they were for went on without them.
        self.faulty: set[str] = set()
        for message in state.preparations:
            self._index(message)

    @classmethod
    def start(cls, run: str, roster: Mapping[str, bytes]) -> SecureSumServer:
        """A server for a run with these clients' run keys.

        Raises:
            ProtocolError: the roster is not right.
        """
        return cls(ServerState(version=STATE_VERSION, run=run, roster=roster))

    @classmethod
    def from_bytes(cls, data: bytes) -> SecureSumServer:
        """A server as it was at `to_bytes`.

        Raises:
            InputError: the bytes are no such state.
        """
        return restored(ServerState, data, cls)

    def to_bytes(self) -> bytes:
        """Everything the server must remember."""
        return self._state.SerializeToString()

    @property
    def cipher(self) -> SumCipher:
        """The run's cipher, sized for the roster; there once the key parcel is."""
        if not self._state.scheme:
            raise ProtocolError(f"{self._roster.first} has not made the run's key yet")
        return sum_cipher(self._state.scheme, len(self._roster.keys))

    def take_key(self, parcel: KeyParcel) -> None:
        """Note the run's scheme and key id; the parcel is to be forwarded to all clients.

        Raises:
            ProtocolError: it is not from the first client, or of another run or roster.
        """
        check_parcel(self._roster, parcel)
        if self._state.key_id and self._state.key_id != parcel.key_id:
            raise BlamedError(parcel.party, f"{parcel.party} made a second key for the run")
        self._state.scheme, self._state.key_id = parcel.scheme, parcel.key_id

    def take_preparation(self, party: str, message: Preparation) -> None:
        """Store one client's preparation of a block of steps.

        Raises:
            ProtocolError: names the party; its form is not right, it prepares a step twice, or
                has other members or another threshold than the others of a step.
        """
        block = preparation.check_form(self._roster, party, message)
        if sorted(message.sealed) != [name for name in block.members if name != party]:
            raise BlamedError(party, f"the preparation of {party} lacks a member's shares")
        for step in block.numbers:
            others = self._prepared.get(step, {})
            if party in others:
                raise BlamedError(party, f"{party} prepared step {step} twice")
            for other in others.values():
                if (list(other.members), other.threshold) != (
                    list(block.members),
                    message.threshold,
                ):
                    raise BlamedError(
                        party,
                        f"{party} prepared step {step} with other members or another threshold "
                        "than the clients before it",
                    )
        self._state.preparations.append(message)
        self._index(message)

    def preparations_for(self, party: str, first_step: int) -> dict[str, Preparation]:
        """The others' preparations of the block from `first_step`, each with the party's shares."""
        return {
            peer: preparation.for_member(message, party)
            for peer, message in self._prepared.get(first_step, {}).items()
            if peer != party and party in message.sealed and message.first_step == first_step
        }

    def forget(self, before: int) -> None:
        """Drop what was prepared and ordered for the steps below `before`.

        Fingerprints of ciphertexts stay, so that none can be sent again.
        """
        kept = [each for each in self._state.preparations if each.first_step + each.steps > before]
        del self._state.preparations[:]
        self._state.preparations.extend(kept)
        for step in [step for step in self._state.orders if step < before]:
            del self._state.orders[step]
        self._prepared = {}
        for message in kept:
            self._index(message)

    def order(self, step: int, participants: Sequence[str], slots: int) -> None:
        """Open a step for these participants' vectors of so many slots.

        Raises:
            ProtocolError: a participant has not prepared the step.
            ValueError: the step was ordered before, or has no slots.
        """
        names = require_names(participants, self._roster.keys, "the participants of a step")
        unprepared = [name for name in names if name not in self._prepared.get(step, {})]
        if unprepared:
            raise ProtocolError(f"step {step} was not prepared by {', '.join(unprepared)}")
        if step in self._state.orders or slots < 1 or not names:
            raise ValueError(f"step {step} was ordered before, or asks for nothing")
        self._state.orders[step].CopyFrom(Order(participants=names, slots=slots))

    def check(self, party: str, step: int, contribution: Contribution) -> None:
        """Accept one client's contribution, or say what is wrong with it.

        Raises:
            ProtocolError: names the party.
        """
        order = self._ordered(step)
        if party not in order.participants:
            raise BlamedError(party, f"{party} sent a vector to step {step}, where it has no part")
        if (contribution.run, contribution.party) != (self._state.run, party):
            raise BlamedError(party, f"{party} sent a vector of another run or party")
        if contribution.step != step:
            raise BlamedError(
                party, f"{party} sent a vector of step {contribution.step} to step {step}"
            )
        if contribution.key_id != self._state.key_id or not self._state.key_id:
            raise BlamedError(party, f"{party} encrypted under another key than this run's")
        if list(contribution.participants) != list(order.participants):
            raise BlamedError(party, f"{party} masked for other participants than step {step} has")
        if contribution.slots != order.slots:
            raise BlamedError(
                party,
                f"{party} sent {contribution.slots} slots to step {step} where {order.slots} "
                "are right",
            )
        ciphertext = contribution.ciphertext
        fault = self.cipher.check(ciphertext, order.slots + CHECK_SLOTS)
        if fault:
            raise BlamedError(party, f"{party} sent {fault}")
        require_whole(contribution, ciphertext, party)
        accepted = Accepted(step=step, party=party, checksum=contribution.checksum)
        mark = _fingerprint(ciphertext)
        if mark in self._state.accepted:
            earlier = self._state.accepted[mark]
            raise BlamedError(
                party,
                f"{party} sent a ciphertext again that {earlier.party} had sent to step "
                f"{earlier.step}",
            )
        if any((each.step, each.party) == (step, party) for each in self._state.accepted.values()):
            raise BlamedError(party, f"{party} sent a second vector to step {step}")
        self._state.accepted[mark].CopyFrom(accepted)

    def add(
        self,
        step: int,
        contributions: Mapping[str, Contribution],
        shares: Mapping[str, UnmaskShares],
        bound: bytes = b"",
    ) -> MaskedTotal:
        """The encrypted sum of contributions that passed `check`, with all masks taken off.

        All, that is, but the common one, which only clients know.

        Args:
            step: of the sum.
            contributions: of the survivors.
            shares: of who gave any.
            bound: what the survivors say that they are bound to.

        Raises:
            ProtocolError: a share or contribution is not what the step allows; names its party.
            PartyFailure: too few clients gave shares.
        """
        order, survivors = self._ordered(step), sorted(contributions)
        correction = self.correction(step, survivors, shares, bound)
        ciphertext = self.cipher.add(
            (self._accepted(name, step, contributions[name]) for name in survivors), correction
        )
        total = MaskedTotal(
            run=self._state.run,
            step=step,
            key_id=self._state.key_id,
            survivors=survivors,
            slots=order.slots,
            ciphertext=ciphertext,
        )
        total.checksum = checksum(total, ciphertext)
        return total

    def correction(
        self,
        step: int,
        survivors: Sequence[str],
        shares: Mapping[str, UnmaskShares],
        bound: bytes = b"",
    ) -> Words:
        """What takes the masks off the sum of the survivors' vectors (slots + `CHECK_SLOTS`,).

        That is minus every survivor's own mask, minus the pairwise masks that survivors share with
        participants who dropped out.

        Raises:
            ProtocolError: a client's shares are not what the step asks for; names it.
            PartyFailure: too few clients gave shares.
        """
        order = self._ordered(step)
        unmasking = Unmasking(
            self._roster,
            step,
            self._prepared[step],
            survivors,
            [name for name in order.participants if name not in survivors],
            self.faulty,
            bound,
        )
        added, subtracted = unmasking.streams(shares)
        total = np.zeros(order.slots + CHECK_SLOTS, dtype=np.uint64)
        apply_masks(total, added, subtracted)
        total &= np.uint64(self.cipher.modulus - 1)
        return total

    def _accepted(self, party: str, step: int, contribution: Contribution) -> bytes:
        """The ciphertext of a contribution that passed `check`."""
        ciphertext = contribution.ciphertext
        mark = _fingerprint(ciphertext)
        if mark in self._state.accepted:
            accepted = self._state.accepted[mark]
            if (accepted.step, accepted.party, accepted.checksum) == (
                step,
                party,
                contribution.checksum,
            ):
                return ciphertext
        raise ValueError(f"the contribution of {party} was not accepted for step {step}")

    def _ordered(self, step: int) -> Order:
        if step not in self._state.orders:
            raise ValueError(f"step {step} was not ordered")
        return self._state.orders[step]

    def _index(self, message: Preparation) -> None:
        for step in range(message.first_step, message.first_step + message.steps):
            self._prepared.setdefault(step, {})[message.party] = message


def _fingerprint(ciphertext: bytes) -> str:
    words = np.frombuffer(ciphertext, dtype="<u8").reshape(-1, 2, _CHUNK_WORDS // 2)
    start = np.ascontiguousarray(words[:, 1, :FINGERPRINT_WORDS])
    return hashlib.sha256(start.tobytes()).hexdigest()
