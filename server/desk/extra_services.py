"""What a desk offers where its settings ask for it: a policy, the gateway, encrypted scoring,
attestations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import grpc

from federation.errors import InputError
from server.desk.access.gate import Gate
from server.desk.alerts.desk import AlertDesk
from server.desk.audit import AuditLog
from server.desk.decisions import DecisionMaker
from server.desk.engine import ScoringEngine
from server.desk.server import TlsFiles
from server.desk.settings import SETTINGS_FILE, DeskSettings

OnCall = Callable[[str, str, str, float], None]


@dataclass(frozen=True)
class Handler:
    """A further gRPC service and its full name."""

    name: str
    generic: grpc.GenericRpcHandler


def policy_of(settings: DeskSettings, alerts: AlertDesk) -> DecisionMaker | None:
    """The lending policy of '[policy] file', or None.

    Raises:
        InputError: the file is missing or wrong.
    """
    path = _file(settings, "policy", "file")
    if path is None:
        return None
    from server.desk.policy.adapter import PolicyDesk
    from server.desk.policy.challenger import PolicyPair

    return PolicyDesk(PolicyPair.load(path), alerts)


def encrypted_of(
    settings: DeskSettings, gate: Gate, audit: AuditLog, on_call: OnCall
) -> Handler | None:
    """Encrypted scoring of the models in '[encrypted] folder', one 'NAME.json' each; or None.

    Raises:
        InputError: there is none, one is damaged, or a limit is no whole number.
    """
    folder = _file(settings, "encrypted", "folder", *_limit_names())
    if folder is None:
        return None
    from server.desk.encrypted import (
        EncryptedLimits,
        encrypted_handlers,
        gate_check,
        load_encrypted_model,
    )
    from server.desk.encrypted.service import SERVICE

    where = f"{settings.folder / SETTINGS_FILE}: [encrypted]"
    models = {path.stem: load_encrypted_model(path) for path in sorted(folder.glob("*.json"))}
    if not models:
        raise InputError(f"{where} names {folder}, which holds no model (NAME.json)")
    limits: dict[str, int] = {}
    for name, value in settings.others["encrypted"].items():
        if name != "folder":
            if type(value) is not int or value < 1:
                raise InputError(f"{where}: '{name}' must be a whole number from 1 up")
            limits[name] = value

    def told(method: str, status: str, seconds: float) -> None:
        on_call(f"Encrypted/{method}", "", status, seconds)

    handler = encrypted_handlers(
        models, gate_check(gate), EncryptedLimits(**limits), audit.enter, told
    )
    return Handler(SERVICE, handler)


@dataclass(frozen=True)
class Attestations:
    """The service that signs for the chain; `close` when the server has ended."""

    handler: Handler
    close: Callable[[], None]


def attestations_of(
    settings: DeskSettings,
    engine: ScoringEngine,
    gate: Gate,
    audit: AuditLog,
    decide: DecisionMaker | None,
    on_call: OnCall,
    on_decided: Callable[[str, str], None],
) -> Attestations | None:
    """The service of '[attestations]', or None where the table is empty.

    Raises:
        InputError: a setting or file is wrong, there is no policy, or the extra 'chain' is missing.
    """
    values = settings.others.get("attestations", {})
    if not values:
        return None
    where = f"{settings.folder / SETTINGS_FILE}: [attestations]"
    if decide is None:
        raise InputError(f"{where} needs a lending policy, whose decisions it signs: [policy] file")
    try:
        from server.desk.attestations.attester import Attester
        from server.desk.attestations.service import SERVICE, AttestationService
        from server.desk.attestations.settings import attestation_settings
    except ModuleNotFoundError as error:
        raise InputError(
            f"{where} needs '{error.name}'; pip install 'veilscore[chain]' brings it"
        ) from error
    attester = Attester(attestation_settings(values, settings.folder / SETTINGS_FILE))
    service = AttestationService(attester, engine, gate, audit, decide, on_call, on_decided)
    return Attestations(Handler(SERVICE, service.handler()), service.close)


class Gateway:
    """The REST gateway, where 'rest_listen' is set.

    Args:
        settings: the desk's.
        engine, gate, audit, decide, on_call, on_decided: the desk's own.
    """

    def __init__(
        self,
        settings: DeskSettings,
        engine: ScoringEngine,
        gate: Gate,
        audit: AuditLog,
        decide: DecisionMaker | None,
        on_call: OnCall,
        on_decided: Callable[[str, str], None],
    ) -> None:
        """Nothing listens yet."""
        from server.desk.gateway.app import gateway_app
        from server.desk.gateway.serving import GatewayServer

        app = gateway_app(engine, gate, audit, decide, on_call, on_decided)
        self._grace = settings.drain_seconds
        self._server = GatewayServer(app, TlsFiles.of(settings.tls), settings.rest_listen)

    async def start(self) -> str:
        """Listen; returns host and port, raises `InputError` where that can't be."""
        return await self._server.start()

    async def close(self) -> None:
        """Let calls under way end."""
        await asyncio.wait_for(self._server.drain(self._grace), self._grace + 5)


def _file(settings: DeskSettings, name: str, key: str, *others: str) -> Path | None:
    """A path that a table of the settings names; None where the table is empty."""
    values: Mapping[str, Any] = settings.others.get(name, {})
    where = f"{settings.folder / SETTINGS_FILE}: [{name}]"
    for given in values:
        if given not in (key, *others):
            known = ", ".join((key, *others))
            raise InputError(f"{where} has an unknown key '{given}'; known are {known}")
    if not values:
        return None
    path = values.get(key)
    if not isinstance(path, str) or not path.strip():
        raise InputError(f"{where} needs '{key}', a path from {settings.folder}")
    return settings.folder / path


def _limit_names() -> tuple[str, ...]:
    from server.desk.encrypted.limits import EncryptedLimits

    return tuple(one.name for one in fields(EncryptedLimits))
