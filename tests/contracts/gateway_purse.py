"""An account with deposit tokens, to count what was really paid."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from contracts.gateway.abi_contract import creation
from contracts.gateway.calls import Call
from contracts.gateway.deposit_token import DepositToken
from contracts.gateway.fees import Policy
from contracts.gateway.keystore import Signer
from contracts.gateway.transactions import Sender
from contracts.units import Address, TokenMinor
from tests.contracts.gateway_accounts import SOON, new_signer, sender_of
from tests.contracts.gateway_node import Node

SEED = 77


@dataclass
class Purse:
    """Who pays, and with what; each test pays an account of its own."""

    node: Node
    folder: Path
    signer: Signer
    token: DepositToken
    _payees: int = field(default=0)

    def sender(self, policy: Policy = SOON, over_http: bool = True) -> Sender:
        """The payer, as a new process would have it."""
        return sender_of(self.node, self.signer, self.folder, policy, over_http=over_http)

    def payee(self) -> Address:
        """Somebody who was never paid."""
        self._payees += 1
        return Address("0x" + "ee" * 16 + f"{self._payees:08x}")

    def pay(self, to: Address, amount: int = 100) -> Call:
        """The call that pays."""
        return self.token.transfer(to, TokenMinor(amount))

    def paid(self, to: Address) -> int:
        """What the payee has."""
        return self.token.balance(to)


def open_purse(node: Node, folder: Path) -> Purse:
    """Deploy a token and fill the purse."""
    signer = new_signer(node, SEED)
    sender = sender_of(node, signer, folder)
    receipt = sender.submit(creation("MockDepositToken", "Mock", "MOCK", 2), "token")
    if receipt.contract is None:
        raise AssertionError("no contract")
    token = DepositToken(node.development.chain, receipt.contract)
    sender.submit(token.mint(signer.address, TokenMinor(1_000_000)), "mint")
    return Purse(node, folder, signer, token)
