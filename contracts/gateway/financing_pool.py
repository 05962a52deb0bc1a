"""FinancingPool: banks' money, lent against receivables that the pool holds meanwhile.

Methods that change something return the `Call` to submit; the others read.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.gateway.abi_contract import AbiContract
from contracts.gateway.calls import Call
from contracts.gateway.connection import Chain
from contracts.gateway.receipts import Receipt
from contracts.gateway.roles import Roles
from contracts.gateway.solidity_values import checked_address, checked_uint, from_abi, to_abi
from contracts.gateway.structs import Attestation, BankAccount, CreditLine, LendingTerms, Loan
from contracts.units import Address, BasisPoints, ReceivableId, TokenMinor


@dataclass(frozen=True)
class Owed:
    """What is owed on a loan now, in the order in which a payment goes to it."""

    fee: TokenMinor
    interest: TokenMinor
    principal: TokenMinor

    @property
    def total(self) -> TokenMinor:
        """All of it."""
        return TokenMinor(self.fee + self.interest + self.principal)


class FinancingPool:
    """The pool of one deployment."""

    def __init__(self, chain: Chain, address: Address) -> None:
        """At its address; nothing is asked of the chain."""
        self.contract = AbiContract(chain, "FinancingPool", address)
        self.address = self.contract.address
        self.roles = Roles(self.contract)

    def deposit(self, amount: TokenMinor) -> Call:
        """A bank pays money in; it has approved the pool for the token."""
        return self.contract.call("deposit", checked_uint(amount, 96, "The deposit"))

    def withdraw(self, amount: TokenMinor) -> Call:
        """A bank takes free money out."""
        return self.contract.call("withdraw", checked_uint(amount, 96, "The withdrawal"))

    def set_terms(self, terms: LendingTerms) -> Call:
        """A bank sets what it lends on from now on."""
        return self.contract.call("setTerms", to_abi(terms))

    def set_debtor_limit(self, debtor: Address, limit: TokenMinor) -> Call:
        """A bank sets what it lends on one debtor at most; 0 for nothing."""
        amount = checked_uint(limit, 96, "The limit")
        return self.contract.call("setDebtorLimit", checked_address(debtor, "Debtor"), amount)

    def set_supplier_limit(self, supplier: Address, limit: TokenMinor) -> Call:
        """A bank sets what it lends to one supplier at most; 0 for nothing."""
        amount = checked_uint(limit, 96, "The limit")
        return self.contract.call("setSupplierLimit", checked_address(supplier, "Supplier"), amount)

    def finance(
        self,
        receivable: ReceivableId,
        principal: TokenMinor,
        attestation: Attestation,
        signature: bytes,
    ) -> Call:
        """The holder turns a leaf into money in the same transaction.

        It has approved the pool for its leaves (`ReceivableRegistry.approve_all`).
        """
        amount = checked_uint(principal, 96, "The advance")
        return self.contract.call("finance", receivable, amount, to_abi(attestation), signature)

    def payout_of(self, receipt: Receipt) -> TokenMinor:
        """What a financing paid out: the advance without its discount."""
        event = self.contract.one_event(receipt, "ReceivableFinanced")
        return TokenMinor(int(event["principal"]) - int(event["discount"]))

    def repurchase(self, receivable: ReceivableId) -> Call:
        """The supplier pays a loan off and gets the leaf back; it has approved the pool."""
        return self.contract.call("repurchase", receivable)

    def declare_default(self, receivable: ReceivableId) -> Call:
        """The bank declares a loan in default, after due date and grace."""
        return self.contract.call("declareDefault", receivable)

    def write_off(self, receivable: ReceivableId) -> Call:
        """The bank writes a defaulted loan off; what is paid later is recovered."""
        return self.contract.call("writeOff", receivable)

    def take_held_payment(self, to: Address) -> Call:
        """Take payments that could not be delivered when they were made."""
        return self.contract.call("takeHeldPayment", checked_address(to, "The receiver"))

    def admit_bank(self, bank: Address, limit: TokenMinor) -> Call:
        """The operator admits a bank and limits what it may lend in all."""
        amount = checked_uint(limit, 96, "The limit")
        return self.contract.call("admitBank", checked_address(bank, "The bank"), amount)

    def set_orders(self, orders: Address) -> Call:
        """The operator names the order contract, once."""
        return self.contract.call("setOrders", checked_address(orders, "The order contract"))

    def token(self) -> Address:
        """The deposit token that the pool lends."""
        return checked_address(self.contract.read("token"), "The token")

    def loan(self, receivable: ReceivableId) -> Loan:
        """The loan on a receivable; status NONE where there never was one."""
        return from_abi(Loan, self.contract.read("loanOf", receivable))

    def owed(self, receivable: ReceivableId) -> Owed:
        """What is owed on a loan now."""
        return Owed(*(TokenMinor(int(part)) for part in self.contract.read("owedOn", receivable)))

    def bank(self, bank: Address) -> BankAccount:
        """A bank's money, limit and terms."""
        return from_abi(BankAccount, self.contract.read("bankOf", bank))

    def debtor_line(self, bank: Address, debtor: Address) -> CreditLine:
        """What a bank lends on a debtor."""
        return from_abi(CreditLine, self.contract.read("debtorLine", bank, debtor))

    def supplier_line(self, bank: Address, supplier: Address) -> CreditLine:
        """What a bank lends to a supplier."""
        return from_abi(CreditLine, self.contract.read("supplierLine", bank, supplier))

    def held_for(self, holder: Address) -> TokenMinor:
        """Payments that wait to be taken."""
        return TokenMinor(int(self.contract.read("heldFor", holder)))

    def discount(self, principal: TokenMinor, rate: BasisPoints, seconds_to_due: int) -> TokenMinor:
        """The discount of an advance, rounded up."""
        return TokenMinor(int(self.contract.read("discountOf", principal, rate, seconds_to_due)))
