"""A feature party's answer about borrowers: its part's points, masked. The other end is `asking`.

The label party asks for a variant and names borrowers by tags (`tags`); each feature party of the
variant answers with its part's points, masked against the others (`masks`) where two or more
answer. What the label party learns: of masked answers the sum of all parties' points, of a single
party its points, and of each party which borrowers it knows. A party learns which of its borrowers
were asked about, not what became of it.

A borrower that one of the parties does not know has no sum: the party answers `known` 0 and 0
points, `combine` leaves the borrower out, and the label party scores it with the variant of those
parties that do know it. That holds for models fitted with absent borrowers ('label-left'
alignment) too: the weight of their `absent` bins is never used online.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from federation.proto.contribution_pb2 import (
    ContributionReply,
    ContributionRequest,
    PartyReason,
    ReasonsReply,
    ReasonsRequest,
)
from federation.scoring.asking import (
    MOST_BORROWERS,
    VERSION,
    Answer,
    build_request,
    combine,
    read_reply,
)
from federation.scoring.borrower_index import BorrowerIndex
from federation.scoring.masks import AnswerMasks
from federation.scoring.nonces import (
    NONCE_BYTES,
    NONCE_VALID_SECONDS,
    AnswerRefused,
    NonceWindow,
    RefusalKind,
    new_nonce,
)
from federation.scoring.points import Points
from federation.scoring.reason_table import ReasonTable
from federation.scoring.tags import TAG_BYTES

__all__ = [
    "MOST_BORROWERS",
    "NONCE_BYTES",
    "NONCE_VALID_SECONDS",
    "VERSION",
    "Answer",
    "AnswerPolicy",
    "AnswerRefused",
    "AnsweredVariant",
    "Contribution",
    "NonceWindow",
    "RefusalKind",
    "build_request",
    "combine",
    "new_nonce",
    "read_reply",
]

MOST_REASONS = 16
DEFAULT_REASONS = 4


@dataclass(frozen=True)
class AnsweredVariant:
    """What a feature party answers with for one variant.

    Attributes:
        name: the variant's.
        parties: the feature parties of the variant, sorted, this one among them.
        points: of its rows (n,), in the order of its `BorrowerIndex`.
        part_digest: of its model part.
        reasons: what weighs against a row; None where no reasons are given.
    """

    name: str
    parties: tuple[str, ...]
    points: Points
    part_digest: str
    reasons: ReasonTable | None = None


@dataclass(frozen=True)
class AnswerPolicy:
    """What a feature party allows.

    Attributes:
        feature_parties: how many the whole model has.
        alone: whether it answers variants in which it is the only one though the model has more:
            its points are then not masked.
        reasons: whether it says what weighed most against a borrower.
        cache_seconds: how long unmasked points may be kept.
    """

    feature_parties: int
    alone: bool = True
    reasons: bool = False
    cache_seconds: int = 0


class Contribution:
    """A feature party's side for one session: requests in, replies out, no I/O.

    Args:
        session: that trained the model.
        masks: with the other feature parties.
        borrowers: this party's, found by tag.
        variants: that are served.
        policy: what is allowed.
        as_of_ms: when this party's table was read, milliseconds since 1970.
        nonces: of this session, kept when the table is read again.
        generation: counts how often the table was read.
    """

    def __init__(
        self,
        session: str,
        masks: AnswerMasks,
        borrowers: BorrowerIndex,
        variants: Sequence[AnsweredVariant],
        policy: AnswerPolicy,
        as_of_ms: int,
        nonces: NonceWindow,
        generation: int = 0,
    ) -> None:
        """Check that every variant has points of every borrower."""
        self.session = session
        self.borrowers = borrowers
        self.variants: Mapping[str, AnsweredVariant] = {one.name: one for one in variants}
        self.policy = policy
        self.as_of_ms = as_of_ms
        self._masks = masks
        self._nonces = nonces
        self._generation = generation
        for one in variants:
            if one.points.shape != (len(borrowers),) or one.parties != tuple(sorted(one.parties)):
                raise ValueError(f"the points or parties of variant '{one.name}' are not in order")

    def offered(self) -> list[AnsweredVariant]:
        """The variants that this party's rules let it answer."""
        return [one for one in self.variants.values() if not self._unmasked_alone(one)]

    def answer(self, request: ContributionRequest, now_ms: int) -> ContributionReply:
        """Points of the borrowers asked for.

        Raises:
            AnswerRefused: the request is malformed, asks for what is not served, or against this
                party's rules.
        """
        variant = self._variant(request.version, request.session, request.variant)
        if tuple(request.parties) != variant.parties:
            raise AnswerRefused(
                RefusalKind.MALFORMED,
                f"the request names other feature parties than those of variant '{variant.name}' "
                f"({', '.join(variant.parties)}); masks would not cancel",
            )
        count, rest = divmod(len(request.tags), TAG_BYTES)
        if rest or not 0 < count <= MOST_BORROWERS:
            raise AnswerRefused(
                RefusalKind.MALFORMED,
                f"the request has {len(request.tags)} bytes of tags; {TAG_BYTES} a borrower are "
                f"right, for 1 to {MOST_BORROWERS:,} borrowers",
            )
        self._refuse_alone(variant)
        self._admit(request.nonce, b"points", request.variant, request.tags, now_ms)
        rows, known = self.borrowers.find(request.tags)
        words = variant.points[rows].view(np.uint32)
        masked = len(variant.parties) > 1
        if masked:
            blocks = self.borrowers.blocks_of(rows)
            # Blocks of unknown borrowers are another row's; what they add is taken off below.
            words += self._masks.mask(variant.parties, variant.name, request.nonce, blocks)
        words[~known] = 0
        return ContributionReply(
            points=words.astype("<u4", copy=False).tobytes(),
            known=np.packbits(known, bitorder="little").tobytes(),
            as_of_ms=self.as_of_ms,
            cache_seconds=0 if masked else self.policy.cache_seconds,
        )

    def reasons(self, request: ReasonsRequest, now_ms: int) -> ReasonsReply:
        """What weighed most against one borrower, if this party says so.

        Raises:
            AnswerRefused: as `answer`.
        """
        variant = self._variant(request.version, request.session, request.variant)
        if len(request.tag) != TAG_BYTES:
            raise AnswerRefused(
                RefusalKind.MALFORMED,
                f"the request has {len(request.tag)} bytes of tag; {TAG_BYTES} are right",
            )
        self._refuse_alone(variant)
        self._admit(request.nonce, b"reasons", request.variant, request.tag, now_ms)
        rows, known = self.borrowers.find(request.tag)
        if variant.reasons is None or not self.policy.reasons:
            return ReasonsReply(known=bool(known[0]), given=False)
        if not known[0]:
            return ReasonsReply(known=False, given=True)
        most = min(request.most or DEFAULT_REASONS, MOST_REASONS)
        weighed = variant.reasons.against(int(rows[0]), most)
        return ReasonsReply(
            known=True,
            given=True,
            reasons=[PartyReason(label=label, points=points) for label, points in weighed],
        )

    def _variant(self, version: int, session: str, name: str) -> AnsweredVariant:
        if version != VERSION:
            raise AnswerRefused(
                RefusalKind.MALFORMED,
                f"the request is of version {version}; this party answers version {VERSION}",
            )
        variant = self.variants.get(name) if session == self.session else None
        if variant is None:
            raise AnswerRefused(
                RefusalKind.NOT_SERVED,
                f"that session and variant are not served here; of session '{self.session}' "
                f"these are: {', '.join(sorted(self.variants))}",
            )
        return variant

    def _refuse_alone(self, variant: AnsweredVariant) -> None:
        if self._unmasked_alone(variant):
            raise AnswerRefused(
                RefusalKind.POLICY,
                f"this party does not answer alone, which variant '{variant.name}' asks of it",
            )

    def _unmasked_alone(self, variant: AnsweredVariant) -> bool:
        """Whether it would answer unmasked although it does not want to."""
        return len(variant.parties) == 1 < self.policy.feature_parties and not self.policy.alone

    def _admit(self, nonce: bytes, kind: bytes, variant: str, tags: bytes, now_ms: int) -> None:
        name = variant.encode()
        digest = hashlib.blake2b(struct.pack("<8sI", kind, len(name)) + name, digest_size=16)
        digest.update(tags)
        self._nonces.admit(nonce, digest.digest(), self._generation, now_ms)
