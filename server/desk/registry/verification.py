"""Is the registry what its event record says, and is every model in it what its signer signed?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from federation.errors import InputError
from server.desk.registry.documents import verified_model
from server.desk.registry.registry import Registry


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        events: entries of the record.
        head: digest of the last one; written down elsewhere, it shows that a record was replaced
            as a whole.
        models: documents checked.
        findings: what is wrong, a sentence each.
    """

    events: int
    head: str
    models: int
    findings: tuple[str, ...]


def verify_registry(registry: Registry) -> Verification:
    """Check everything, archived models too."""
    snapshot = registry.snapshot()
    findings = snapshot.findings()
    for name, record in snapshot.models.items():
        where = f"model '{name}' of the registry"
        try:
            served, signer = verified_model(registry.document(name), where, registry.signers)
        except InputError as error:
            findings.append(str(error))
            continue
        if served.digest != record.digest:
            findings.append(f"{where}: its document is of another model")
        if signer.fingerprint != record.signer:
            findings.append(f"{where}: its row names another signer than its document")
    return Verification(
        snapshot.head.length, snapshot.head.digest, len(snapshot.models), tuple(findings)
    )


def report_lines(report: Verification, as_json: bool) -> Iterator[str]:
    """What the command prints."""
    if as_json:
        yield json.dumps(
            {
                "events": report.events,
                "head": report.head,
                "models": report.models,
                "findings": list(report.findings),
            }
        )
        return
    yield f"{report.events} events, the last one {report.head}; {report.models} models"
    yield from (f"WRONG: {finding}" for finding in report.findings)
    if not report.findings:
        yield "the tables agree with the event record, and every model with its signature"
