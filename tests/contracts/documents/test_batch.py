"""Whole batches: duplicates, order, folders, and the command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from contracts.documents import DocumentsError, NetworkSalt, ReviewCode, read_documents
from contracts.documents import Limits as DocumentLimits
from contracts.documents.cli import add_commands
from contracts.documents.listing import batch_json
from tests.contracts.documents.samples import (
    EXAMPLES,
    SALT,
    TODAY,
    cii,
    plain,
    read,
    simple,
    ubl,
)


def command() -> typer.Typer:
    """A command line with this one command and another, as the real one has."""
    app = typer.Typer(rich_markup_mode=None)
    add_commands(app)
    app.command()(lambda: None)
    return app


@pytest.fixture
def salt(tmp_path: Path) -> Path:
    """A network's salt in a file of its own folder."""
    file = tmp_path / "secrets" / "salt"
    file.parent.mkdir()
    NetworkSalt.create(file)
    return file


def test_a_duplicate_with_another_amount_and_buyer_goes_to_review(tmp_path: Path) -> None:
    """The second presentation collides with the first, whatever was changed, and names it."""
    other = {"name": "Other Debtor", "tax_id": "ATU13585627"}
    copies = [
        plain(),
        simple("1", "0", "1", rate="0", number="inv 12"),
        plain(buyer=other, number="Inv/0012", due_date="2026-12-01", issue_date="2026-02-27"),
        plain(number="INV-0013"),
    ]
    batch = read(tmp_path, copies)
    assert [draft.number for draft in batch.drafts] == ["INV-0012", "INV-0013"]
    assert [item.code for item in batch.review] == [ReviewCode.DUPLICATE] * 2
    for item in batch.review:
        assert "'INV-0012'" in item.reason
        assert "document 1" in item.reason


def test_a_duplicate_across_formats(tmp_path: Path) -> None:
    """The XML of yesterday and the CII of today are one invoice."""
    (tmp_path / "1.xml").write_bytes(ubl())
    (tmp_path / "2.xml").write_bytes(cii())
    batch = read_documents([tmp_path], SALT, today=TODAY)
    (draft,), (item,) = batch.drafts, batch.review
    assert item.code is ReviewCode.DUPLICATE
    assert draft.source in item.reason
    assert item.source.endswith("2.xml")


def test_an_order_and_an_invoice_of_one_number(tmp_path: Path) -> None:
    """They are two documents."""
    order = plain(kind="order", shipment_date=None, due_date=None)
    batch = read(tmp_path, [order, plain()])
    assert len(batch.drafts) == 2
    assert batch.drafts[0].fingerprint != batch.drafts[1].fingerprint


def test_an_unclear_document_takes_no_fingerprint(tmp_path: Path) -> None:
    """The corrected copy behind it is a draft."""
    batch = read(tmp_path, [plain(due_date=None), plain()])
    assert len(batch.drafts) == 1
    assert batch.review[0].code is ReviewCode.DATE


def test_nothing_is_lost(tmp_path: Path) -> None:
    """Twelve documents in files of all kinds, in folders, are twelve results in order."""
    folder = tmp_path / "inbox" / "deep"
    folder.mkdir(parents=True)
    for index in range(4):
        (folder / f"{index}.xml").write_bytes(ubl(BT_1=f"U{index}"))
    many = [plain(number=f"J{index}", due_date="2026-04-03") for index in range(6)]
    many[3]["totals"] = {}
    (folder / "many.json").write_text(json.dumps(many))
    (folder / "notes.txt").write_text("call Mr. Li")
    (folder.parent / "z.pdf").write_bytes(b"%PDF-1.4 broken")
    steps: list[tuple[int, int]] = []
    batch = read_documents(
        [tmp_path / "inbox", folder / "0.xml"],  # named twice, read once
        SALT,
        today=TODAY,
        progress=lambda done, of: steps.append((done, of)),
    )
    numbers = [draft.number for draft in batch.drafts]
    assert numbers == ["U0", "U1", "U2", "U3", "J0", "J1", "J2", "J4", "J5"]
    assert [Path(item.source).name for item in batch.review] == [
        "many.json, document 4",
        "notes.txt",
        "z.pdf",
    ]
    assert steps == [(done, 7) for done in range(8)]


