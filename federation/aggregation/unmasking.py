"""Taking the masks off a sum, at the server: from shares to the vector that cancels them.

Bonawitz et al. 2017, round 4 of figure 4. Rebuilt secrets are checked against what their owners
announced: a mask key against its public key, a seed against its commitment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from federation.aggregation import shamir
from federation.aggregation.masks import (
    adds,
    pair_seed,
    public_mask_key,
    seed_commitment,
    self_seed_stream,
)
from federation.aggregation.roster import Roster
from federation.errors import BlamedError, PartyFailure, ProtocolError
from federation.proto.secure_sum_pb2 import Preparation, UnmaskShares


@dataclass(frozen=True)
class Unmasking:
    """One step's unmasking.

    Attributes:
        roster: of the run.
        step: of the sum.
        prepared: each participant's preparation of the step.
        survivors: whose vectors are in the sum.
        dropped: the other participants.
        faulty: filled with clients whose shares did not fit, while others' did.
        bound: what the survivors were bound to.
    """

    roster: Roster
    step: int
    prepared: Mapping[str, Preparation]
    survivors: Sequence[str]
    dropped: Sequence[str]
    faulty: set[str] = field(default_factory=set)
    bound: bytes = b""

    def streams(self, shares: Mapping[str, UnmaskShares]) -> tuple[list[bytes], list[bytes]]:
        """Keys of the mask streams to add to and to subtract from the sum of the vectors.

        Subtracted: every survivor's own mask. Either: what survivors added or subtracted for pairs
        with participants that dropped out.

        Raises:
            ProtocolError: a client's shares are not what the step asks for; names it.
            PartyFailure: too few clients gave shares.
        """
        for holder, message in shares.items():
            self._check(holder, message)
        added: list[bytes] = []
        subtracted: list[bytes] = []
        for name in self.survivors:
            seed = self._seed(name, {h: each.self_mask_shares[name] for h, each in shares.items()})
            subtracted.append(self_seed_stream(self.roster, self.step, name, seed))
        for name in self.dropped:
            key = self._key(name, {h: each.mask_key_shares[name] for h, each in shares.items()})
            for survivor in self.survivors:
                public = self._announced(survivor, "mask_public_keys")
                seed = pair_seed(self.roster, self.step, name, survivor, key, public, self.bound)
                (subtracted if adds(survivor, name) else added).append(seed)
        return added, subtracted

    def _seed(self, name: str, shares: Mapping[str, bytes]) -> bytes:
        commitment = self._announced(name, "seed_commitments")
        return self._rebuild(
            name,
            shares,
            lambda seed: seed_commitment(self.roster, name, self.step, seed) == commitment,
        )

    def _key(self, name: str, shares: Mapping[str, bytes]) -> bytes:
        public = self._announced(name, "mask_public_keys")
        return self._rebuild(name, shares, lambda key: public_mask_key(key) == public)

    def _announced(self, name: str, what: str) -> bytes:
        message = self.prepared[name]
        start = 32 * (self.step - message.first_step)
        announced: bytes = getattr(message, what)[start : start + 32]
        return announced

    def _check(self, holder: str, message: UnmaskShares) -> None:
        if (message.run, message.party, message.step) != (self.roster.run, holder, self.step):
            raise BlamedError(holder, f"{holder} sent shares of another run, party or step")
        if sorted(message.self_mask_shares) != sorted(self.survivors) or sorted(
            message.mask_key_shares
        ) != sorted(self.dropped):
            raise BlamedError(holder, f"{holder} sent other shares than step {self.step} asks for")
        every = [*message.self_mask_shares.values(), *message.mask_key_shares.values()]
        if not all(map(shamir.is_share, every)):
            raise BlamedError(holder, f"{holder} sent a share in step {self.step} that is none")

    def _rebuild(
        self, name: str, shares: Mapping[str, bytes], is_right: Callable[[bytes], bool]
    ) -> bytes:
        prepared = self.prepared[name]
        members, threshold = list(prepared.members), prepared.threshold
        points = {members.index(each) + 1: shares[each] for each in shares if each in members}
        if len(points) < threshold:
            raise PartyFailure(
                f"the masks of step {self.step} can't be taken off: {len(points)} clients gave "
                f"shares where {threshold} are needed"
            )
        secret, wrong = shamir.combine(points, threshold, is_right)
        if secret is None:
            holders = ", ".join(members[point - 1] for point in sorted(points))
            raise ProtocolError(
                f"the shares of {name} in step {self.step} do not fit what it announced: {name} "
                f"or one of {holders} sent wrong ones"
            )
        self.faulty.update(members[point - 1] for point in wrong)
        return secret
