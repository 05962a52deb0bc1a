"""The table [aggregation] of a horizontal federation file: how banks' updates are summed.

[aggregation]
scheme = "bfv"           # or "ckks": approximate arithmetic
minimum_clients = 3      # contributions without which a round is refused
dropouts = 1             # banks that may fall silent in a round
sample_share = 1.0       # share of the banks that is asked in a round
round_seconds = 120      # how long a round waits for a bank
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from clients.settings_file import Section

# A bank that adds its own update knows the rest of the sum: of two, the other's.
FEWEST_CONTRIBUTIONS = 2
_LONGEST_ROUND = 86_400.0


class EncryptionScheme(StrEnum):
    """The homomorphic encryption under which updates are added."""

    BFV = "bfv"  # whole numbers, exact
    CKKS = "ckks"  # approximate numbers


@dataclass(frozen=True)
class AggregationSettings:
    """How the banks' updates are summed.

    Attributes:
        scheme: the encryption.
        minimum_clients: contributions without which a round is refused.
        dropouts: banks of a round that may fall silent without its loss.
        sample_share: share of all banks asked in a round, (0, 1].
        round_seconds: how long a round waits for a bank.
    """

    scheme: EncryptionScheme = EncryptionScheme.BFV
    minimum_clients: int = 3
    dropouts: int = 1
    sample_share: float = 1.0
    round_seconds: float = 120.0

    def participants(self, banks: int) -> int:
        """The number of banks asked in a round of a federation of so many."""
        # A product such as 0.7 * 10 can lie a hair above the whole number that it stands for.
        return min(banks, math.ceil(self.sample_share * banks - 1e-9))


def read_aggregation(section: Section, banks: int) -> AggregationSettings:
    """Read and check [aggregation] of a federation of so many banks.

    Where `dropouts` is not given, it is 1 if the number of banks leaves room for one, otherwise 0.

    Raises:
        InputError: a key is unknown or out of range, or no round could ever reach the minimum.
    """
    section.allow("scheme", "minimum_clients", "dropouts", "sample_share", "round_seconds")
    default = AggregationSettings()
    settings = AggregationSettings(
        scheme=section.choice("scheme", EncryptionScheme, default.scheme),
        minimum_clients=section.whole_number(
            "minimum_clients", default.minimum_clients, minimum=FEWEST_CONTRIBUTIONS
        ),
        dropouts=section.whole_number("dropouts", 0),
        sample_share=section.positive_number("sample_share", default.sample_share, at_most=1),
        round_seconds=section.positive_number(
            "round_seconds", default.round_seconds, at_most=_LONGEST_ROUND
        ),
    )
    asked = settings.participants(banks)
    spare = asked - settings.minimum_clients
    if spare < 0:
        raise section.error(
            f"asks for 'minimum_clients' = {settings.minimum_clients}, but a round asks {asked} of "
            f"{banks} banks; lower it (to {FEWEST_CONTRIBUTIONS} at least) or let more banks "
            "take part"
        )
    # Shamir's threshold must stay above half, so that no two sets of banks can open apart.
    most = min(spare, (asked - 1) // 2)
    if "dropouts" not in section:
        return replace(settings, dropouts=min(default.dropouts, most))
    if settings.dropouts > most:
        raise section.error(
            f"has 'dropouts' as {settings.dropouts}, but of {asked} banks asked in a round "
            f"{most} can be spared: {settings.minimum_clients} must contribute "
            "('minimum_clients'), and more than half"
        )
    return settings
