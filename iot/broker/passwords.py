"""Lines of mosquitto's password file: PBKDF2 with SHA-512, as `mosquitto_passwd` writes them.

Written here and not by that program, since it takes a password as an argument or from a plain file,
and is not there where mosquitto is not. The count of rounds is mosquitto's own: passwords are
secrets of 256 random bits (`new_password`), which no number of rounds protects better.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Final

_ROUNDS: Final = 101
_SALT_BYTES: Final = 12
_HASH_BYTES: Final = 64


def new_password() -> str:
    """256 bits from the operating system, as text."""
    return secrets.token_urlsafe(32)


def password_text(users: Mapping[str, str]) -> str:
    """The password file of these users."""
    return "".join(
        password_line(user, password, secrets.token_bytes(_SALT_BYTES)) + "\n"
        for user, password in sorted(users.items())
    )


def password_line(user: str, password: str, salt: bytes) -> str:
    """`user:$7$rounds$salt$hash`, salt and hash in base64."""
    digest = _hash(password, salt, _ROUNDS)
    salted, hashed = (base64.b64encode(part).decode() for part in (salt, digest))
    return f"{user}:$7${_ROUNDS}${salted}${hashed}"


def is_password(line: str, password: str) -> bool:
    """Whether a line of the file is of this password; takes as long where it is not."""
    _, _, rounds, salt, digest = line.partition(":")[2].split("$")
    given = _hash(password, base64.b64decode(salt), int(rounds))
    return hmac.compare_digest(given, base64.b64decode(digest))


def _hash(password: str, salt: bytes, rounds: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, _HASH_BYTES)
