"""Nonces of contribution requests: fresh for every question, and never for two different ones."""

from __future__ import annotations

import os
from enum import StrEnum

from federation.errors import ProtocolError

NONCE_BYTES = 16
NONCE_VALID_SECONDS = 60
# 1,000 requests a second, twice as long as a nonce is valid; some 20 MB.
MOST_NONCES = 1 << 17


class RefusalKind(StrEnum):
    """Why a feature party does not answer."""

    MALFORMED = "malformed"  # the request is not what the protocol allows
    NOT_SERVED = "not served"  # the session or variant is not served here
    POLICY = "policy"  # this party's own rules forbid the answer
    EXHAUSTED = "exhausted"  # more was asked than this party allows


class AnswerRefused(ProtocolError):
    """A request that a feature party does not answer; `kind` says what sort of refusal it is."""

    def __init__(self, kind: RefusalKind, sentence: str) -> None:
        """Which kind, and the sentence that the caller reads: no tag, no id, no value in it."""
        super().__init__(sentence)
        self.kind = kind


def new_nonce(now_ms: int) -> bytes:
    """A fresh nonce: u64 milliseconds since 1970 (little endian), 8 random bytes."""
    return now_ms.to_bytes(8, "little") + os.urandom(8)


class NonceWindow:
    """Which nonces were answered lately, and to which request each belongs.

    Masks depend on the nonce, so that under one nonce the same borrower must never be answered with
    two different numbers of points. A nonce comes again only with the very same request, as a
    hedged retry does, and not after this party's table was read again.

    What it remembers ends with the process: a nonce that is used on both sides of a restart, within
    the minutes that it is valid, can show by how much a borrower's points changed, nothing else.

    Args:
        most: nonces remembered at once; further requests are refused.
    """

    def __init__(self, most: int = MOST_NONCES) -> None:
        """No nonce was seen yet."""
        self._most = most
        self._seen: dict[int, dict[bytes, tuple[bytes, int]]] = {}
        self._count = 0
        self._forgotten = 0  # seconds before this one

    def __len__(self) -> int:
        """Nonces remembered."""
        return self._count

    def admit(self, nonce: bytes, digest: bytes, generation: int, now_ms: int) -> bool:
        """Whether the request is new (True) or the same as before (False).

        Args:
            nonce: the request's.
            digest: of the whole request.
            generation: counts how often this party's table was read.
            now_ms: the clock, milliseconds since 1970.

        Raises:
            AnswerRefused: the nonce is stale, of the future, or belongs to another request.
        """
        if len(nonce) != NONCE_BYTES:
            raise AnswerRefused(
                RefusalKind.MALFORMED,
                f"the request's nonce has {len(nonce)} bytes; {NONCE_BYTES} are right",
            )
        made_ms = int.from_bytes(nonce[:8], "little")
        if abs(now_ms - made_ms) > NONCE_VALID_SECONDS * 1000:
            raise AnswerRefused(
                RefusalKind.MALFORMED,
                f"the request's nonce was not made within {NONCE_VALID_SECONDS} s of this party's "
                "time; set both clocks and ask with a fresh one",
            )
        self._forget(now_ms)
        of_second = self._seen.setdefault(made_ms // 1000, {})
        before = of_second.get(nonce)
        if before is None:
            if self._count >= self._most:
                raise AnswerRefused(
                    RefusalKind.EXHAUSTED,
                    f"more than {self._most:,} requests came in the time that a nonce is valid",
                )
            of_second[nonce] = (digest, generation)
            self._count += 1
            return True
        if before != (digest, generation):
            raise AnswerRefused(
                RefusalKind.MALFORMED,
                "the request's nonce was used for another request, or before this party read its "
                "table again; every question needs a nonce of its own",
            )
        return False

    def _forget(self, now_ms: int) -> None:
        """Let go of what would be refused as stale."""
        oldest = now_ms // 1000 - NONCE_VALID_SECONDS - 1
        if oldest <= self._forgotten:
            return
        self._forgotten = oldest
        # At most two minutes of seconds are held, so that this is a short loop.
        for second in [second for second in self._seen if second < oldest]:
            self._count -= len(self._seen.pop(second))
