"""Mosquitto's configuration as text: a pure function of where its files lie.

What it says of durability: mosquitto holds queued messages in memory and writes them to its file at
`autosave_seconds` and at an orderly stop. What it acknowledged since the last save is lost when it
is killed. A device therefore keeps its messages until the service's receipt, not until the PUBACK.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from iot.broker.access import BrokerRefused
from iot.broker.certificates import BrokerCertificate


@dataclass(frozen=True)
class MosquittoPlan:
    """What a configuration is made of.

    Attributes:
        folder: where the broker keeps its messages.
        certificate: of the listener; there is none without TLS.
        passwords, access: the password file and the ACL file.
        account: of the operating system, that the broker runs as; None: as whoever starts it.
        autosave_seconds: between two saves of sessions and queued messages.
        inflight_messages: sent to a client and not acknowledged yet, at most.
        queued_messages: waiting for a client, at most; what comes beyond is dropped.
        message_limit_bytes: of a payload.
    """

    host: str
    port: int
    folder: Path
    certificate: BrokerCertificate
    passwords: Path
    access: Path
    account: str | None = None
    autosave_seconds: int = 300
    inflight_messages: int = 1_000
    queued_messages: int = 1_000_000
    message_limit_bytes: int = 2 * 1_024 * 1_024


def mosquitto_configuration(plan: MosquittoPlan) -> str:
    """The text of `mosquitto.conf`.

    Raises:
        BrokerRefused: a path holds a line break, which would begin another setting.
    """
    settings: list[tuple[str, object]] = [
        ("per_listener_settings", "false"),
        ("allow_anonymous", "false"),
        ("password_file", plan.passwords),
        ("acl_file", plan.access),
        ("persistence", "true"),
        ("persistence_location", f"{plan.folder}/"),
        ("autosave_interval", plan.autosave_seconds),
        ("persistent_client_expiration", "14d"),
        ("max_inflight_messages", plan.inflight_messages),
        ("max_queued_messages", plan.queued_messages),
        ("message_size_limit", plan.message_limit_bytes),
        # A receipt is small and waited for: it must not wait for a second packet to fill up.
        ("set_tcp_nodelay", "true"),
        ("sys_interval", 0),
        ("log_dest", "stderr"),
        ("log_type", "error"),
        ("log_type", "warning"),
        ("log_type", "notice"),
        ("log_timestamp_format", "%Y-%m-%dT%H:%M:%S"),
    ]
    if plan.account is not None:
        settings.append(("user", plan.account))
    settings += [
        ("listener", f"{plan.port} {plan.host}"),
        ("certfile", plan.certificate.certificate),
        ("keyfile", plan.certificate.key),
        ("tls_version", "tlsv1.2"),
    ]
    for name, value in settings:
        if "\n" in str(value) or "\r" in str(value):
            raise BrokerRefused(f"The broker's {name} holds a line break; use a path without one.")
    return "".join(f"{name} {value}\n" for name, value in settings)
