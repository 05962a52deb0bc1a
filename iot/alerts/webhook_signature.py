"""The signature on a webhook's request: HMAC-SHA256 (RFC 2104) over its time and its body.

    Veilscore-Signature: t=1767225600000,v1=<64 hex digits>

The time is signed with the body, so that a request that was listened to is worthless after a while.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from iot.units import MINUTE, Millis

HEADER: Final = "Veilscore-Signature"
OLDEST: Final = 5 * MINUTE
_FORM: Final = re.compile(r"t=([0-9]{1,16}),v1=([0-9a-f]{64})", re.ASCII)


def signature_header(secret: bytes, now: Millis, body: bytes) -> str:
    """The header's value for a body that is sent now."""
    return f"t={now},v1={_digits(secret, now, body)}"


def is_genuine(secret: bytes, header: str, body: bytes, now: Millis) -> bool:
    """Whether a request comes from who holds the secret, and is not older than five minutes.

    For whoever receives it; the body is as it came, before any parsing.
    """
    parts = _FORM.fullmatch(header)
    if parts is None:
        return False
    sent = Millis(int(parts.group(1)))
    genuine = hmac.compare_digest(_digits(secret, sent, body), parts.group(2))
    return genuine and abs(now - sent) <= OLDEST


def _digits(secret: bytes, at: Millis, body: bytes) -> str:
    return hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
