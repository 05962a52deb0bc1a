"""`veilscore chain documents`: invoices and orders in, drafts and a review list out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from contracts.documents import DocumentBatch

SOME_FOR_REVIEW = 3


def add_commands(app: typer.Typer) -> None:
    """Add this folder's command."""
    app.command()(documents)


def documents(
    files: Annotated[list[Path], typer.Argument(help="Documents, or folders that hold some.")],
    salt: Annotated[
        Path,
        typer.Option(
            envvar="VEILSCORE_NETWORK_SALT", help="The file with the network's salt (mode 600)."
        ),
    ],
    mapping: Annotated[
        Path | None, typer.Option(help="A TOML file: what your CSV export calls its columns.")
    ] = None,
    new_salt: Annotated[
        bool, typer.Option("--new-salt", help="Make the salt first, once for the whole network.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a document.")] = False,
) -> None:
    """Check invoices and orders, and make receivable drafts of those that are clear.

    Read are UBL 2.1 and CII XML (EN 16931), Factur-X and ZUGFeRD 2 PDFs, JSON, and CSV; the content
    tells which. What is unclear is listed with the reason. Nothing is sent anywhere.

    The exit status is 0 if all became drafts, 3 if some are for review, 2 if the command is wrong.
    """
    from contracts.documents import ColumnMapping, NetworkSalt, read_documents, read_mapping
    from contracts.documents.listing import batch_json, print_batch

    secret = NetworkSalt.create(salt) if new_salt else NetworkSalt.from_file(salt)
    columns = read_mapping(mapping) if mapping else ColumnMapping()
    with _progress(as_json) as progress:
        batch: DocumentBatch = read_documents(files, secret, mapping=columns, progress=progress)
    if as_json:
        for line in batch_json(batch):
            sys.stdout.write(line + "\n")
    else:
        print_batch(batch)
    if batch.review:
        raise typer.Exit(SOME_FOR_REVIEW)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr, where a person looks at it; it leaves nothing behind."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading documents", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
