"""The disclosure logs of a run, verified and laid out for a reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from clients.vault import ChainFile
from federation.errors import InputError
from federation.record_chain import Entry

LOG_NAME = "disclosures.jsonl"


def read_disclosures(run_folder: Path) -> dict[str, tuple[Entry, ...]]:
    """Every party's disclosure log in a run's folder, verified.

    Raises:
        InputError: the folder is not a run's, or a log was altered.
    """
    found = {}
    for path in sorted(run_folder.glob(f"*/{LOG_NAME}")):
        found[path.parent.name] = tuple(ChainFile(path).entries)
    if not found:
        raise InputError(
            f"{run_folder}: holds no disclosure log; name a run's folder, such as runs/latest"
        )
    return found


def listing(run_folder: Path, party: str | None, as_json: bool) -> Iterator[str]:
    """Lines to print: one a message, then totals; or one JSON object a message."""
    logs = read_disclosures(run_folder)
    if party is not None and party not in logs:
        raise InputError(f"{run_folder}: has no party '{party}'; it has {', '.join(logs)}")
    chosen = {name: entries for name, entries in logs.items() if party in (None, name)}
    if as_json:
        for name, entries in chosen.items():
            for entry in entries:
                yield json.dumps({"from": name} | dict(entry.body), ensure_ascii=False)
        return
    for name, entries in chosen.items():
        total = sum(int(entry.body["bytes"]) for entry in entries)
        yield f"{name}: {len(entries)} messages, {total:,} bytes left it; the chain is intact"
        for entry in entries:
            body = entry.body
            to, kind, size = body["to"], body["kind"], body["bytes"]
            yield f"  {body['time']}  to {to:<16} {kind:<16} {size:>12,} bytes"
