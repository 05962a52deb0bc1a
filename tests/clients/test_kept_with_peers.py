"""What two parties kept of their sessions serves these two only, whatever others are called."""

from __future__ import annotations

import json
from pathlib import Path

from clients.example import write_example
from clients.federation_file import FederationConfig, read_federation
from tests.clients.example_runs import run_all

QUICK = ({"max_rounds": 1, "bins": 4},)


def sent(config: FederationConfig, run: str) -> set[str]:
    """The kinds of messages that left the bank or the platform in a run."""
    logs = [config.output / run / party.name / "disclosures.jsonl" for party in config.parties]
    return {
        json.loads(line)["body"]["kind"] for log in logs for line in log.read_text().splitlines()
    }


def test_another_bank_of_the_same_name_gets_nothing_that_was_kept(tmp_path: Path) -> None:
    """With it, the platform's borrowers are aligned anew: it was never told who they are."""
    config = read_federation(write_example(tmp_path))
    run_all(config, "run-1", QUICK)
    run_all(config, "run-2", QUICK)
    assert "blinded_ids" in sent(config, "run-1")
    assert "blinded_ids" not in sent(config, "run-2")
    # Another bank with the same name, ids and session names, and all that the first has kept.
    (config.label_party.manifest.parent / "vault" / "party.key").unlink()
    run_all(config, "run-3", QUICK)
    assert "blinded_ids" in sent(config, "run-3")
    run_all(config, "run-4", QUICK)
    assert "blinded_ids" not in sent(config, "run-4")
