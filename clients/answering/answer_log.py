"""What left a feature party by answering: entries of its hash-chained log, never a tag or an id.

One entry a second, kind of request and variant says how many requests were answered, about how many
borrowers, how many of these are known here, how many bytes left and to whom. The first answer after
a quiet second has an entry of its own, which is written before it leaves; those that follow within
the second are counted and entered when it is over. So the end of the process by force loses the
counts of less than a second of a busy service, its orderly end none. Where the log can't be written
nothing is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clients.vault.chain_log import ChainLog
from federation.record_chain import Entry

FOLDER = "answers"
LOG = "answers.jsonl"
ENTRY_MS = 1000


def answer_log_path(manifest: Path) -> Path:
    """Where the log of a party lies, by its manifest."""
    return manifest.parent / "vault" / FOLDER / LOG


@dataclass(frozen=True)
class Question:
    """What one answer was to.

    Attributes:
        kind: 'points' or 'reasons'.
        session, variant: of the model.
        to: the party that asked.
    """

    kind: str
    session: str
    variant: str
    to: str


@dataclass
class _Counts:
    first_ms: int
    requests: int = 0
    borrowers: int = 0
    known: int = 0
    size: int = 0

    def add(self, requests: int, borrowers: int, known: int, size: int) -> None:
        self.requests += requests
        self.borrowers += borrowers
        self.known += known
        self.size += size


class AnswerLog:
    """Enters answers in a chain; `flush` is to be called once a second.

    Args:
        path: the chain's file.
        on_earlier: told of the entries that are there: how many borrowers, and when (aware).
    """

    def __init__(
        self, path: Path, on_earlier: Callable[[int, datetime], None] = lambda count, time: None
    ) -> None:
        """Open and verify the chain.

        Raises:
            InputError: it was altered, or another process writes it.
        """

        def told(entry: Entry) -> None:
            if "borrowers" in entry.body:
                time = datetime.fromisoformat(str(entry.body["until"]))
                on_earlier(int(entry.body["borrowers"]), time)

        self._chain = ChainLog(path, on_entry=told)
        self._open: dict[Question, _Counts] = {}
        self._entered_ms: dict[Question, int] = {}
        self._failed = False

    @property
    def path(self) -> Path:
        """The chain's file."""
        return self._chain.path

    def enter(self, question: Question, borrowers: int, known: int, size: int, now_ms: int) -> None:
        """One answer, before it leaves.

        Raises:
            OSError: the log can't be written; the answer must not leave.
        """
        if self._failed:
            self.flush(now_ms)  # what left before must be entered first
        counts = self._open.setdefault(question, _Counts(now_ms))
        counts.add(1, borrowers, known, size)
        if now_ms - self._entered_ms.get(question, 0) < ENTRY_MS:
            return
        try:
            self._write(question, now_ms)
        except OSError:
            counts.add(-1, -borrowers, -known, -size)
            raise

    def flush(self, now_ms: int) -> None:
        """Enter what was counted.

        Raises:
            OSError: the log can't be written; what was counted is kept.
        """
        for question in list(self._open):
            self._write(question, now_ms)

    def close(self, now_ms: int) -> None:
        """Enter what was counted, and let go of the file."""
        try:
            self.flush(now_ms)
        finally:
            self._chain.close()

    def _write(self, question: Question, now_ms: int) -> None:
        counts = self._open[question]
        if not counts.requests:
            del self._open[question]
            return
        self._failed = True
        self._chain.append(
            {
                "kind": question.kind,
                "session": question.session,
                "variant": question.variant,
                "to": question.to,
                "requests": counts.requests,
                "borrowers": counts.borrowers,
                "known": counts.known,
                "bytes": counts.size,
                "from": _time(counts.first_ms),
                "until": _time(now_ms),
            }
        )
        self._failed = False
        del self._open[question]
        self._entered_ms[question] = now_ms


def entry_line(body: Mapping[str, Any]) -> str:
    """One entry for a reader."""
    if "log" in body:
        return f"{body['time']}  the log was {body['log']}"
    return (
        f"{body['until']}  to {body['to']:<16} {body['kind']:<8} {body['variant']:<24} "
        f"{body['requests']:>7,} requests {body['borrowers']:>10,} borrowers "
        f"{body['known']:>10,} known {body['bytes']:>12,} bytes"
    )


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