def test_paths_that_are_wrong(tmp_path: Path) -> None:
    """A missing path, an empty folder and too many files stop the call."""
    with pytest.raises(DocumentsError, match="no such file or folder"):
        read_documents([tmp_path / "gone"], SALT)
    with pytest.raises(DocumentsError, match="no document to read"):
        read_documents([tmp_path], SALT)
    for name in "ab":
        (tmp_path / name).write_text("x")
    with pytest.raises(DocumentsError, match="there are 2 files, and 1"):
        read_documents([tmp_path], SALT, limits=DocumentLimits(files=1))


def test_json_lines_hold_everything(tmp_path: Path) -> None:
    """One object a document, which says the list; amounts are whole minor units."""
    batch = read(tmp_path, [plain(), plain(due_date=None)])
    draft, item = (json.loads(line) for line in batch_json(batch))
    assert draft["list"] == "draft"
    assert (draft["face"], draft["exponent"], draft["due_date"]) == (143011, 2, "2026-04-03")
    assert bytes.fromhex(draft["fingerprint"]) == batch.drafts[0].fingerprint
    assert item == {
        "list": "review",
        "source": batch.review[0].source,
        "reason": batch.review[0].reason,
        "code": "date",
    }


def test_the_command_with_clear_documents(salt: Path) -> None:
    """Exit status 0, and a table with every number."""
    result = CliRunner().invoke(command(), ["documents", str(EXAMPLES), "--salt", str(salt)])
    assert result.exit_code == 0, result.output
    assert "drafts: 8, for review: 0" in result.output
    assert "1430.11 EUR" in result.output


def test_the_command_with_unclear_documents(tmp_path: Path, salt: Path) -> None:
    """Exit status 3, and the reason; with --json, an object a line and nothing else."""
    file = tmp_path / "x.json"
    today = simple("1", "0", "1", rate="0")
    file.write_text(json.dumps([today, plain(number="[bold]", currency="DEM")]))
    arguments = ["documents", str(file), "--salt", str(salt)]
    table = CliRunner().invoke(command(), arguments)
    assert table.exit_code == 3
    assert "drafts: 1, for review: 1" in table.output
    lines = CliRunner().invoke(command(), [*arguments, "--json"])
    assert lines.exit_code == 3
    assert [json.loads(line)["list"] for line in lines.stdout.splitlines()] == ["draft", "review"]


def test_the_command_makes_a_salt_once(tmp_path: Path) -> None:
    """--new-salt makes the file, and never overwrites one."""
    file = tmp_path / "salt"
    arguments = ["documents", str(EXAMPLES), "--salt", str(file), "--new-salt", "--json"]
    first = CliRunner().invoke(command(), arguments)
    assert first.exit_code == 0
    assert file.read_bytes().hex() not in first.output
    second = CliRunner().invoke(command(), arguments)
    assert isinstance(second.exception, DocumentsError)
    again = CliRunner().invoke(command(), [*arguments[:-2], "--json"])
    assert again.output == first.output


@pytest.mark.parametrize("arguments", [["gone.xml"], []])
def test_the_command_used_wrongly(tmp_path: Path, salt: Path, arguments: list[str]) -> None:
    """A missing file is one sentence (which ends the real command line with 2); none is usage."""
    result = CliRunner().invoke(command(), ["documents", *arguments, "--salt", str(salt)])
    if arguments:
        assert isinstance(result.exception, DocumentsError)
    else:
        assert result.exit_code == 2


def test_help_and_fingerprints_load_no_reader() -> None:
    """The command line's help and the fingerprint import no XML or PDF library."""
    program = (
        "import sys, contracts.documents.cli, contracts.documents; "
        "print([m for m in ('lxml', 'pypdf', 'facturx', 'stdnum', 'iso4217') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
