"""The in-process driver: runs all parties' machines in one process, for tests and notebooks."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from federation.errors import ProtocolError
from federation.session.endpoint import Endpoint


class Finishing(Endpoint, Protocol):
    """An endpoint that has a result when it has finished."""

    @property
    def result(self) -> Any:
        """What the party holds after the session."""


def run_in_process(machines: Mapping[str, Finishing]) -> dict[str, Any]:
    """Deliver frames until every machine has finished; returns each party's result.

    Raises:
        ProtocolError: nobody has anything to send and somebody still waits.
    """
    frames = deque(
        (name, *frame) for name, machine in machines.items() for frame in machine.start()
    )
    while frames:
        sender, recipient, data = frames.popleft()
        if recipient not in machines:
            raise ProtocolError(f"a message was sent to '{recipient}', which is not of the session")
        made = machines[recipient].receive(data, sender)
        frames.extend((recipient, *frame) for frame in made)
    waiting = [
        f"{name} waits for {m.waiting_for}" for name, m in machines.items() if not m.finished
    ]
    if waiting:
        raise ProtocolError("the session came to a halt: " + "; ".join(waiting))
    return {name: machine.result for name, machine in machines.items()}
