"""What `veilscore models` prints, for a person or a program."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from federation.errors import InputError
from server.desk.registry.documents import MOST_DOCUMENT_BYTES, verified_model
from server.desk.registry.names import split_name
from server.desk.registry.records import ModelRecord, Routing
from server.desk.registry.registry import Registry


def operator() -> str:
    """Who runs this process, as the system says."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container whose user has no name
        return f"user {os.getuid()}"


def read_document_file(path: Path) -> bytes:
    """A signed model's file, whole.

    Raises:
        InputError: there is none, or it is too large.
    """
    try:
        with path.open("rb") as file:
            document = file.read(MOST_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); name a served model, such as "
            "runs/latest/bank/served-exact.json"
        ) from None
    return document


def done_line(sentence: str, content: Mapping[str, object], as_json: bool) -> str:
    """What was done."""
    return json.dumps(content) if as_json else sentence


def model_lines(
    records: Sequence[ModelRecord], routing: Mapping[str, Routing], as_json: bool
) -> Iterator[str]:
    """One line a model."""
    if not records and not as_json:
        yield "no models yet; add one with `veilscore models add`"
    for record in records:
        yield model_line(record, routing, as_json)


def model_line(record: ModelRecord, routing: Mapping[str, Routing], as_json: bool) -> str:
    """One model in a line."""
    line = split_name(record.name)[0]
    part = _part(record.name, routing.get(line, Routing()))
    if as_json:
        return json.dumps(
            {
                "model": record.name,
                "stage": str(record.stage),
                "part": part,
                "share": routing[line].share if part == "challenger" else None,
                "digest": record.digest,
                "signer": record.signer,
                "run": record.run,
                "session": record.session,
                "training": record.training,
                "created": moment(record.created_ms),
                "created_by": record.created_by,
            }
        )
    told = f"{part} {routing[line].share:.4%}" if part == "challenger" else part
    return (
        f"{record.name:<20} {record.stage:<11} {told:<20} {record.digest[:12]}  "
        f"{moment(record.created_ms)}  {record.run}"
    )


def shown_model(registry: Registry, name: str, as_json: bool) -> Iterator[str]:
    """Everything about a model; its signature is checked.

    Raises:
        InputError: there is no such model, or it was tampered with.
    """
    split_name(name)
    records = {record.name: record for record in registry.models()}
    if name not in records:
        raise InputError(f"the registry has no model '{name}'; `veilscore models list` lists all")
    served, _ = verified_model(registry.document(name), f"model '{name}'", registry.signers)
    history = registry.history(name)
    summary = model_line(records[name], registry.routing(), as_json)
    if as_json:
        variants = [
            {
                "name": variant.name,
                "parties": list(variant.parties),
                "auc": variant.auc,
                "test_borrowers": variant.test_borrowers,
            }
            for variant in served.variants
        ]
        changes = [
            {"stage": str(c.stage), "at": moment(c.at_ms), "by": c.by, "why": c.why}
            for c in history
        ]
        content = json.loads(summary)
        extra = {"variants": variants, "history": changes, "label_privacy": served.label_privacy}
        yield json.dumps(content | extra)
        return
    record = records[name]
    yield summary
    yield f"  digest   {record.digest}"
    yield f"  signer   {record.signer}"
    yield f"  session  {record.session}, training {record.training}"
    if served.label_privacy:
        yield f"  labels   {served.label_privacy}"
    for variant in served.variants:
        auc = "" if variant.auc is None else f"  AUC {variant.auc:.4f}"
        parties = ", ".join(variant.parties) or "no other party"
        yield f"  variant  {variant.name} (with {parties}){auc}"
    for change in history:
        yield f"  {moment(change.at_ms)}  {change.stage:<11} {change.by}: {change.why}"


def moment(at_ms: int) -> str:
    """A time in UTC, to the second."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _part(name: str, routing: Routing) -> str:
    if name == routing.champion:
        return "champion"
    if name == routing.challenger:
        return "challenger"
    return "shadow" if name in routing.shadows else ""
