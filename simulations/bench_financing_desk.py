"""A desk that decides on receivables and signs what it approves, as a process on a training."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from contracts.gateway import keystore
from contracts.units import Address
from simulations.bench_scoring_desk import (
    CALLER_FILES,
    DEADLINE_MS,
    LISTENS,
    RunningDesk,
    write_desk,
)
from simulations.bench_scoring_federation import Trained
from simulations.bench_scoring_processes import service
from simulations.open_loop import Target

PRODUCT = "receivable-advance"
PATIENCE_MS = 500  # the machine of a benchmark runs a chain and four processes beside the desk
SCRYPT_WORK = 2**12  # the key is gone with the folder
FACE = 4_000_000  # minor units
FACTS: Mapping[str, int | str] = {"invoice_minor": FACE, "days_to_due": 60}
DEBTOR_PROBABILITY = "0.01"

POLICY = """\
format = "veilscore lending policy 1"
name = "benchmark"
version = "1"
valid_from = 2020-01-01
currency = "EUR"
minor_digits = 2

[score]
horizon_months = 12
probability_decimals = 5
probability_floor = 0.0005

[[grades]]
name = "A"
probability_up_to = 0.02
[[grades]]
name = "B"
probability_up_to = 0.3
[[grades]]
name = "C"
probability_up_to = 1

[products.receivable-advance]
kind = "receivable-advance"
title = "Receivable advance"
limit_step_minor = 100
smallest_limit = {id = "SMALLEST", minor = 20_000, reason = "advance too small"}
too_long = {id = "TENOR", reason = "invoice due too far away"}

[products.receivable-advance.facts]
invoice_minor = {type = "integer", unit = "minor", required = true, example = 4_000_000}
days_to_due = {type = "integer", unit = "days", required = true, example = 60}
debtor_probability = {type = "decimal", unit = "share", required = true, example = 0.01}

[products.receivable-advance.settings]
recourse = true
default_correlation = 0.15
grace_days = 20
weak_debtor = {id = "DEBTOR", reason = "debtor too risky"}

[products.receivable-advance.settings.debtors]
A = 1
B = 0.9

[products.receivable-advance.loss]
unsecured = 0.40
floor = 0.25
least_own_share = 0.10

[products.receivable-advance.capital]
method = "irb-corporate"
capital_ratio = 0.13
cost_of_capital = 0.10

[products.receivable-advance.pricing]
funding_rate = 0.025
operating_rate = 0.008
operating_minor = 1_000
rate_step = 0.0005
least_rate = 0.035

[products.receivable-advance.rate_cap]
id = "RATE-CAP"
most = 0.15
then = "decline"
reason = "price above the cap"

[products.receivable-advance.silent_party]
id = "SILENT"
then = "refer"
reason = "scored without a party"

[[products.receivable-advance.terms]]
id = "A"
grade = "A"
decision = "approve"
advance_share = 0.90
most_minor = 40_000_000
most_tenor_days = 180
margin = 0.01
[[products.receivable-advance.terms]]
id = "B"
grade = "B"
decision = "approve"
advance_share = 0.80
most_minor = 20_000_000
most_tenor_days = 150
margin = 0.02
[[products.receivable-advance.terms]]
id = "C"
grade = "C"
decision = "decline"
"""


@contextmanager
def attesting_desk(
    trained: Trained,
    partners: Mapping[str, str],
    folder: Path,
    deployment: Path,
    bank: Address,
    accounts: Mapping[str, Address],
) -> Iterator[tuple[RunningDesk, Address]]:
    """A desk's process, and the address that it signs with.

    Args:
        trained: whose model.
        partners: addresses by name; none where the model has none.
        folder: where the desk's own folder is made.
        deployment: file of the contracts' addresses.
        bank: whose decisions it signs.
        accounts: by borrower.

    Raises:
        InputError: it did not start.
    """
    own = folder / "desk"
    write_desk(own, trained, partners)
    password = secrets.token_urlsafe(24).encode()
    (own / "password").touch(0o600)
    (own / "password").write_bytes(password + b"\n")
    signer = keystore.create(own / "key.json", password, work=SCRYPT_WORK)
    (own / "policy.toml").write_text(POLICY, encoding="utf-8")
    rows = "".join(f"{borrower},{account}\n" for borrower, account in accounts.items())
    (own / "accounts.csv").write_text(f"borrower,account\n{rows}", encoding="utf-8")
    _add_tables(own, deployment, bank)
    arguments = ["serve", str(trained.run), "--desk", str(own)]
    with service("desk", arguments, folder, LISTENS) as desk:
        ca, certificate, key = ((own / name).read_bytes() for name in CALLER_FILES)
        target = Target(desk.address, ca, certificate, key)
        yield RunningDesk(desk, target, own), signer.address


def _add_tables(own: Path, deployment: Path, bank: Address) -> None:
    settings, access = own / "desk.toml", own / "access.toml"
    patient = settings.read_text("utf-8").replace(
        f"deadline_ms = {DEADLINE_MS}", f"deadline_ms = {PATIENCE_MS}"
    )
    settings.write_text(
        f"""{patient}
[policy]
file = "policy.toml"

[attestations]
keystore = "key.json"
password_file = "password"
deployment = "{deployment}"
bank = "{bank}"
accounts = "accounts.csv"
pool_products = ["{PRODUCT}"]
""",
        encoding="utf-8",
    )
    roles = access.read_text("utf-8").replace('"admin"', '"admin", "attest"')
    access.write_text(roles, encoding="utf-8")
