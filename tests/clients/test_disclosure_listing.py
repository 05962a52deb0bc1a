"""The disclosure logs of a run, as a reader sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients.disclosure_listing import listing, read_disclosures
from clients.vault import Vault, write_private
from federation.errors import InputError
from federation.session.machine import Sent

LOG = "disclosures.jsonl"


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run with the logs of two parties."""
    folder = tmp_path / "runs" / "run-1"
    for party, other, count in (("bank", "platform", 3), ("platform", "bank", 2)):
        vault = Vault(tmp_path / party / "vault")
        log = vault.disclosure_log("run-1", "session-1")
        for number in range(count):
            log.enter(Sent(number, other, "blinded_ids", 1000 * (number + 1)))
        write_private(folder / party / LOG, log.path.read_bytes())
    return folder


def test_every_message_is_listed_with_totals(run_folder: Path) -> None:
    """A line a party, then one a message."""
    lines = list(listing(run_folder, None, as_json=False))
    assert lines[0] == "bank: 3 messages, 6,000 bytes left it; the chain is intact"
    assert lines[4] == "platform: 2 messages, 3,000 bytes left it; the chain is intact"
    assert len(lines) == 7
    assert "to platform" in lines[3]
    assert lines[3].endswith("3,000 bytes")
    assert [len(entries) for entries in read_disclosures(run_folder).values()] == [3, 2]


def test_one_party_and_json(run_folder: Path) -> None:
    """One object a message, with who sent it."""
    lines = [json.loads(line) for line in listing(run_folder, "platform", as_json=True)]
    assert [(m["from"], m["to"], m["kind"], m["bytes"], m["sequence"]) for m in lines] == [
        ("platform", "bank", "blinded_ids", 1000, 0),
        ("platform", "bank", "blinded_ids", 2000, 1),
    ]
    assert {message["session"] for message in lines} == {"session-1"}


def test_who_and_what_is_not_there_is_said(run_folder: Path) -> None:
    """An unknown party, a folder that is no run's, a folder that is not there."""
    with pytest.raises(InputError, match="has no party 'telecom'; it has bank, platform"):
        list(listing(run_folder, "telecom", as_json=False))
    for folder in (run_folder.parent.parent, run_folder / "nowhere"):
        with pytest.raises(InputError, match="holds no disclosure log; name a run's folder"):
            list(listing(folder, None, as_json=False))


@pytest.mark.parametrize(
    "tamper",
    [
        lambda lines: [lines[0], lines[1].replace(b"2000", b"2"), lines[2]],
        lambda lines: [lines[0], lines[2]],
        lambda lines: [lines[0], lines[2], lines[1]],
        lambda lines: [lines[0], lines[0], *lines[1:]],
        lambda lines: [lines[0], b"\xff\xfe\n", *lines[1:]],
        lambda lines: [lines[0], lines[1][:-9]],
    ],
    ids=["changed", "dropped", "swapped", "repeated", "not text", "cut off"],
)
def test_a_tampered_log_is_refused(run_folder: Path, tamper: object) -> None:
    """The sentence names the file and the line; nothing is listed."""
    path = run_folder / "bank" / LOG
    path.write_bytes(b"".join(tamper(path.read_bytes().splitlines(keepends=True))))  # type: ignore[operator]
    with pytest.raises(InputError, match=r"bank/disclosures.jsonl, line [23]: "):
        list(listing(run_folder, None, as_json=False))
