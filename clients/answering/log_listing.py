"""A feature party's log of answers, verified and laid out for a reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from clients.answering.answer_log import answer_log_path, entry_line
from clients.vault.chain_reading import read_log
from federation.errors import InputError


def log_listing(manifest: Path, as_json: bool) -> Iterator[str]:
    """Lines to print: one an entry, then the totals; or one JSON object an entry.

    Raises:
        InputError: there is no manifest or log, or the log was altered.
    """
    if not manifest.is_file():
        raise InputError(f"{manifest}: there is no such file; name the party's manifest")
    entries = requests = borrowers = size = 0
    for entry in read_log(answer_log_path(manifest)):
        if not entries and entry.index and not as_json:
            yield f"the first {entry.index:,} entries are in files archived elsewhere"
        entries += 1
        if as_json:
            content = {"index": entry.index, "digest": entry.digest} | dict(entry.body)
            yield json.dumps(content, ensure_ascii=False)
            continue
        requests += int(entry.body.get("requests", 0))
        borrowers += int(entry.body.get("borrowers", 0))
        size += int(entry.body.get("bytes", 0))
        yield entry_line(entry.body)
    if not as_json:
        yield (
            f"{entries:,} entries: {requests:,} requests about {borrowers:,} borrowers answered, "
            f"{size:,} bytes left; the chain is intact"
        )
