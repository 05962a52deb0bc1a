"""The load generator in a process of its own, so that it shares no interpreter with who asks."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from federation.errors import InputError
from simulations.open_loop import START_SECONDS, Load, Target, open_loop
from simulations.open_loop_recording import Recording

END_SECONDS = 10.0


def open_loop_apart(target: Target, load: Load, requests: Sequence[bytes]) -> Recording:
    """As `open_loop`, in a process of its own that is ended in any case.

    Raises:
        InputError: as `open_loop`, or the process died or did not come to an end.
    """
    load.check()
    # Warm calls that all end at their deadline take longest.
    most = (
        load.seconds
        + load.call_seconds * (1 + load.warm * load.channels)
        + 2 * START_SECONDS
        + END_SECONDS
    )
    recording = apart(open_loop, (target, load, list(requests)), most)
    if not isinstance(recording, Recording):
        raise TypeError("the load generator answers with a recording")
    return recording


def apart(work: Callable[..., Any], arguments: tuple[Any, ...], seconds: float) -> Any:
    """What a function returns that runs in a fresh process, for so many seconds at most.

    Raises:
        InputError: the function's own, or no answer in time.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(work, arguments, there), daemon=True)
    process.start()
    there.close()  # the process has its own; if it dies, this side hears of it
    try:
        if not here.poll(seconds):
            raise InputError(f"load: the generator did not come to its end in {seconds:.0f} s")
        answer = here.recv()
    except EOFError:
        raise InputError("load: the generator's process died; its own message says why") from None
    except BaseException:  # being told to stop, too
        process.kill()
        raise
    finally:
        here.close()
        process.join(END_SECONDS)
        process.kill()
        process.join()
        process.close()
    if isinstance(answer, Exception):
        raise answer
    return answer


def _work(work: Callable[..., Any], arguments: tuple[Any, ...], there: Connection) -> None:
    try:
        there.send(work(*arguments))
    except Exception as error:
        there.send(error)
