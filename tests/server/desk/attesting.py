"""A whole desk that attests, in a thread: real policy, key, accounts, contracts on an EVM."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clients.desk_attestations import Attested, FinancingClaim
from clients.desk_client import DeskClient
from clients.vault import save_served_model
from contracts.gateway import keystore
from contracts.gateway.keystore import Signer
from contracts.units import Address
from federation.scoring import default_probability
from server.desk.app import open_desk
from server.desk.decisions import Fact
from server.desk.desk_folder import add_caller, make_desk_folder
from server.desk.settings import DeskSettings, read_settings
from simulations.financing_stage import DEPLOYMENT, FinancingStage
from tests.server.desk.models import HandMade
from tests.server.desk.policies import facts, written

PRODUCT = "receivable-advance"
FACE = 4_000_000  # of the example's facts, too
PASSWORD = b"correct horse battery staple"
SCRYPT_WORK = 2  # a test's key is worth nothing


def ranked(made: HandMade) -> list[int]:
    """Rows of the model's borrowers, the safest first, as the bank alone scores them."""
    return np.argsort(probabilities(made), kind="stable").tolist()


def probabilities(made: HandMade) -> npt.NDArray[np.float64]:
    """Of default (n,), as the bank alone scores."""
    alone = made.served.variants[-1]
    points = made.own_points(alone).astype(np.int64)
    return default_probability(alone.calibration.log_odds(points))


@dataclass
class AttestingDesk:
    """A desk and what it was made of.

    Attributes:
        made: the model.
        folder: the desk's.
        stage: the contracts.
        signer: the scoring key's address.
        address: where it answers.
    """

    made: HandMade
    folder: Path
    stage: FinancingStage
    signer: Address
    address: str = ""

    def client(self, caller: str = "financing") -> DeskClient:
        """A caller of the desk."""
        key = self.folder / "callers" / f"{caller}.key"
        ca = self.folder / "tls" / "callers-ca.pem"
        return DeskClient(self.address, ca, key.with_suffix(".pem"), key, seconds=10)

    def attest(
        self,
        row: int,
        number: int,
        *,
        caller: str = "financing",
        account: Address | None = None,
        product: str = PRODUCT,
        consumer: Any = "pool",
        **changed: Fact,
    ) -> Attested:
        """Apply for one of the model's borrowers."""
        claim = FinancingClaim(account or self.stage.address("supplier"), number, consumer)
        with self.client(caller) as client:
            return client.attest(
                self.made.borrowers[row],
                self.made.row(row),
                product,
                facts(product, **changed),
                claim,
            )

    def write_accounts(self, accounts: Mapping[int, Address]) -> None:
        """The bank's list, by the borrowers' rows; ids are written as a person would."""
        lines = [f" {self.made.borrowers[row].upper()} ,{of}" for row, of in accounts.items()]
        (self.folder / "accounts.csv").write_text("\n".join(["borrower,account", *lines]) + "\n")


def settings_text(stage: FinancingStage, more: str = "") -> str:
    """[policy] and [attestations] of desk.toml."""
    return f"""
[policy]
file = "policy/policy.toml"

[attestations]
keystore = "scoring-key.json"
password_file = "scoring-password"
deployment = "{stage.folder / DEPLOYMENT}"
bank = "{stage.address("bank")}"
accounts = "accounts.csv"
pool_products = ["{PRODUCT}"]
order_products = ["order-loan"]
{more}"""


def made_desk(folder: Path, made: HandMade, stage: FinancingStage, more: str = "") -> AttestingDesk:
    """A desk's folder, ready to be opened; its key is authorised on chain."""
    run = folder / "run" / "bank" / "served-exact.json"
    save_served_model(run, made.served, made.keys["bank"])
    own = folder / "desk"
    make_desk_folder(own, run, None)
    add_caller(own, "financing", ["attest"])
    (own / "policy").mkdir()
    written(own / "policy")
    signer = scoring_key(own)
    stage.authorise(signer.address)
    settings = (own / "desk.toml").read_text().replace("deadline_ms = 50 ", "deadline_ms = 2000 ")
    (own / "desk.toml").write_text(settings + settings_text(stage, more))
    desk = AttestingDesk(made, own, stage, signer.address)
    desk.write_accounts({ranked(made)[0]: stage.address("supplier")})
    return desk


def scoring_key(folder: Path) -> Signer:
    """A new key's keystore and password file."""
    (folder / "scoring-password").write_bytes(PASSWORD + b"\n")
    (folder / "scoring-password").chmod(0o600)
    return keystore.create(folder / "scoring-key.json", PASSWORD, work=SCRYPT_WORK)


def settings_of(desk: AttestingDesk) -> DeskSettings:
    """The desk's settings, on a free port."""
    return replace(read_settings(desk.folder), listen="127.0.0.1:0", drain_seconds=0.1)


@contextmanager
def running(desk: AttestingDesk) -> Iterator[AttestingDesk]:
    """The desk, answering until the block is left."""
    ready, ended = threading.Event(), threading.Event()
    failed: list[BaseException] = []

    async def serve() -> None:
        run = desk.folder.parent / "run" / "bank" / "served-exact.json"
        async with open_desk(settings_of(desk), run) as opened:
            desk.address = opened.address
            ready.set()
            await asyncio.to_thread(ended.wait)

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait(30)
    try:
        if failed:
            raise failed[0]
        yield desk
    finally:
        ended.set()
        thread.join(30)
    if failed:
        raise failed[0]


def cap(attested: Attested) -> Decimal:
    """The advance cap as a share."""
    if attested.attestation is None:
        raise AssertionError(attested.withheld)
    return Decimal(attested.attestation.advance_cap_bps) / 10_000
