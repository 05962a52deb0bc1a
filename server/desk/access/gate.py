"""Every call passes here first: whose certificate it came with, may it, and not too often.

The access file is looked at again while the desk runs, so that a caller who is struck from it is
refused from then on, on connections that stand already too. A file that can't be read changes
nothing: the rules before it hold on, and the log says so.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from federation.errors import InputError, VeilscoreError
from server.desk.access.limits import Limits
from server.desk.access.rules import AccessRules, Caller, Role, read_access

LOG = logging.getLogger("veilscore.desk")
SECONDS_BETWEEN_LOOKS = 0.2
MOST_REMEMBERED = 1_000  # certificates; forgotten all at once when there are more


class Refusal(StrEnum):
    """Why a call is refused."""

    UNKNOWN = "unknown caller"
    ROLE = "not its role"
    RATE = "too often"
    QUOTA = "the day's borrowers are used up"


class Refused(VeilscoreError):
    """A call that may not be made.

    Attributes:
        why: in a word.
        caller: its name, where it is known.
        retry_seconds: after which it may be made, where that helps.
    """

    def __init__(
        self, why: Refusal, sentence: str, caller: str = "", retry_seconds: float = 0.0
    ) -> None:
        """What the caller is told."""
        super().__init__(sentence)
        self.why = why
        self.caller = caller
        self.retry_seconds = retry_seconds


@dataclass(frozen=True)
class _Known:
    """A certificate that was looked at before."""

    caller: Caller
    expires: float  # seconds since 1970; TLS looks at it only when a connection is made


class Gate:
    """Who may call, from an access file.

    Args:
        path: of the access file.
        monotonic, clock: the time, in seconds; the clock's since 1970.

    Raises:
        InputError: the file is missing or wrong; later, only the log says so.
    """

    def __init__(
        self,
        path: Path,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read the file."""
        self._path = path
        self._monotonic = monotonic
        self._clock = clock
        self._stamp = self._stamp_now()
        self._rules = read_access(path)
        self._next_look = monotonic() + SECONDS_BETWEEN_LOOKS
        self._known: dict[bytes, _Known] = {}
        self._limits: dict[str, Limits] = {}

    @property
    def rules(self) -> AccessRules:
        """Those that hold now."""
        self._look()
        return self._rules

    def admit(self, certificate: bytes, *roles: Role) -> Caller:
        """The caller of one call, which counts against its rate.

        Args:
            certificate: that TLS has verified, PEM.
            roles: any of which will do.

        Raises:
            Refused: it is nobody's, it has none of the roles, or calls too often.
        """
        caller = self.check(certificate, *roles)
        self.take_call(caller)
        return caller

    def check(self, certificate: bytes, *roles: Role) -> Caller:
        """As `admit`, of a call that was admitted before and goes on: nothing is counted."""
        self._look()
        caller = self._caller(certificate)
        if caller.roles.isdisjoint(roles):
            wanted = " or ".join(f"'{role}'" for role in roles)
            raise Refused(
                Refusal.ROLE, f"caller '{caller.name}' does not have the role {wanted}", caller.name
            )
        return caller

    def take_call(self, caller: Caller) -> None:
        """Count a further call, such as a stream's next message; raises `Refused` as `admit`."""
        if caller.requests_per_second is None:
            return
        wait = self._limits_of(caller).take_call(self._monotonic())
        if wait > 0:
            raise Refused(
                Refusal.RATE,
                f"caller '{caller.name}' may call {caller.requests_per_second:g} times a second",
                caller.name,
                wait,
            )

    def take_borrowers(self, caller: Caller, count: int) -> None:
        """Count borrowers against the day's quota; raises `Refused` where it is used up."""
        if caller.requests_per_day is None:
            return
        wait = self._limits_of(caller).take_borrowers(count, self._clock())
        if wait > 0:
            raise Refused(
                Refusal.QUOTA,
                f"caller '{caller.name}' may ask for {caller.requests_per_day:,} borrowers a day "
                "(UTC), and this would be more",
                caller.name,
                wait,
            )

    def _caller(self, certificate: bytes) -> Caller:
        known = self._known.get(certificate)
        if known is None:
            known = self._identify(certificate)
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[certificate] = known
        if self._clock() > known.expires:
            raise Refused(
                Refusal.UNKNOWN,
                f"the certificate of caller '{known.caller.name}' has expired; renew it",
                known.caller.name,
            )
        return known.caller

    def _identify(self, certificate: bytes) -> _Known:
        try:
            parsed = x509.load_pem_x509_certificate(certificate)
            names = _names(parsed)
        except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
            raise Refused(Refusal.UNKNOWN, "your certificate can't be read") from error
        fingerprint = hashlib.sha256(parsed.public_bytes(Encoding.DER)).hexdigest()
        caller = self._rules.caller(fingerprint, names)
        if caller is None:
            raise Refused(
                Refusal.UNKNOWN,
                "your certificate is not one of the desk's callers; its operator can add it to "
                f"access.toml (SHA-256 {fingerprint[:16]}…)",
            )
        return _Known(caller, parsed.not_valid_after_utc.timestamp())

    def _limits_of(self, caller: Caller) -> Limits:
        limits = self._limits.get(caller.name)
        if limits is None:
            limits = Limits(caller.requests_per_second, caller.requests_per_day)
            self._limits[caller.name] = limits
        limits.per_second, limits.per_day = caller.requests_per_second, caller.requests_per_day
        return limits

    def _look(self) -> None:
        now = self._monotonic()
        if now < self._next_look:
            return
        self._next_look = now + SECONDS_BETWEEN_LOOKS
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._rules = read_access(self._path)
        except InputError as error:
            LOG.error("the access file was changed and can't be used; the old one holds: %s", error)
            return
        self._known.clear()
        LOG.info("the access file was read again: %d callers", len(self._rules.names))

    def _stamp_now(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (status.st_mtime_ns, status.st_size, status.st_ino)


def _names(certificate: x509.Certificate) -> frozenset[str]:
    """What the certificate's issuer vouches for as its holder's names.

    A certificate that issued itself vouches for nothing: such a one is pinned by its fingerprint.
    """
    if certificate.issuer == certificate.subject:
        return frozenset()
    names = {
        str(attribute.value)
        for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    }
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset(names)
    names.update(found.get_values_for_type(x509.DNSName))
    names.update(found.get_values_for_type(x509.UniformResourceIdentifier))
    names.update(found.get_values_for_type(x509.RFC822Name))
    return frozenset(names)
