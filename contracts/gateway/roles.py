"""Who may do what on a contract under OpenZeppelin's AccessControl, and its pause."""

from __future__ import annotations

from eth_utils.crypto import keccak

from contracts.gateway.abi_contract import AbiContract
from contracts.gateway.calls import Call
from contracts.gateway.solidity_values import checked_address
from contracts.units import Address, Digest

OPERATOR = Digest(bytes(32))
"""DEFAULT_ADMIN_ROLE: admits tokens, debtors, pools and banks; grants the other roles."""
PAUSER = Digest(keccak(text="PAUSER_ROLE"))


class Roles:
    """The roles and the pause of one contract."""

    def __init__(self, contract: AbiContract) -> None:
        """Of a ReceivableRegistry or FinancingPool."""
        self._contract = contract

    def operator(self) -> Address:
        """The account with DEFAULT_ADMIN_ROLE."""
        return checked_address(self._contract.read("defaultAdmin"), "The operator")

    def has(self, role: Digest, account: Address) -> bool:
        """Whether the account has the role."""
        return bool(self._contract.read("hasRole", role, account))

    def grant(self, role: Digest, account: Address) -> Call:
        """The operator gives an account a role."""
        return self._contract.call("grantRole", role, checked_address(account, "The account"))

    def revoke(self, role: Digest, account: Address) -> Call:
        """The operator takes a role away."""
        return self._contract.call("revokeRole", role, checked_address(account, "The account"))

    def is_paused(self) -> bool:
        """Whether the contract is paused; payments never are."""
        return bool(self._contract.read("paused"))

    def pause(self) -> Call:
        """A pauser stops everything but payments."""
        return self._contract.call("pause")

    def unpause(self) -> Call:
        """A pauser ends the pause."""
        return self._contract.call("unpause")
