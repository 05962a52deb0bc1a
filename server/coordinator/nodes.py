"""Who is who among Flower's nodes."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from federation.errors import PartyFailure

POLL_SECONDS = 0.2
PARTY_SECONDS = 60.0


def find_parties(grid: Grid, names: Sequence[str], seconds: float) -> dict[str, int]:
    """Ask every node which party it is, until all are found or time is up.

    Returns:
        The nodes of the parties that were found.
    """
    deadline = time.monotonic() + seconds
    nodes: dict[str, int] = {}
    asked: set[int] = set()
    while True:
        fresh = [node for node in grid.get_node_ids() if node not in asked]
        asked.update(fresh)
        questions = [
            Message(RecordDict(), dst_node_id=node, message_type="query.party", ttl=seconds)
            for node in fresh
        ]
        left = max(deadline - time.monotonic(), 1.0)
        replies = grid.send_and_receive(questions, timeout=left) if questions else []
        for reply in replies:
            name = "" if reply.has_error() else _name(reply)
            if name in nodes and nodes[name] != reply.metadata.src_node_id:
                raise PartyFailure(
                    f"two nodes say that they are {name}; start one node a party, then run again"
                )
            if name in names:
                nodes[name] = reply.metadata.src_node_id
        if not missing(names, nodes) or time.monotonic() > deadline:
            return {name: nodes[name] for name in names if name in nodes}
        time.sleep(POLL_SECONDS)


def _name(reply: Message) -> str:
    try:
        return str(reply.content["party"]["name"])
    except (KeyError, TypeError):
        return ""


def missing(names: Sequence[str], found: Collection[str]) -> list[str]:
    """The names that were not found, in order."""
    return [name for name in names if name not in found]
