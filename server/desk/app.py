"""Wires a desk: settings in, services out; nothing is decided here."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from clients.vault import party_key
from clients.vault.party_key_file import PARTY_KEY
from federation.errors import InputError
from federation.identity import PartyKey
from federation.scoring import ServedModel
from server.desk.access.gate import Gate, Refused
from server.desk.access.rules import Role
from server.desk.alerts.desk import AlertDesk
from server.desk.alerts.handlers import SERVICE as ALERT_SERVICE
from server.desk.alerts.handlers import alert_handlers
from server.desk.alerts.settings import open_store
from server.desk.answers import Contributors, LoadedModel
from server.desk.audit import AuditLog, AuditRow
from server.desk.calls import caller_certificate
from server.desk.engine import ScoringEngine
from server.desk.extra_services import (
    Gateway,
    Handler,
    attestations_of,
    encrypted_of,
    policy_of,
)
from server.desk.failures import Failure, failure_of, unexpected
from server.desk.monitoring.exposition import registry_of
from server.desk.monitoring.monitor import Monitor
from server.desk.monitoring.serving import MetricsServer
from server.desk.monitoring.settings import drift_settings
from server.desk.partners import LinkPool, PartnerAddress, PartnerHooks, PartnerLinks
from server.desk.refusal_pace import RefusalPace
from server.desk.registry.directory import DirectoryNote, ModelDirectory
from server.desk.registry.registry import Registry
from server.desk.registry.settings import RegistrySettings, registry_settings
from server.desk.server import DeskServer, TlsFiles
from server.desk.service import SERVICE, ScoringService
from server.desk.settings import SETTINGS_FILE, DeskSettings
from server.desk.single_model import NoLinks

LOG = logging.getLogger("veilscore.desk")
WARM_SECONDS = 2.0
ALERT_RECHECK_SECONDS = 2.0  # a stream of alerts ends when its caller is struck from the file


@dataclass(frozen=True)
class Desk:
    """A desk that answers.

    Attributes:
        address: host and port of the gRPC service.
        rest: of the gateway; empty where it is not served.
        metrics: of the metrics; the same.
        models: names of the models that answer.
        server: the gRPC server.
    """

    address: str
    rest: str
    metrics: str
    models: tuple[str, ...]
    server: DeskServer


@contextlib.asynccontextmanager
async def open_desk(settings: DeskSettings, first_model: Path | None) -> AsyncIterator[Desk]:
    """A desk of these settings, answering until the block is left.

    Args:
        settings: the desk's.
        first_model: a served model's file that is put into production where nothing is yet.

    Raises:
        InputError: a setting, a file or the registry is not right, or an address is taken.
    """
    async with contextlib.AsyncExitStack() as stack:
        gate = Gate(settings.access_file)
        audit = AuditLog(settings.audit_folder)
        stack.callback(audit.close)
        where = str(settings.folder / SETTINGS_FILE)
        monitor = Monitor(
            gate.rules.names,
            drift_settings(settings.others["monitoring"], f"{where}, [monitoring]"),
        )
        key = _vault_key(settings)
        source = registry_settings(
            settings.others["registry"],
            f"{where}: [registry]",
            settings.folder,
            settings.label_party_vault,
        )
        registry = Registry.open(source)
        stack.callback(registry.close)
        if first_model is not None:
            _seed(registry, source, first_model)
        directory = await _directory(registry, source, settings, key, monitor, stack)
        engine = ScoringEngine(
            directory,
            limit=settings.deadline,
            batch_limit=settings.batch_deadline,
            on_scored=monitor.on_scored,
            on_shadow=monitor.on_scored,
            on_batch=monitor.on_batch,
            on_failed=monitor.on_failed,
        )
        stack.push_async_callback(engine.close)
        for loaded in directory.models:
            engine.prepare(loaded)
        rule = engine.check().served.identifier_rule
        alerts = AlertDesk(stack.enter_context(open_store(settings.folder)), rule)
        await alerts.start()
        stack.push_async_callback(alerts.close)
        decide = policy_of(settings, alerts)
        service = ScoringService(
            engine, gate, audit, decide, on_call=monitor.on_call, on_decided=monitor.on_decided
        )
        handlers = [
            Handler(SERVICE, service.handler()),
            Handler(
                ALERT_SERVICE,
                alert_handlers(
                    alerts,
                    alert_check(gate, audit),
                    ALERT_RECHECK_SECONDS,
                    alert_check(gate, audit, goes_on=True),
                ),
            ),
        ]
        encrypted = encrypted_of(settings, gate, audit, monitor.on_call)
        if encrypted is not None:
            handlers.append(encrypted)
        attestations = attestations_of(
            settings, engine, gate, audit, decide, monitor.on_call, monitor.on_decided
        )
        if attestations is not None:
            handlers.append(attestations.handler)
            stack.callback(attestations.close)
        metrics = rest = ""
        if settings.metrics_listen:
            exposed = MetricsServer(registry_of(monitor, settings.folder), settings.metrics_listen)
            stack.callback(exposed.close)
            metrics = exposed.address
        server = DeskServer(
            [one.generic for one in handlers],
            [one.name for one in handlers],
            TlsFiles.of(settings.tls),
            settings.listen,
            settings.connections,
        )
        checking = asyncio.create_task(_keep_monitoring(monitor, directory, gate))
        stack.callback(checking.cancel)
        if settings.rest_listen:
            gateway = Gateway(
                settings, engine, gate, audit, decide, monitor.on_call, monitor.on_decided
            )
            rest = await gateway.start()
            stack.push_async_callback(gateway.close)
        address = await server.start()
        # Calls under way end before anything that they use is closed.
        stack.push_async_callback(server.drain, settings.drain_seconds)
        # What lives as long as the desk is not looked through again for garbage at every turn.
        gc.collect()
        gc.freeze()
        names = tuple(model.name for model in directory.models)
        yield Desk(address, rest, metrics, names, server)


async def serve(settings: DeskSettings, first_model: Path | None) -> None:
    """Serve until SIGTERM or SIGINT; says on standard output where."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # What a service manager sends to have settings read again; it must not end the desk.
    loop.add_signal_handler(
        signal.SIGHUP,
        lambda: LOG.info(
            "models, callers and certificates are read again whenever they change; other settings "
            "at the next start"
        ),
    )
    async with open_desk(settings, first_model) as desk:
        sys.stdout.write(f"The desk serves {', '.join(desk.models)}.\n")
        if desk.rest:
            sys.stdout.write(f"REST at https://{desk.rest}/v1/\n")
        if desk.metrics:
            sys.stdout.write(f"Metrics at http://{desk.metrics}/metrics\n")
        sys.stdout.write(f"The desk answers on {desk.address}\n")
        sys.stdout.flush()
        await stop.wait()
        sys.stdout.write("The desk ends: calls under way are still answered.\n")
        sys.stdout.flush()


