"""`veilscore chain`: receivables on chain, from documents to payments; each folder has its own."""

from __future__ import annotations

import typer

import contracts.documents.cli
import contracts.features.cli
import contracts.fraud.cli
import contracts.gateway.cli
import contracts.index.cli

chain_app = typer.Typer(
    help=(
        "Receivables on chain: read invoices, let the debtor confirm them, turn them into money on "
        "a bank's attestation, pay them, and see where they stand. The way: `key create`, "
        "`deploy`, `admit`, `bank`, then `documents`, `confirm`, `finance`, `repay`, `status`. "
        "VEILSCORE_RPC, VEILSCORE_DEPLOYMENT and VEILSCORE_KEYSTORE save typing --rpc, "
        "--deployment and --keystore."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


def add_commands(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.add_typer(chain_app, name="chain")


contracts.gateway.cli.add_commands(chain_app)
contracts.documents.cli.add_commands(chain_app)
contracts.index.cli.add_commands(chain_app)
contracts.fraud.cli.add_commands(chain_app)
contracts.features.cli.add_commands(chain_app)
