"""A bank and the receivables of its customers: tables, index, manifests and a federation that runs.

The bank lends to small firms, most of which are suppliers of the simulated supply chain. Whether a
firm defaults within a year after the cut follows from its quality then (which drove its claims on
chain, and which the bank hardly sees) and from its finances (which the bank sees, with noise).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clients.example import cells, csv_text, write_folder
from simulations.supply_chain import SupplyChain, sigmoid
from simulations.supply_chain_events import accounts_of
from simulations.supply_chain_index import OnProgress, write_index

# Of the suppliers, how many borrow from the bank; and how many borrowers are no suppliers.
_AT_BANK = 0.85
_OTHERS = 0.1
FEATURES = {
    "outstanding": "outstanding amount",
    "advance_share": "share advanced",
    "past_due_days_mean": "days past due",
    "on_time_share": "share paid on time",
    "dilution_rate": "dilution",
    "dispute_rate": "disputes",
    "debtor_concentration": "concentration of debtors",
    "debtor_quality": "quality of debtors",
    "turnover_365": "turnover of a year",
    "financings_365": "financings a year",
    "ageing_over_90": "share over 90 days late",
    "tier": "tier",
}

BANK_MANIFEST = """\
# The bank of the simulated supply chain; the firms are simulated.

[party]
name = "bank"
role = "label"

[source]
path = "borrowers.csv"

[ids]
column = "tax_id"

[label]
column = "defaulted"      # within a year after the cut
positive = 1

[features]
loan_amount = { kind = "numeric", unit = "EUR", minimum = 0 }
years_in_business = { kind = "numeric", unit = "years", minimum = 0 }
equity_ratio = { kind = "numeric", unit = "1", minimum = -1, maximum = 1 }
utilisation = { kind = "numeric", unit = "1", minimum = 0, maximum = 1 }
"""

RECEIVABLES_MANIFEST = """\
# The receivables party: features of suppliers from the index of receivables on chain.
# The firms are simulated.

[party]
name = "receivables"
role = "feature"

[source]
kind = "receivables"
# What `veilscore chain index` writes; instead of url, url_env names a variable that holds it.
url = "sqlite:///index.db"
# Only what came before this date (midnight UTC) counts. For training: the date from which on the
# bank's labels look ahead. For serving: "today".
as_of = {as_of}
# Whose account is whose; a borrower with several accounts has a row for each.
borrowers = "accounts.csv"
borrower_column = "tax_id"
account_column = "account"
# Borrowers whose accounts are not on chain (yet): "leave-out", or "refuse" (the default).
unknown_accounts = "leave-out"
# Refuses an index of another chain.
chain_id = 31337

[ids]
column = "tax_id"

# `veilscore chain features --definitions` says what each feature means.
[features]
{features}
"""

FEDERATION_TOML = """\
[federation]
alignment = "inner"
output = "runs"
note = "Simulated supply chain"
simulated = true

[parties.bank]
role = "label"
manifest = "bank/manifest.toml"

[parties.receivables]
role = "feature"
manifest = "receivables/manifest.toml"

[split]
test_share = 0.25
validation_share = 0.2
seed = 42

[model]
bins = 10
"""


def write_supply_chain_federation(
    chain: SupplyChain,
    directory: Path,
    on_progress: OnProgress = lambda stage, done, total: None,
    *,
    with_events: bool = True,
) -> Path:
    """Write a federation of a bank and the receivables of its customers.

    Args:
        chain: the population.
        directory: a folder that is new or empty.
        on_progress: as of `write_index`.
        with_events: as of `write_index`.

    Returns:
        the federation file.

    Raises:
        InputError: the directory is not empty, or cannot be written.
    """
    numbers = _tax_ids(chain)
    accounts = accounts_of(chain).suppliers
    lines = [
        f'{name} = {{ kind = "numeric", label = "{label}" }}' for name, label in FEATURES.items()
    ]
    manifest = RECEIVABLES_MANIFEST.format(as_of=chain.plan.cut, features="\n".join(lines))
    known = numbers[: len(accounts)]
    federation = write_folder(
        directory,
        {
            "bank/manifest.toml": BANK_MANIFEST,
            "bank/borrowers.csv": csv_text(bank_table(chain, numbers)),
            "receivables/manifest.toml": manifest,
            "receivables/accounts.csv": csv_text({"tax_id": known, "account": list(accounts)}),
            "federation.toml": FEDERATION_TOML,
        },
    )
    index = federation.parent / "receivables" / "index.db"
    write_index(chain, index, on_progress, with_events=with_events)
    return federation


def _tax_ids(chain: SupplyChain) -> list[str]:
    """Nine digits each: of all suppliers, then of the bank's other borrowers."""
    rng = np.random.default_rng((chain.plan.seed, 21))
    count = len(chain.firms.tier)
    drawn = rng.choice(10**9, size=count + int(_OTHERS * count), replace=False)
    return [f"{number:09d}" for number in drawn]


def bank_table(chain: SupplyChain, numbers: list[str]) -> dict[str, list[str]]:
    """The bank's columns, in an order of its own."""
    rng = np.random.default_rng((chain.plan.seed, 22))
    firms, total = chain.firms, len(numbers)
    quality = np.concatenate(
        (firms.quality - firms.decline, rng.normal(size=total - len(firms.tier)))
    )
    finances = rng.normal(size=total)
    years = np.round(np.exp(rng.normal(1.9 + 0.2 * finances, 0.7)), 1)
    equity = np.clip(rng.normal(0.3 + 0.1 * finances, 0.07), -1, 1)
    used = np.clip(rng.normal(0.5 - 0.08 * finances - 0.02 * quality, 0.18), 0, 1)
    loan = np.round(np.exp(rng.normal(11.0, 0.8, size=total)), -2)
    defaulted = rng.random(total) < sigmoid(-2.6 - 1.4 * quality - 0.9 * finances)
    at_bank = rng.permutation(np.flatnonzero(rng.random(total) < _AT_BANK))
    return {
        "tax_id": [numbers[firm] for firm in at_bank],
        "loan_amount": cells(loan[at_bank], 0),
        "years_in_business": cells(years[at_bank], 1),
        "equity_ratio": cells(equity[at_bank], 3),
        "utilisation": cells(used[at_bank], 3),
        "defaulted": cells(defaulted[at_bank], 0),
    }
