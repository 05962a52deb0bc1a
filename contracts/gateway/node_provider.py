"""The wire to a node: bounded in time and size; its address is shown without secrets.

A node's URL often carries an API key, so no sentence shows more of it than scheme, host and port.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from eth_typing import URI
from web3 import HTTPProvider

from contracts.gateway.errors import NodeDown, NodeGarbled, NodeSlow, ValueRefused

if TYPE_CHECKING:
    from web3.providers.base import BaseProvider

IN_PROCESS = "eth-tester"
"""Instead of a URL: a chain within this process, gone with it."""
MOST_BYTES = 32 * 1024 * 1024
"""The largest answer that is read."""
_CHUNK = 64 * 1024


def shown_url(url: str) -> str:
    """Scheme, host and port of a node's URL.

    Raises:
        ValueRefused: it is not an http or https URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueRefused(
            f"The node must be an http:// or https:// URL, or '{IN_PROCESS}' for a chain within "
            "the process."
        )
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


class BoundedProvider(HTTPProvider):
    """HTTP with one deadline for a whole answer, a largest answer, and no silent retries.

    Retries belong to who knows what a second try does; here nobody does.
    """

    def __init__(self, url: str, timeout: float) -> None:
        """`timeout` in seconds, for connection and answer together."""
        self._shown = shown_url(url)
        self._url = URI(url)
        self._timeout = timeout
        super().__init__(
            url,
            request_kwargs={"timeout": timeout, "stream": True, "allow_redirects": False},
            exception_retry_configuration=None,
        )

    def __str__(self) -> str:
        """Without secrets."""
        return self._shown

    __repr__ = __str__

    def _make_request(self, method: Any, request_data: bytes) -> bytes:
        import requests

        started = time.monotonic()
        try:
            with self._request_session_manager.get_response_from_post_request(
                self._url, data=request_data, **self.get_request_kwargs()
            ) as response:
                body = bytearray()
                for chunk in response.iter_content(_CHUNK):
                    body += chunk
                    if len(body) > MOST_BYTES:
                        raise NodeGarbled(
                            f"{self._shown}: the answer to {method} has more than {MOST_BYTES:,} "
                            "bytes; ask for less at a time."
                        )
                    if time.monotonic() - started > self._timeout:
                        raise requests.Timeout
                status = response.status_code
        except requests.Timeout:
            raise NodeSlow(
                f"{self._shown}: no answer to {method} within {self._timeout:g} seconds; try again "
                "or allow more time."
            ) from None
        except requests.RequestException as error:  # its text holds the URL with its key
            raise NodeDown(
                f"{self._shown}: the node can't be reached ({type(error).__name__}); is it running?"
            ) from None
        # Nodes give JSON-RPC errors with status 4xx too: what is JSON is read as such.
        if status != 200 and not bytes(body).lstrip().startswith(b"{"):
            raise NodeDown(f"{self._shown}: the node answers {method} with HTTP status {status}.")
        return bytes(body)


def provider_of(node: str, timeout: float) -> tuple[BaseProvider, str]:
    """The provider of a URL or of IN_PROCESS, and its name for sentences."""
    if node == IN_PROCESS:
        try:
            from web3 import EthereumTesterProvider

            return EthereumTesterProvider(), IN_PROCESS
        except ImportError as error:
            raise NodeDown(
                "A chain within the process needs eth-tester: pip install 'veilscore[chain]'."
            ) from error
    return BoundedProvider(node, timeout), shown_url(node)
