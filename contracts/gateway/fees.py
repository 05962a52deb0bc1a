"""What a transaction may cost: EIP-1559 fees with headroom, and caps that refuse."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.gateway.errors import FeeOverCap, GasOverCap, ValueRefused

GWEI = 10**9
SMALLEST_RAISE = 9, 8
"""Nodes replace a waiting transaction only for a fee at least a tenth higher: 12.5% here."""


@dataclass(frozen=True)
class Policy:
    """How transactions are paid for and waited for.

    Attributes:
        fee_cap: wei for each unit of gas that is paid at most.
        gas_cap: units of gas for one transaction at most.
        gas_headroom_percent: added to the estimate, for a state that moved since.
        confirmations: blocks from the one with the transaction on, that one included.
        deadline: seconds to wait for them.
        raise_after: seconds without a block until the fee is raised; None never raises it.
        poll: seconds between two looks.
    """

    fee_cap: int = 500 * GWEI
    gas_cap: int = 12_000_000
    gas_headroom_percent: int = 25
    confirmations: int = 1
    deadline: float = 120.0
    raise_after: float | None = 45.0
    poll: float = 0.2

    def __post_init__(self) -> None:
        """Refuse a policy that could never send."""
        if self.fee_cap < 0 or self.gas_cap < 21_000 or self.confirmations < 1:
            raise ValueRefused("A policy needs a fee cap, gas of 21,000 or more, and 1 block.")
        if self.deadline <= 0 or self.poll <= 0 or self.gas_headroom_percent < 0:
            raise ValueRefused("A policy's deadline and poll must be more than 0 seconds.")


@dataclass(frozen=True)
class Fee:
    """`most` a unit of gas may cost, of which `tip` goes to who makes the block; both in wei."""

    most: int
    tip: int


def first_fee(base_fee: int, tip: int, policy: Policy) -> Fee:
    """A fee that lasts six full blocks: twice the base fee, and the tip.

    Raises:
        FeeOverCap: the base fee and tip of now are over the cap.
    """
    if base_fee + tip > policy.fee_cap:
        raise FeeOverCap(
            f"The chain asks for {shown_gwei(base_fee + tip)} gwei for each unit of gas; the cap "
            f"is {shown_gwei(policy.fee_cap)}: wait, or set a higher cap."
        )
    return Fee(min(2 * base_fee + tip, policy.fee_cap), tip)


def raised_fee(last: Fee, base_fee: int, tip: int, policy: Policy) -> Fee:
    """A fee for which nodes replace the transaction of fee `last`.

    Raises:
        FeeOverCap: it would be over the cap.
    """
    by, of = SMALLEST_RAISE
    raised = Fee(
        max(last.most * by // of + 1, 2 * base_fee + tip), max(last.tip * by // of + 1, tip)
    )
    if raised.most > policy.fee_cap:
        raise FeeOverCap(
            f"A higher fee would be {shown_gwei(raised.most)} gwei for each unit of gas; the cap "
            f"is {shown_gwei(policy.fee_cap)}: wait, or set a higher cap."
        )
    return raised


def gas_limit(estimate: int, name: str, policy: Policy) -> int:
    """The estimate with headroom.

    Raises:
        GasOverCap: the estimate is over the cap.
    """
    if estimate > policy.gas_cap:
        raise GasOverCap(f"{name} takes {estimate:,} units of gas; the cap is {policy.gas_cap:,}.")
    return min(estimate * (100 + policy.gas_headroom_percent) // 100, policy.gas_cap)


def shown_gwei(wei: int) -> str:
    """Wei in gwei, three digits behind the point."""
    return f"{wei // GWEI}.{wei % GWEI // 10**6:03d}"
