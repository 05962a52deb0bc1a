"""A block of steps made ready: mask keys and self-mask seeds drawn, and shared among the members.

Bonawitz et al. 2017, rounds 0 and 1 of figure 4, for many steps at once. A preparation's public
part goes with the sealed shares as associated data: a server that hands out other mask keys than
a client made (and so could know the pairwise masks) is found out by everyone's failing seals.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from federation.aggregation import shamir
from federation.aggregation.masks import public_mask_key, seed_commitment
from federation.aggregation.roster import Roster, SealedPair
from federation.errors import BlamedError, InputError
from federation.proto.secure_sum_pb2 import HeldShares, Preparation

MAXIMUM_STEPS = 100_000
_BOTH = 2 * shamir.SHARE_BYTES


@dataclass(frozen=True)
class Block:
    """One client's steps `first_step` up, with who holds shares of their secrets."""

    roster: Roster
    party: str
    first_step: int
    steps: int
    members: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the range."""
        if not 0 <= self.first_step < 2**62 or not 1 <= self.steps <= MAXIMUM_STEPS:
            raise ValueError(f"a block has 1 to {MAXIMUM_STEPS} steps")

    @property
    def numbers(self) -> range:
        """The steps."""
        return range(self.first_step, self.first_step + self.steps)

    def threshold(self, dropouts: int) -> int:
        """How many shares rebuild a secret.

        Raises:
            InputError: so many dropouts would leave half of the members or fewer.
        """
        count, most = len(self.members), (len(self.members) - 1) // 2
        if not 0 <= dropouts <= most:
            raise InputError(
                f"{count} clients can survive 0 to {most} dropouts, not {dropouts}: more than half "
                "of them must stay"
            )
        return count - dropouts


@dataclass(frozen=True)
class StepSecrets:
    """What the client itself keeps of one step."""

    mask_key: bytes
    self_mask_seed: bytes
    held: HeldShares

    def __repr__(self) -> str:
        """Nothing of it."""
        return "StepSecrets(…)"


def prepare(
    block: Block, threshold: int, pair: Callable[[str], SealedPair]
) -> tuple[Preparation, dict[int, StepSecrets]]:
    """Draw, share and seal; the message is for everyone, the secrets are the client's own."""
    kept: dict[int, StepSecrets] = {}
    shares: dict[str, list[bytes]] = {member: [] for member in block.members}
    publics, commitments = [], []
    for step in block.numbers:
        mask_key, seed = secrets.token_bytes(32), secrets.token_bytes(32)
        publics.append(public_mask_key(mask_key))
        commitments.append(seed_commitment(block.roster, block.party, step, seed))
        of_seed = shamir.split(seed, threshold, len(block.members))
        of_key = shamir.split(mask_key, threshold, len(block.members))
        for member, seed_share, key_share in zip(block.members, of_seed, of_key, strict=True):
            shares[member].append(seed_share + key_share)
        kept[step] = StepSecrets(mask_key, seed, _held(publics[-1], shares[block.party][-1]))
    message = Preparation(
        run=block.roster.run,
        party=block.party,
        roster_digest=block.roster.digest,
        first_step=block.first_step,
        steps=block.steps,
        threshold=threshold,
        members=block.members,
        mask_public_keys=b"".join(publics),
        seed_commitments=b"".join(commitments),
    )
    for member in block.members:
        if member != block.party:
            message.sealed[member] = pair(member).seal(b"".join(shares[member]), *_public(message))
    return message, kept


def check_form(roster: Roster, peer: str, message: Preparation) -> Block:
    """Check what of a preparation can be seen without opening it.

    Raises:
        ProtocolError: names the peer.
    """
    if (message.run, message.roster_digest) != (roster.run, roster.digest):
        raise BlamedError(peer, f"the preparation of {peer} is for another run or roster")
    members = list(message.members)
    form = (
        message.party == peer
        and peer in roster.keys
        and members == sorted(set(members))
        and set(members) <= set(roster.keys)
        and peer in members
        and 1 <= message.steps <= MAXIMUM_STEPS
        and message.first_step < 2**62
        and len(message.mask_public_keys) == len(message.seed_commitments) == 32 * message.steps
    )
    if not form:
        raise BlamedError(peer, f"the preparation of {peer} does not have the form of one")
    if not len(members) // 2 < message.threshold <= len(members):
        raise BlamedError(
            peer,
            f"in the preparation of {peer}, {message.threshold} of {len(members)} members rebuild "
            "a secret; more than half of them must be needed",
        )
    return Block(roster, peer, message.first_step, message.steps, tuple(members))


def open_shares(
    roster: Roster, party: str, peer: str, message: Preparation, pair: Callable[[str], SealedPair]
) -> dict[int, HeldShares]:
    """What `party` holds of a peer's secrets, by step.

    Raises:
        ProtocolError: names the peer.
    """
    block = check_form(roster, peer, message)
    if party not in block.members or party not in message.sealed:
        raise BlamedError(peer, f"the preparation of {peer} has no shares for {party}")
    plain = pair(peer).open(message.sealed[party], *_public(message))
    if len(plain) != _BOTH * block.steps:
        raise BlamedError(peer, f"the shares of {peer} for {party} are not of {block.steps} steps")
    held = {}
    for place, step in enumerate(block.numbers):
        both = plain[_BOTH * place : _BOTH * (place + 1)]
        if not (shamir.is_share(both[: _BOTH // 2]) and shamir.is_share(both[_BOTH // 2 :])):
            raise BlamedError(peer, f"a share of {peer} for {party} in step {step} is none")
        held[step] = _held(message.mask_public_keys[32 * place : 32 * (place + 1)], both)
    return held


def for_member(message: Preparation, member: str) -> Preparation:
    """A preparation with the shares of one member only, as the server forwards it."""
    forwarded = Preparation()
    forwarded.CopyFrom(message)
    for other in message.sealed:
        if other != member:
            del forwarded.sealed[other]
    return forwarded


def _held(public: bytes, both: bytes) -> HeldShares:
    return HeldShares(
        mask_public_key=public,
        self_mask_share=both[: shamir.SHARE_BYTES],
        mask_key_share=both[shamir.SHARE_BYTES :],
    )


def _public(message: Preparation) -> tuple[object, ...]:
    """What a preparation's seals are bound to."""
    digest = hashlib.sha256(message.mask_public_keys + message.seed_commitments).hexdigest()
    members = list(message.members)
    return "preparation", message.first_step, message.steps, message.threshold, members, digest
