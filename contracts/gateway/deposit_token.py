"""The deposit token (ERC-20) that debts are paid in, and amounts as people write them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from contracts.gateway.abi_contract import AbiContract
from contracts.gateway.calls import Call
from contracts.gateway.connection import Chain
from contracts.gateway.errors import NodeGarbled, ValueRefused
from contracts.gateway.solidity_values import checked_address, checked_uint
from contracts.units import Address, TokenMinor

_MOST_DIGITS = 60


class DepositToken:
    """A deposit token. Its ABI is that of the mock; only `mint` is the mock's own."""

    def __init__(self, chain: Chain, address: Address) -> None:
        """At its address; nothing is asked of the chain."""
        self.contract = AbiContract(chain, "MockDepositToken", address)
        self.address = self.contract.address

    def decimals(self) -> int:
        """Digits behind the point: 2 for cents.

        Raises:
            NodeGarbled: more than 36, which no money has.
        """
        decimals = int(self.contract.read("decimals"))
        if decimals > 36:
            raise NodeGarbled(f"The token {self.address} says that it has {decimals} decimals.")
        return decimals

    def symbol(self) -> str:
        """Its short name, printable and at most 20 characters."""
        text = str(self.contract.read("symbol"))[:20]
        return "".join(letter for letter in text if letter.isprintable())

    def balance(self, account: Address) -> TokenMinor:
        """What an account has."""
        return TokenMinor(int(self.contract.read("balanceOf", account)))

    def allowance(self, owner: Address, spender: Address) -> TokenMinor:
        """What a contract may take of an account."""
        return TokenMinor(int(self.contract.read("allowance", owner, spender)))

    def approve(self, spender: Address, amount: TokenMinor) -> Call:
        """Let a contract take up to `amount` of the caller's."""
        most = checked_uint(amount, 256, "The approval")
        return self.contract.call("approve", checked_address(spender, "The spender"), most)

    def transfer(self, to: Address, amount: TokenMinor) -> Call:
        """Pay."""
        minor = checked_uint(amount, 256, "The amount")
        return self.contract.call("transfer", checked_address(to, "The receiver"), minor)

    def mint(self, to: Address, amount: TokenMinor) -> Call:
        """Money out of nothing: the mock's only, on development chains."""
        minor = checked_uint(amount, 256, "The amount")
        return self.contract.call("mint", checked_address(to, "The receiver"), minor)


def minor_units(text: str, decimals: int) -> TokenMinor:
    """An amount as people write it, '120.50', in minor units, exactly.

    Raises:
        ValueRefused: it is no amount, is negative, or has more digits than the token.
    """
    try:
        amount = Decimal(text.strip()) if len(text) <= _MOST_DIGITS else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or "e" in text.lower() or "_" in text:
        raise ValueRefused(f"{text[:80]!r} is not an amount; write it as 120.50.")
    if amount.is_signed():
        raise ValueRefused(f"The amount {text.strip()} is negative.")
    _, digits, exponent = amount.as_tuple()
    whole = int("".join(map(str, digits)) or "0")
    shift = decimals + int(exponent)
    if shift < 0:
        whole, rest = divmod(whole, 10**-shift)
        if rest:
            raise ValueRefused(
                f"The amount {text.strip()} has more than the {decimals} digits behind the point "
                "that the token has."
            )
        shift = 0
    return TokenMinor(checked_uint(whole * 10**shift, 96, f"The amount {text.strip()}"))
