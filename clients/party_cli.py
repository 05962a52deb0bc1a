"""Commands of a feature party that answers in online scoring: `veilscore party ...`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

party_app = typer.Typer(
    help="A partner's answer side of online scoring.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@party_app.command()
def serve(
    manifest: Annotated[Path, typer.Argument(help="Your own manifest.")],
    config: Annotated[Path, typer.Option(help="Your copy of the federation file.")],
    run: Annotated[
        list[Path],
        typer.Option(help="A run whose model parts answer, runs/RUN; may be given several times."),
    ],
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT, instead of the manifest's; port 0: a free one.")
    ] = None,
) -> None:
    """Answer the bank's scoring desk: masked points of the borrowers that it names by keyed tags.

    What may be asked stands under [serving] of the manifest, what left in the log of answers.
    """
    import asyncio
    import os

    # Or gRPC's core writes lines of its own beside our sentences, at every failed handshake too.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

    from clients.answering.app import answer_job, serve

    def ready(lines: list[str]) -> None:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()

    asyncio.run(serve(answer_job(manifest, config, run, listen), ready))


@party_app.command()
def log(
    manifest: Annotated[Path, typer.Argument(help="The party's manifest.")],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Print what left a partner by answering, from its hash-chained log."""
    from clients.answering.log_listing import log_listing

    for line in log_listing(manifest, as_json):
        sys.stdout.write(line + "\n")
