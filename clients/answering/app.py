"""A feature party's answer side, from its files to a process that answers until it is told to stop.

SIGTERM and SIGINT end it in good order: what is under way is answered, the log is closed. SIGHUP
reads the table again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clients.answering.answer_log import ENTRY_MS, AnswerLog, answer_log_path
from clients.answering.callers import Callers
from clients.answering.limits import AskingLimits
from clients.answering.loading import Loaded, Loader
from clients.answering.model_parts import RunParts, read_run
from clients.answering.server import AnswerServer
from clients.answering.service import AnswerService
from clients.answering.settings import ServingSettings, listen_address, read_serving
from clients.federation_file import read_federation
from clients.manifest import PartyManifest, PartyRole, read_manifest
from clients.pins import Identity, identity_of
from federation.errors import InputError

DRAIN_SECONDS = 5.0
# While the table is read again, the thread that answers takes turns with the one that reads.
SWITCH_SECONDS = 0.0005
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnswerJob:
    """What a feature party serves.

    Attributes:
        manifest: its own.
        identity: its key and its peers' pinned ones.
        label_party, feature_parties: names.
        runs: whose parts it answers with.
        settings: what it allows.
    """

    manifest: PartyManifest
    identity: Identity
    label_party: str
    feature_parties: tuple[str, ...]
    runs: tuple[RunParts, ...]
    settings: ServingSettings


def answer_job(
    manifest_path: Path, federation: Path, runs: Sequence[Path], listen: str | None = None
) -> AnswerJob:
    """Read all files but the table.

    Args:
        manifest_path: the party's own manifest.
        federation: its copy of the federation file, which pins the peers' keys.
        runs: folders of runs.
        listen: host and port instead of the manifest's.

    Raises:
        InputError: a file is missing or wrong, the manifest is not the party's of the federation
            file, or a key is not pinned.
    """
    manifest = read_manifest(manifest_path)
    if manifest.role is not PartyRole.FEATURE:
        raise InputError(
            f"{manifest_path}: is the label party's manifest; the label party asks, and its "
            "partners answer"
        )
    settings = read_serving(manifest_path)
    config = read_federation(federation)
    label_party = config.label_party.name
    entry = config.party(manifest.name)
    if not entry.manifest.is_file() or not entry.manifest.samefile(manifest_path):
        raise InputError(
            f"{federation}: the manifest of '{manifest.name}' is {entry.manifest}, not "
            f"{manifest_path}; name the federation file that this party belongs to"
        )
    if listen is not None:
        settings = replace(settings, listen=listen_address(listen, "--listen"))
    feature_parties = tuple(party.name for party in config.feature_parties)
    return AnswerJob(
        manifest=manifest,
        identity=identity_of(config, manifest.name),
        label_party=label_party,
        feature_parties=feature_parties,
        runs=tuple(read_run(run, manifest.name, feature_parties) for run in runs),
        settings=settings,
    )


async def serve(job: AnswerJob, on_ready: Callable[[list[str]], None]) -> None:
    """Answer until SIGTERM or SIGINT.

    Args:
        job: what is served.
        on_ready: told what it serves, a line each, once it listens.

    Raises:
        InputError: the table can't be read, the log was altered, or the port is taken.
    """
    stopping, reading = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number, event in (
        (signal.SIGTERM, stopping),
        (signal.SIGINT, stopping),
        (signal.SIGHUP, reading),
    ):
        loop.add_signal_handler(number, event.set)
    sys.setswitchinterval(SWITCH_SECONDS)
    settings = job.settings
    limits = AskingLimits(settings.requests_per_second, settings.borrowers_per_day)
    log = AnswerLog(
        answer_log_path(job.manifest.path),
        lambda count, time: limits.already_asked(count, int(time.timestamp()) // 86_400),
    )
    try:
        loader = Loader(
            job.manifest, job.identity, job.label_party, job.feature_parties, job.runs, settings
        )
        callers = Callers(job.label_party, job.identity.pins[job.label_party])
        service = AnswerService(loader.load(), callers, limits, log)
        server = AnswerServer(service, job.identity, job.label_party, settings.listen)
        address = await server.start()
        tasks = [
            asyncio.create_task(_enter_each_second(log)),
            asyncio.create_task(_read_again(loader, service, settings.reload_seconds, reading)),
        ]
        try:
            on_ready(described(job, service.loaded, address))
            await stopping.wait()
        finally:
            await server.stop(DRAIN_SECONDS)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        log.close(int(time.time() * 1000))


def described(job: AnswerJob, loaded: Loaded, address: str) -> list[str]:
    """What a person reads when it has started."""
    pins, settings = job.identity.pins, job.settings
    lines = [
        f"{job.manifest.name} answers on {address}, key {job.identity.key.public.fingerprint}",
        f"  may ask: {job.label_party}, key {pins[job.label_party].fingerprint}",
        f"  borrowers: {loaded.borrowers:,}",
    ]
    for contribution in loaded.sessions.values():
        for one in contribution.offered():
            others = [name for name in one.parties if name != job.manifest.name]
            hidden = f"masked with {', '.join(others)}" if others else "not masked"
            lines.append(f"  serves {one.name} of session {contribution.session}, {hidden}")
    quota = f"{settings.borrowers_per_day:,}" if settings.borrowers_per_day else "any number of"
    lines.append(
        f"  at most {settings.requests_per_second:,} requests a second, about {quota} borrowers a "
        f"day; reasons are {'given' if settings.reasons else 'not given'}"
    )
    notes = [*loaded.notes, *(note for run in job.runs for note in run.notes)]
    return [*lines, *(f"  note: {note}" for note in notes)]


async def _enter_each_second(log: AnswerLog) -> None:
    while True:
        await asyncio.sleep(ENTRY_MS / 1000)
        with contextlib.suppress(OSError):  # told to whoever asks next, who is not answered
            log.flush(int(time.time() * 1000))


async def _read_again(
    loader: Loader, service: AnswerService, seconds: int, reading: asyncio.Event
) -> None:
    """Read the table at intervals and when told to; a reading that fails changes nothing."""
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reading.wait(), seconds or None)
        reading.clear()
        try:
            service.swap(await asyncio.to_thread(loader.load))
        except InputError as error:
            _logger.warning("the table read before is still answered from: %s", error)
        except Exception as error:  # a broken driver or disk must not end the answering
            name = type(error).__name__
            _logger.warning("the table read before is still answered from: %s", name)
