"""Fetches AEMP 2.0 answers: page by page, over TLS, bounded in size, time and number.

    client = AempClient(AempSource("https://maker.example/telematics"), credential)
    for page in client.fleet():
        for record in page.records: ...

A page is whole or an error; nothing of a broken page is given. Pages before it were given already,
and fetching again does no harm: keys are made of what was observed (`iot.aemp.samples`).
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote, urljoin, urlsplit

import httpx

from iot.aemp.credential import Credential
from iot.aemp.fleet_json import parse_fleet_json, parse_series_json
from iot.aemp.fleet_xml import parse_fleet_xml, parse_series_xml
from iot.aemp.record import AempInvalid, AempRecord, FleetPage
from iot.errors import TelemetryError
from iot.units import Millis

_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_MEDIA: Final = {"xml": "application/xml", "json": "application/json"}


class AempUnavailable(TelemetryError):
    """A server did not answer as it should, however often it was asked."""


@dataclass(frozen=True)
class AempSource:
    """A maker's server and how patiently it is asked.

    Attributes:
        url: of the API's root, below which is `Fleet/1`; https only.
        media: 'xml' or 'json', what to ask for. What comes is read by its own type.
        authority: certificate file to trust instead of the system's authorities.
        connect_seconds, read_seconds: until connected, and between two pieces of an answer.
        page_seconds: for a whole page.
        page_bytes: of a page at most.
        pages: of one answer at most.
        attempts: for one page.
        backoff_seconds: before the second attempt; doubles, with up to as much again by chance.
        longest_wait_seconds: whatever the server asks for in Retry-After.
    """

    url: str
    media: str = "xml"
    authority: Path | None = None
    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    page_seconds: float = 120.0
    page_bytes: int = 16 * 1_024 * 1_024
    pages: int = 1_000
    attempts: int = 4
    backoff_seconds: float = 1.0
    longest_wait_seconds: float = 300.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme != "https" or not parts.hostname:
            raise AempInvalid("The server's address begins with https:// and names a host.")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise AempInvalid(
                f"The address of {parts.hostname} holds a user, a query or a fragment; give "
                "scheme, host and path only, and the credential beside it."
            )
        if self.media not in _MEDIA:
            raise AempInvalid(f"The media is '{self.media}'; it is 'xml' or 'json'.")


class _Passing(Exception):
    """An attempt failed in a way that may pass."""

    def __init__(self, reason: str, wait_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


class AempClient:
    """One server's client.

    Args:
        source: which server.
        credential: who asks.
        now: the clock.
        sleep: waits so many seconds; between attempts only.
        chance: spreads the waits of many clients.
        monotonic: seconds, for the time that a page takes.
    """

    def __init__(
        self,
        source: AempSource,
        credential: Credential,
        *,
        now: Callable[[], Millis] = lambda: Millis(time.time_ns() // 1_000_000),
        sleep: Callable[[float], None] = time.sleep,
        chance: random.Random | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._credential = credential
        self._now = now
        self._sleep = sleep
        # Spreads load and guards nothing: the process's own generator is enough.
        self._chance = chance or random.Random()  # nosec B311
        self._monotonic = monotonic
        cafile = None if source.authority is None else str(source.authority)
        timeout = httpx.Timeout(source.read_seconds, connect=source.connect_seconds)
        self._http = httpx.Client(
            verify=ssl.create_default_context(cafile=cafile), timeout=timeout, trust_env=False
        )

    def fleet(self) -> Iterator[FleetPage]:
        """The last known state of every machine, page by page.

        Raises:
            AempUnavailable: the server could not be asked.
            AempInvalid: it answered what is no AEMP 2.0.
        """
        return self._pages("Fleet/1", parse_fleet_xml, parse_fleet_json)

    def series(
        self, machine: AempRecord, element: str, start: Millis, end: Millis
    ) -> Iterator[FleetPage]:
        """What one machine observed in a while, such as 'CumulativeOperatingHours'.

        Not every server offers it; one that does not is unavailable with status 404.

        Raises:
            AempUnavailable, AempInvalid: as in `fleet`.
        """
        header = machine.header
        if header.pin:
            names = [header.pin]
        else:
            names = ["MakeModelSerial", header.oem, header.model, header.serial]
        if not all(names):
            raise AempInvalid(
                f"Machine '{header.name}' has neither a PIN nor make, model and serial number; a "
                "time series is asked for by one of them."
            )
        parts = ["Fleet", "Equipment", *names, element, _utc(start), _utc(end), "1"]
        return self._pages(
            "/".join(quote(part, safe=":") for part in parts),
            lambda payload: parse_series_xml(payload, machine),
            lambda payload: parse_series_json(payload, machine),
        )

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _pages(
        self,
        path: str,
        read_xml: Callable[[bytes], FleetPage],
        read_json: Callable[[bytes], FleetPage],
    ) -> Iterator[FleetPage]:
        url: str | None = f"{self._source.url.rstrip('/')}/{path}"
        asked: list[str] = []
        while url is not None:
            if len(asked) == self._source.pages:
                raise AempInvalid(f"The answer at {url} has over {len(asked)} pages.")
            asked.append(url)
            payload, is_json = self._fetch(url)
            page = read_json(payload) if is_json else read_xml(payload)
            yield page
            url = self._following(url, page.next_link, asked)

    def _following(self, url: str, link: str | None, asked: list[str]) -> str | None:
        if link is None:
            return None
        root = urlsplit(self._source.url)
        base = root.path.rstrip("/")
        # Some servers write links from the API's root on: '/Fleet/2'.
        if link.startswith("/") and not link.startswith(("//", f"{base}/")):
            link = base + link
        target = urljoin(url, link)
        parts = urlsplit(target)
        if (parts.scheme, parts.netloc) != (root.scheme, root.netloc):
            raise AempInvalid(
                f"The page {url} goes on at another server, which is not told our credential."
            )
        if target == url:
            # On their last page some servers link it as its own next.
            return None
        if target in asked:
            raise AempInvalid(f"The page {url} goes on at a page before it; its links never end.")
        return target

    def _fetch(self, url: str) -> tuple[bytes, bool]:
        renewed = False
        attempt = 1
        while True:
            try:
                header = self._credential.authorization(self._post, self._now())
                headers = {"Authorization": header, "Accept": _MEDIA[self._source.media]}
                status, payload, media = self._exchange("GET", url, headers, None)
                if status == 401 and not renewed and self._credential.forget():
                    renewed = True
                    continue
                _refuse(status, url)
                return payload, "json" in media
            except _Passing as error:
                if attempt == self._source.attempts:
                    raise AempUnavailable(
                        f"{url} could not be read in {attempt} attempts: {error}."
                    ) from None
                wait = self._source.backoff_seconds * 2 ** (attempt - 1)
                wait = max(wait * (1 + self._chance.random()), error.wait_seconds)
                self._sleep(min(wait, self._source.longest_wait_seconds))
                attempt += 1

    def _post(self, url: str, form: dict[str, str], authorization: str) -> bytes:
        if urlsplit(url).scheme != "https":
            raise AempInvalid(f"Tokens are asked for with https only, not at {url}.")
        headers = {"Authorization": authorization, "Accept": "application/json"}
        status, payload, _ = self._exchange("POST", url, headers, form)
        _refuse(status, url)
        return payload

    def _exchange(
        self, method: str, url: str, headers: dict[str, str], form: dict[str, str] | None
    ) -> tuple[int, bytes, str]:
        """One request: status, body, media type. The body is bounded in bytes and in time."""
        until = self._monotonic() + self._source.page_seconds
        # Unpacked, an answer could be far longer than what was sent.
        sent = {**headers, "Accept-Encoding": "identity"}
        received = bytearray()
        try:
            with self._http.stream(method, url, headers=sent, data=form) as response:
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise AempInvalid(f"{url} answered compressed, which was not asked for.")
                if response.status_code in _AGAIN:
                    wait = _retry_after(response)
                    raise _Passing(f"it answered status {response.status_code}", wait)
                for chunk in response.iter_raw():
                    received += chunk
                    if len(received) > self._source.page_bytes:
                        raise AempInvalid(f"{url} answered over {self._source.page_bytes} bytes.")
                    if self._monotonic() > until:
                        raise _Passing(f"its answer took over {self._source.page_seconds:g} s")
                media = response.headers.get("Content-Type", _MEDIA[self._source.media])
                return response.status_code, bytes(received), media.lower()
        except httpx.InvalidURL:
            raise AempInvalid("The server links a page at an address that is none.") from None
        except httpx.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise AempUnavailable(
                    f"{url} has a certificate that is not trusted; name its authority's file."
                ) from None
            raise _Passing(f"{type(error).__name__}: {error}") from None


def _refuse(status: int, url: str) -> None:
    if status == 200:
        return
    if status in (401, 403):
        raise AempUnavailable(f"{url} refuses our credential (status {status}); renew its file.")
    if 300 <= status < 400:
        raise AempUnavailable(f"{url} points elsewhere (status {status}); give its new address.")
    raise AempUnavailable(f"{url} answered status {status}.")


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 8 else 0.0


def _utc(at: Millis) -> str:
    return datetime.fromtimestamp(at / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
