"""The processes of a benchmark of the desk: started, watched, and ended in any case."""

from __future__ import annotations

import os
import re
import signal
import subprocess  # nosec B404
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from federation.errors import InputError

START_SECONDS = 60.0
END_SECONDS = 10.0
LOOK_SECONDS = 0.05
COMMAND = (sys.executable, "-m", "veilscore")
# One thread each: the benchmark's machine has few cores, and these serve single rows.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Service:
    """A running process that said where it listens.

    Attributes:
        name: for people.
        process: it.
        address: host:port.
        log: what it says, stdout and stderr together.
    """

    name: str
    process: subprocess.Popen[bytes]
    address: str
    log: Path

    def resident_mb(self) -> float:
        """Its memory now, without that of processes that it started."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("this system does not say a process's memory")

    def cpu_seconds(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def stop_answering(self) -> None:
        """It keeps its connections and takes new ones, and never says another word."""
        self.process.send_signal(signal.SIGSTOP)

    def answer_again(self) -> None:
        """Undo `stop_answering`."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it by force, as a power cut would."""
        self.process.kill()
        self.process.wait(END_SECONDS)


@contextmanager
def service(
    name: str, arguments: Sequence[str], folder: Path, listens: re.Pattern[str]
) -> Iterator[Service]:
    """Run `veilscore ARGUMENTS` until the block is left.

    Args:
        name: for people, and of the log in `folder`.
        arguments: of the command.
        listens: what it says once it answers; the first group is host and port.

    Raises:
        InputError: it ended, or did not answer in time; its last words stand in the sentence.
    """
    log = folder / f"{name}.log"
    command = [*COMMAND, *arguments]
    with log.open("wb") as words:
        # A fixed command on files of this run.
        process = subprocess.Popen(  # nosec B603
            command,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            env=os.environ | _ONE_THREAD | {"PYTHONUNBUFFERED": "1"},
        )
    try:
        yield Service(name, process, _address(name, process, log, listens), log)
    finally:
        _end(process)


def _address(
    name: str, process: subprocess.Popen[bytes], log: Path, listens: re.Pattern[str]
) -> str:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if found := listens.search(log.read_text("utf-8", errors="replace")):
            return found.group(1)
        if process.poll() is not None:
            break
        time.sleep(LOOK_SECONDS)
    what = "ended" if process.poll() is not None else f"did not answer in {START_SECONDS:g} s"
    words = log.read_text("utf-8", errors="replace").strip()[-500:]
    raise InputError(f"bench scoring: the process of {name} {what}; its last words: {words}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Being asked to end (SIGTERM) unwinds the blocks within, so that no process is left."""

    def unwind(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
