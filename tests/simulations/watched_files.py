"""Who opens which file: two witnesses that see what the other can't.

Python tells an audit hook of every file it opens, so a `sitecustomize` that every process of a run
loads can write down process and path. A library in C++ (pyarrow reads tables itself) asks no hook;
the kernel's inotify counts its opens too, but doesn't say whose they were. Together: every open of
a file that the kernel counts beyond those that belong to the audited reads was made by somebody
behind the hook's back.
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IN_CLOSE_WRITE, IN_CLOSE_NOWRITE, IN_OPEN, IN_IGNORED = 0x8, 0x10, 0x20, 0x8000

SITECUSTOMIZE = """\
import os
import sys

ROOT, LOG = os.environ["WATCHED_ROOT"], os.environ["WATCHED_LOG"]


def _note(event, arguments):
    if event != "open" or isinstance(arguments[0], int) or arguments[0] is None:
        return
    path = os.path.abspath(os.fsdecode(arguments[0]))
    if path.startswith(ROOT):
        descriptor = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, f"{os.getpid()}\\t{path}\\n".encode())
        os.close(descriptor)


sys.addaudithook(_note)
"""


class AuditedOpens:
    """Files below a folder that Python processes open, when started with `environment`."""

    def __init__(self, root: Path, scratch: Path) -> None:
        """Make the hook in a folder of its own."""
        self._log = scratch / "opened.txt"
        hook = scratch / "hook"
        hook.mkdir(parents=True)
        (hook / "sitecustomize.py").write_text(SITECUSTOMIZE)
        self.environment = {
            "PYTHONPATH": str(hook),
            "WATCHED_ROOT": str(root),
            "WATCHED_LOG": str(self._log),
        }

    def by_process(self) -> dict[int, Counter[Path]]:
        """How often each process opened each file."""
        found: dict[int, Counter[Path]] = {}
        for line in self._log.read_text().splitlines() if self._log.exists() else ():
            process, _, path = line.partition("\t")
            found.setdefault(int(process), Counter())[Path(path)] += 1
        return found

    def times(self, path: Path) -> int:
        """How often anybody opened a file."""
        return sum(opened[path] for opened in self.by_process().values())


class KernelOpens:
    """Counts opens of the files right in some folders, by whomever."""

    def __init__(self) -> None:
        """Use `watching`."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._folders: dict[int, Path] = {}
        self.times: Counter[Path] = Counter()

    @contextmanager
    def watching(self, *folders: Path) -> Iterator[KernelOpens]:
        """Count what happens inside."""
        descriptor = self._libc.inotify_init1(os.O_CLOEXEC)
        assert descriptor >= 0, os.strerror(ctypes.get_errno())
        # Closing is watched so that two opens in a row never stand side by side in the queue,
        # where the kernel would make one event of them.
        mask = IN_OPEN | IN_CLOSE_NOWRITE | IN_CLOSE_WRITE
        for folder in folders:
            watch = self._libc.inotify_add_watch(descriptor, os.fsencode(folder), mask)
            assert watch >= 0, os.strerror(ctypes.get_errno())
            self._folders[watch] = folder
        reader = threading.Thread(target=self._read, args=(descriptor,), daemon=True)
        reader.start()
        try:
            yield self
        finally:
            # Each removal puts a last event behind all others: the reader ends when it has them.
            for watch in list(self._folders):
                self._libc.inotify_rm_watch(descriptor, watch)
            reader.join(10)
            os.close(descriptor)
            self._folders.clear()

    def _read(self, descriptor: int) -> None:
        left = len(self._folders)
        while left:
            events = os.read(descriptor, 65536)
            while events:
                watch, mask, _, length = struct.unpack_from("iIII", events)
                name = events[16 : 16 + length].rstrip(b"\0")
                events = events[16 + length :]
                left -= bool(mask & IN_IGNORED)
                if mask & IN_OPEN and name:
                    self.times[self._folders[watch] / os.fsdecode(name)] += 1
