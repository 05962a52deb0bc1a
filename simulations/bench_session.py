"""A benchmark's session: one sealed machine a party, over the relay or in this process.

Over 'stream' every party is a process of its own and every message goes over the relay; over
'memory' all machines run in this process. What a party reports of its result is the benchmark's
own business.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.channels.stream import StreamChannel
from clients.vault import Vault, party_key
from federation.alignment import open_group
from federation.errors import InputError
from federation.sealing import SealedMachine
from federation.session.in_process import run_in_process
from federation.session.machine import Machine
from federation.vertical import SessionPlan, feature_party_session, label_party_session
from server.coordinator.relay import Relay
from simulations.bench_population import FEATURE_PARTY, LABEL_PARTY, load
from simulations.flame_graph import find_spy, flame_graph
from simulations.slow_link import Link, slow_link

PARTIES = (LABEL_PARTY, FEATURE_PARTY)
TRANSPORTS = ("memory", "stream")
# What a party tells of its result: JSON values. At top level of a module, so that a process finds
# it; what it keeps for the comparison goes into the folder.
Summarise = Callable[[Path, Any], dict[str, Any]]


@dataclass(frozen=True)
class SessionRun:
    """Where and how a session runs.

    Attributes:
        folder: the parties' tables and vaults.
        data: 'simulated' or 'uci'.
        transport: 'memory' or 'stream'.
        link: the network between each party and the relay; None: this machine's own.
        flames: a folder for one flame graph a party ('stream' only; needs py-spy).
        flame_suffix: of the graphs' names.
    """

    folder: Path
    data: str
    transport: str
    link: Link | None = None
    flames: Path | None = None
    flame_suffix: str = ""

    def __post_init__(self) -> None:
        """Refuse another transport; make the folder of flame graphs."""
        if self.transport not in TRANSPORTS:
            raise InputError(
                f"transport is '{self.transport}'; {' or '.join(map(repr, TRANSPORTS))} is right"
            )
        if self.flames is not None:
            find_spy()
            self.flames.mkdir(parents=True, exist_ok=True)


def run_session(
    run: SessionRun, plan: SessionPlan, summarise: Summarise
) -> dict[str, dict[str, Any]]:
    """Run a session to its end.

    Returns:
        By party: bytes by kind ('sent'), 'peak_rss_mb', 'cpu_seconds', how many of these were taken
        at the first and at the last message of each kind ('cpu_at'), 'seconds' by stage, and what
        `summarise` tells of its result.
    """
    return (
        _over_stream(run, plan, summarise)
        if run.transport == "stream"
        else _in_memory(run, plan, summarise)
    )


@dataclass(frozen=True)
class SentBytes:
    """One message that a party sent.

    Attributes:
        kind: of its body.
        size: bytes.
        cpu: processor seconds that the process had taken by then.
    """

    kind: str
    size: int
    cpu: float


def _machine(
    run: SessionRun, party: str, plan: SessionPlan
) -> tuple[SealedMachine, list[SentBytes]]:
    """A party's sealed machine, and the list of what it sends.

    Its key lies in a vault of its own, and there it keeps alignment and maps, as in any run.
    """
    table = load(run.folder, party, run.data)
    group = open_group(len(table.identifiers))
    kept = Vault(run.folder / f"vault-{party}").kept
    role: Any
    if party == LABEL_PARTY:
        role = label_party_session(table, plan, group, "bench", store=kept)
    else:
        session = plan.session
        role = feature_party_session(table, party, LABEL_PARTY, session, group, "bench", store=kept)
    sent: list[SentBytes] = []
    machine: Machine[Any] = Machine(
        party,
        plan.session,
        role,
        on_sent=lambda s: sent.append(SentBytes(s.kind, s.size_bytes, time.process_time())),
    )
    pins = {peer: party_key(run.folder / f"vault-{peer}").public for peer in PARTIES}
    key = party_key(run.folder / f"vault-{party}")
    return SealedMachine(machine, key, pins, opens=party == LABEL_PARTY), sent


def _summary(
    run: SessionRun, machine: SealedMachine, sent: list[SentBytes], summarise: Summarise
) -> dict[str, Any]:
    by_kind: Counter[str] = Counter()
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for one in sent:
        by_kind[one.kind] += one.size
        first.setdefault(one.kind, one.cpu)
        last[one.kind] = one.cpu
    result = machine.result
    return {
        "sent": dict(by_kind),
        "cpu_at": {kind: [first[kind], last[kind]] for kind in first},
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "cpu_seconds": round(time.process_time(), 3),
        "seconds": {stage: round(value, 4) for stage, value in result.seconds.items()},
    } | summarise(run.folder, result)


def _party_process(
    run: SessionRun,
    party: str,
    plan: SessionPlan,
    summarise: Summarise,
    address: str,
    certificate: bytes,
) -> None:
    machine, sent = _machine(run, party, plan)
    key = party_key(run.folder / f"vault-{party}")
    StreamChannel(address, key, certificate, tell_inputs=True).run(
        machine, lambda: json.dumps(_summary(run, machine, sent, summarise))
    )


def _over_stream(
    run: SessionRun, plan: SessionPlan, summarise: Summarise
) -> dict[str, dict[str, Any]]:
    context = multiprocessing.get_context("spawn")
    pins = {party: party_key(run.folder / f"vault-{party}").public for party in PARTIES}
    with Relay(plan.session, pins, join_seconds=300) as relay, ExitStack() as stack:
        processes = {}
        for party in PARTIES:
            address = relay.address
            if run.link is not None:  # each party has a line of its own
                address = stack.enter_context(slow_link(address, run.link))
            processes[party] = context.Process(
                target=_party_process,
                args=(run, party, plan, summarise, address, relay.certificate),
            )
        for party, process in processes.items():
            process.start()
            if run.flames is not None:
                picture = run.flames / f"flame-{party}{run.flame_suffix}.svg"
                stack.enter_context(flame_graph(process.pid, picture))
        try:
            return {party: json.loads(text) for party, text in relay.wait().items()}
        finally:
            for process in processes.values():
                process.join(timeout=20)
                if process.is_alive():
                    process.terminate()


def _in_memory(
    run: SessionRun, plan: SessionPlan, summarise: Summarise
) -> dict[str, dict[str, Any]]:
    made = {party: _machine(run, party, plan) for party in PARTIES}
    run_in_process({party: machine for party, (machine, _) in made.items()})
    return {
        party: _summary(run, machine, sent, summarise) for party, (machine, sent) in made.items()
    }