def alert_check(
    gate: Gate, audit: AuditLog, goes_on: bool = False
) -> Callable[[grpc.aio.ServicerContext[bytes, bytes], str], Awaitable[str]]:
    """How alert handlers ask whether a caller has a role; each asking is a row of the audit.

    Args:
        gate: says who may call.
        audit: keeps the record.
        goes_on: the call was admitted before, and counts no more; a row only if it is refused now.
    """
    ask, pace = gate.check if goes_on else gate.admit, RefusalPace()

    async def check(context: grpc.aio.ServicerContext[bytes, bytes], role: str) -> str:
        row = AuditRow(secrets.token_hex(16), f"Alerts/{role}")
        failure: Failure | None = None
        enter = not goes_on
        try:
            row.caller = ask(caller_certificate(context), Role(role)).name
        except Refused as error:
            row.caller = error.caller
            failure = failure_of(error, row.request)
            row.status = failure.code.name
            enter = pace.counts(error, row)
        if enter:
            try:
                audit.enter(row)
            except Exception as error:  # what is not in the record is not answered
                failure = unexpected(error, row.request)
        if failure is not None:
            await failure.end(context)
        return row.caller

    return check


async def _directory(
    registry: Registry,
    source: RegistrySettings,
    settings: DeskSettings,
    key: PartyKey | None,
    monitor: Monitor,
    stack: contextlib.AsyncExitStack,
) -> ModelDirectory:
    """The models of the registry, with links to their partners."""
    addresses = {
        name: PartnerAddress(partner.address, partner.deadline)
        for name, partner in settings.partners.items()
    }
    hooks = PartnerHooks(on_asked=monitor.on_asked, on_breaker=monitor.on_breaker)
    pool = None if key is None else LinkPool(key, addresses, hooks)

    def contributors(served: ServedModel) -> Contributors:
        if not served.main.parties:
            return NoLinks(served)
        if pool is None:
            LOG.warning(
                "the model has feature parties, but [desk] label_party_vault is not set: no "
                "partner can be asked, and every score is degraded"
            )
            return NoLinks(served)
        return PartnerLinks(served, pool)

    async def warm(loaded: LoadedModel) -> None:
        if isinstance(loaded.contributors, PartnerLinks):
            await loaded.contributors.start(WARM_SECONDS)

    def note(what: DirectoryNote, name: str) -> None:
        if what in (DirectoryNote.REFUSED, DirectoryNote.DATABASE_DOWN):
            monitor.on_failed(f"registry {what}")

    directory = ModelDirectory(
        registry,
        contributors,
        line=source.line,
        poll_seconds=source.poll_seconds,
        warm=warm,
        note=note,
    )
    stack.push_async_callback(directory.close)
    await directory.start()
    return directory


async def _keep_monitoring(monitor: Monitor, directory: ModelDirectory, gate: Gate) -> None:
    """Tell the monitor of models and callers as they change."""
    drift = asyncio.create_task(monitor.keep_checking())
    try:
        while True:
            monitor.on_models(directory.models)
            monitor.on_callers(gate.rules.names)
            await asyncio.sleep(1.0)
    finally:
        drift.cancel()


def _vault_key(settings: DeskSettings) -> PartyKey | None:
    """The label party's long-term key, under which partners are asked."""
    vault = settings.label_party_vault
    if vault is None:
        return None
    # Reading a key that is not there would make one, which no partner has pinned.
    if not (vault / PARTY_KEY).is_file():
        raise InputError(
            f"{settings.folder / SETTINGS_FILE}: [desk] label_party_vault names {vault}, which "
            f"holds no {PARTY_KEY}; the bank's own vault is right"
        )
    return party_key(vault)


def _seed(registry: Registry, source: RegistrySettings, path: Path) -> None:
    name = registry.seed(path.read_bytes(), by="veilscore serve", line=source.line)
    if name is not None:
        LOG.info("the registry was empty; '%s' is in production now", name)
        return
    LOG.info(
        "the registry has models already, and %s is not added to it; `veilscore models add` and "
        "`veilscore models promote` do that",
        path,
    )
