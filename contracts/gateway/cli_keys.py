"""`veilscore chain key …`: makes keystores and shows their addresses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from contracts.gateway.cli_options import PasswordCredential, PasswordFd, PasswordFile, password

key_app = typer.Typer(
    help="Keys of accounts, encrypted under a password.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.add_typer(key_app, name="key")


@key_app.command()
def create(
    keystore: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    password_credential: PasswordCredential = None,
) -> None:
    """Make a new account: its key is written encrypted (scrypt), mode 600, and shown nowhere."""
    from contracts.gateway.errors import KeystoreError
    from contracts.gateway.keystore import create, password_from_prompt

    secret = password(password_file, password_fd, password_credential, f"Password for {keystore}: ")
    asked = password_file is None and password_fd is None and password_credential is None
    if asked and password_from_prompt("Once more: ") != secret:
        raise KeystoreError("The two passwords differ; nothing was written.")
    signer = create(keystore, secret)
    sys.stdout.write(f"{signer.address}\n")


@key_app.command()
def show(
    keystore: Annotated[Path, typer.Argument(help="A keystore.")],
) -> None:
    """Print a keystore's address; no password is needed."""
    from contracts.gateway.keystore import address_of

    sys.stdout.write(f"{address_of(keystore)}\n")
