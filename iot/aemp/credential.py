"""What proves to a maker's server who asks: basic, a bearer token, or OAuth 2.0 client credentials.

The secret is in a file that only its owner reads. It is in no argument, log or error of ours.
"""

from __future__ import annotations

import base64
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import msgspec

from iot.aemp.record import AempInvalid
from iot.errors import TelemetryError
from iot.units import SECOND, Millis

_SECRET_BYTES: Final = 16_384
_RENEW_BEFORE: Final = 60 * SECOND
_TOKEN_LIVES: Final = 300
"""Seconds, where the server does not say how long."""


class CredentialInvalid(TelemetryError):
    """A secret can't be used as it lies."""


PostForm = Callable[[str, dict[str, str], str], bytes]
"""POST a form to a URL with an Authorization header, and give the body of its answer."""


class Credential(Protocol):
    """Gives the Authorization header of a request."""

    def authorization(self, post: PostForm, now: Millis) -> str:
        """The header's value, with a token fetched by `post` where one is needed."""

    def forget(self) -> bool:
        """The server refused it: drop what was fetched. Whether another try makes sense."""


def read_secret(path: Path) -> str:
    """The secret in a file, without the line break at its end.

    Raises:
        CredentialInvalid: not there, readable by others than its owner, empty, of several lines or
            too long.
    """
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()[: _SECRET_BYTES + 1]
    except OSError as error:
        raise CredentialInvalid(f"The secret {path} can't be read: {error.strerror}.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CredentialInvalid(f"Others may read the secret {path}; run: chmod 600 {path}")
    try:
        secret = content.decode("ascii").strip("\r\n")
    except UnicodeDecodeError:
        raise CredentialInvalid(f"The secret {path} is not ASCII text.") from None
    if not secret or len(content) > _SECRET_BYTES or not secret.isprintable():
        raise CredentialInvalid(
            f"The secret {path} is not one line of 1 to {_SECRET_BYTES} printable characters."
        )
    return secret


@dataclass(frozen=True)
class BasicCredential:
    """User and password (RFC 7617); the password is read anew at each request."""

    user: str
    secret: Path

    def authorization(self, post: PostForm, now: Millis) -> str:
        return _basic(self.user, read_secret(self.secret))

    def forget(self) -> bool:
        return False


@dataclass(frozen=True)
class BearerCredential:
    """A token that was issued for good (RFC 6750); read anew at each request."""

    secret: Path

    def authorization(self, post: PostForm, now: Millis) -> str:
        return f"Bearer {read_secret(self.secret)}"

    def forget(self) -> bool:
        return False


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float = _TOKEN_LIVES


@dataclass
class ClientCredential:
    """OAuth 2.0 client credentials (RFC 6749, section 4.4): a token is fetched and kept in memory.

    Attributes:
        token_url: where tokens are issued, with https.
        client: the id that the server knows us by.
        secret: of the client.
        scope: what is asked for; '' asks for nothing in particular.
    """

    token_url: str
    client: str
    secret: Path
    scope: str = ""
    _token: str | None = field(default=None, init=False, repr=False)
    _until: Millis = field(default=Millis(0), init=False, repr=False)

    def authorization(self, post: PostForm, now: Millis) -> str:
        if self._token is None or now >= self._until:
            form = {"grant_type": "client_credentials"}
            if self.scope:
                form["scope"] = self.scope
            answer = post(self.token_url, form, _basic(self.client, read_secret(self.secret)))
            try:
                token = msgspec.json.decode(answer, type=_Token)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                raise AempInvalid(f"{self.token_url} answered without a token.") from None
            text = token.access_token
            if not (text and text.isascii() and text.isprintable()):
                raise AempInvalid(f"{self.token_url} answered with a token that is none.")
            lives = int(max(0.0, min(token.expires_in, 86_400.0)) * SECOND)
            self._token = text
            self._until = Millis(now + max(lives - _RENEW_BEFORE, 0))
        return f"Bearer {self._token}"

    def forget(self) -> bool:
        fetched, self._token = self._token is not None, None
        return fetched


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
