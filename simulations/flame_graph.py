"""Where a process spends its time: a flame graph by py-spy, drawn while it runs."""

from __future__ import annotations

import shutil
import subprocess  # nosec B404
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from federation.errors import InputError

SAMPLES_A_SECOND = "200"


def find_spy() -> str:
    """Where py-spy is: beside this interpreter, or on the path.

    Raises:
        InputError: it is not installed.
    """
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise InputError("flame graphs are drawn by py-spy; install it: pip install py-spy")
    return found


@contextmanager
def flame_graph(process: int | None, picture: Path) -> Iterator[None]:
    """Sample a process until it ends; the picture (SVG) is there when the context is left.

    Raises:
        InputError: py-spy is not installed, or may not look into the process.
    """
    command = [find_spy(), "record", "--pid", str(process), "--output", str(picture)]
    command += ["--rate", SAMPLES_A_SECOND, "--format", "flamegraph"]
    recorder = subprocess.Popen(  # nosec B603
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        yield
    finally:
        try:
            _, said = recorder.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            recorder.kill()
            _, said = recorder.communicate()
    if not picture.exists():
        raise InputError(f"{picture}: py-spy drew no flame graph: {said.decode()[-300:].strip()}")
    # Its title is the command, with paths of this machine.
    drawn = picture.read_text("utf-8")
    picture.write_text(drawn.replace(" ".join(command), picture.stem), "utf-8")
