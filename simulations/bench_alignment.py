"""Benchmark of the alignment: two parties, each a process of its own, frames over pipes."""

from __future__ import annotations

import json
import multiprocessing
import resource
import time
from collections.abc import Generator
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from queue import SimpleQueue
from threading import Thread

import numpy as np

from federation.alignment import (
    AlignmentMode,
    GroupWorkers,
    announce_rows,
    feature_party_alignment,
    label_party_alignment,
    open_group,
)
from federation.errors import PartyFailure
from federation.session.machine import Machine, Sent, Step

LABEL_PARTY = "bank"
FEATURE_PARTY = "platform"
SESSION = "bench-alignment"
DOMAIN = b"veilscore bench alignment"
# Longest wait for a party to start or to finish, in seconds.
PATIENCE_SECONDS = 3_600.0


def bench_alignment(ids: int, overlap: float = 0.8, cores: int = 1) -> dict[str, int | float]:
    """Align `ids` borrowers of one bank with as many of one platform; both work at once.

    Args:
        ids: borrowers of each party.
        overlap: share of them that both know, above 0 and at most 1.
        cores: cores of each party (above 1, long lists are blinded by several processes).

    Returns:
        ids; seconds (wall time from when both processes stand ready until both know their rows);
        ids_per_second (ids / seconds); cpu_seconds (of both processes, without workers of theirs:
        when others use the machine too, seconds is well above half of it); bytes and messages (of
        both parties); shared (the aligned rows); peak_rss_mb (of the larger process).

    Raises:
        PartyFailure: a party's process died.
    """
    shared = round(ids * overlap)
    if not 0 < shared <= ids:
        raise ValueError(f"{ids} ids with an overlap of {overlap} share no borrower")
    context = multiprocessing.get_context("spawn")
    label_end, feature_end = context.Pipe()
    ready = context.Barrier(2)
    reports, parties = [], []
    for party, pipe, first in (
        (LABEL_PARTY, label_end, 0),
        (FEATURE_PARTY, feature_end, ids - shared),
    ):
        report, report_end = context.Pipe(duplex=False)
        process = context.Process(
            target=_run_party,
            args=(party, range(first, first + ids), cores, pipe, report_end, ready),
            name=party,
        )
        process.start()
        # Only the child holds these now, so that its death shows as the end of the pipe.
        report_end.close()
        pipe.close()
        reports.append(report)
        parties.append(process)
    try:
        figures = [
            _figures(process.name, report) for process, report in zip(parties, reports, strict=True)
        ]
    finally:
        for process in parties:
            process.join(timeout=10)
            if process.is_alive():
                process.terminate()
                process.join()
    seconds = max(each["ended"] for each in figures) - min(each["started"] for each in figures)
    return {
        "ids": ids,
        "seconds": round(seconds, 4),
        "ids_per_second": round(ids / seconds, 1),
        "cpu_seconds": round(sum(each["cpu_seconds"] for each in figures), 4),
        "bytes": int(sum(each["bytes"] for each in figures)),
        "messages": int(sum(each["messages"] for each in figures)),
        "shared": int(figures[0]["shared"]),
        "peak_rss_mb": round(max(each["peak_rss_mb"] for each in figures), 1),
    }


def _figures(party: str, report: Connection) -> dict[str, float]:
    if not report.poll(PATIENCE_SECONDS):
        raise PartyFailure(f"the {party} did not finish within {PATIENCE_SECONDS:.0f} seconds")
    try:
        figures: dict[str, float] = json.loads(report.recv_bytes())
    except EOFError as error:
        raise PartyFailure(f"the process of the {party} ended before the alignment did") from error
    return figures


def _run_party(
    party: str, numbers: range, cores: int, pipe: Connection, report: Connection, ready: Barrier
) -> None:
    """One party's process: its ids, its machine, and frames in and out of the pipe."""
    # Scattered, so that the two parties' lists come in different orders.
    order = np.random.default_rng(len(party)).permutation(len(numbers))
    ids = [f"{numbers[row]:010d}" for row in order.tolist()]
    sent: list[Sent] = []
    arrived: SimpleQueue[bytes] = SimpleQueue()
    with open_group(len(ids), cores) as group:
        role = _label_party(ids, group) if party == LABEL_PARTY else _feature_party(ids, group)
        machine = Machine(party=party, session=SESSION, role=role, on_sent=sent.append)
        # A reader of its own, for both parties may be writing at once and pipes hold little.
        Thread(target=_read, args=(pipe, arrived), daemon=True).start()
        ready.wait(PATIENCE_SECONDS)
        started, cpu_started = time.monotonic(), time.process_time()
        for _, frame in machine.start():
            pipe.send_bytes(frame)
        while not machine.finished:
            for _, frame in machine.receive(arrived.get()):
                pipe.send_bytes(frame)
        ended, cpu_ended = time.monotonic(), time.process_time()
    figures = {
        "started": started,
        "ended": ended,
        "cpu_seconds": cpu_ended - cpu_started,
        "bytes": sum(each.size_bytes for each in sent),
        "messages": len(sent),
        "shared": machine.result,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    report.send_bytes(json.dumps(figures).encode())


def _read(pipe: Connection, arrived: SimpleQueue[bytes]) -> None:
    try:
        while True:
            arrived.put(pipe.recv_bytes())
    except EOFError:
        return  # the other party has closed its end


def _label_party(ids: list[str], group: GroupWorkers) -> Generator[Step, object, int]:
    alignment = yield from label_party_alignment(
        ids, [FEATURE_PARTY], AlignmentMode.INNER, group, DOMAIN
    )
    yield from announce_rows(alignment, np.zeros(alignment.rows.size, dtype=np.uint8))
    return int(alignment.rows.size)


def _feature_party(ids: list[str], group: GroupWorkers) -> Generator[Step, object, int]:
    alignment = yield from feature_party_alignment(
        ids, LABEL_PARTY, group, DOMAIN, AlignmentMode.INNER
    )
    return int(alignment.rows.size)
