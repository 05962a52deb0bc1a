"""Options that several commands of `veilscore chain` share, and what is opened by them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from contracts.gateway.fees import Policy
    from contracts.gateway.gateway import Gateway
    from contracts.gateway.keystore import Signer
    from contracts.gateway.receipts import Receipt

Rpc = Annotated[
    str,
    typer.Option(envvar="VEILSCORE_RPC", help="URL of a node, such as http://127.0.0.1:8545."),
]
DeploymentFile = Annotated[
    Path,
    typer.Option(
        envvar="VEILSCORE_DEPLOYMENT", help="The JSON file that `veilscore chain deploy` wrote."
    ),
]
Keystore = Annotated[
    Path,
    typer.Option(
        envvar="VEILSCORE_KEYSTORE",
        help="The sending account's encrypted key (`veilscore chain key create`).",
    ),
]
OptionalKeystore = Annotated[
    Path | None,
    typer.Option(envvar="VEILSCORE_KEYSTORE", help="The sending account's encrypted key."),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(help="Its password's file, mode 600. Without one of these you are asked."),
]
PasswordFd = Annotated[
    int | None, typer.Option(min=0, help="A file descriptor that the password comes on.")
]
PasswordCredential = Annotated[
    str | None, typer.Option(help="A systemd credential (LoadCredential=) with the password.")
]
Journal = Annotated[
    Path | None,
    typer.Option(
        help="The account's journal of submissions; beside the keystore where it is not named. "
        "Keep it: it is what makes a repeated command pay once."
    ),
]
FeeCap = Annotated[
    float, typer.Option(min=0, help="Gwei for each unit of gas at most; dearer is refused.")
]
Confirmations = Annotated[
    int, typer.Option(min=1, help="Blocks to wait for, that of the transaction included.")
]
Reference = Annotated[
    str,
    typer.Option(
        help="Your own name for it, such as invoice-4711. Run again with the same, nothing is "
        "done twice; a second payment needs a second name."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object for machines.")]
DEFAULT_FEE_CAP = 500.0


def password(
    file: Path | None,
    descriptor: int | None,
    credential: str | None,
    question: str = "Password of the keystore: ",
) -> bytes:
    """The password, from where the options say or from a prompt.

    Raises:
        KeystoreError: two places are named, or it can't be read.
    """
    from contracts.gateway import keystore
    from contracts.gateway.errors import KeystoreError

    if sum(place is not None for place in (file, descriptor, credential)) > 1:
        raise KeystoreError("Name one place of the password: a file, a descriptor or a credential.")
    if file is not None:
        return keystore.password_from_file(file)
    if descriptor is not None:
        return keystore.password_from_descriptor(descriptor)
    if credential is not None:
        return keystore.password_from_credential(credential)
    return keystore.password_from_prompt(question)


def signer_of_options(
    path: Path, file: Path | None, descriptor: int | None, credential: str | None
) -> Signer:
    """The account of a keystore."""
    from contracts.gateway import keystore

    keystore.address_of(path)  # a wrong file is told before a password is asked for
    return keystore.load(path, password(file, descriptor, credential, f"Password of {path}: "))


def journal_beside(keystore: Path, journal: Path | None) -> Path:
    """The journal named, or the one beside the keystore."""
    return journal or keystore.with_name(f"{keystore.name}.journal")


def policy_of(fee_cap: float, confirmations: int) -> Policy:
    """The policy of the options."""
    from contracts.gateway.fees import GWEI, Policy

    return Policy(fee_cap=round(fee_cap * GWEI), confirmations=confirmations)


@contextmanager
def sending(
    rpc: str,
    deployment: Path,
    keystore: Path,
    secret: tuple[Path | None, int | None, str | None],
    journal: Path | None,
    fee_cap: float,
    confirmations: int,
) -> Iterator[Gateway]:
    """An open gateway that sends, with its progress shown on stderr."""
    from contracts.gateway.gateway import Gateway

    signer = signer_of_options(keystore, *secret)
    with progress("Connecting") as step:
        yield Gateway.open(
            deployment,
            rpc,
            signer,
            journal_beside(keystore, journal),
            policy=policy_of(fee_cap, confirmations),
            step=step,
        )


@contextmanager
def progress(first: str) -> Iterator[Callable[[str], None]]:
    """A line on stderr that says what is being done, at a terminal only."""
    from rich.console import Console

    with Console(stderr=True).status(first) as status:
        yield lambda step: status.update(step.capitalize())


def tell(sentence: str, receipt: Receipt | None, as_json: bool, **facts: object) -> None:
    """Print what was done: a sentence, or its facts as JSON."""
    if receipt is not None:
        facts |= {"transaction": "0x" + receipt.tx_hash.hex(), "block": receipt.block_number}
    if as_json:
        sys.stdout.write(json.dumps(facts) + "\n")
        return
    place = f" (block {facts['block']}, {facts['transaction']})" if receipt is not None else ""
    sys.stdout.write(f"{sentence}{place}.\n")
