"""Whether the index adds up to what the contracts themselves say at the same block.

A node that leaves logs out gives itself away here: the contracts' sums can't be told from its logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from eth_abi.abi import decode, encode
from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.exceptions import Web3Exception
from web3.types import TxParams

from contracts.index.database import IndexDatabase
from contracts.index.errors import NodeInconsistent, ReconciliationRefused, SourceUnavailable
from contracts.index.portfolio import By, exposures, outstanding
from contracts.index.snapshot import take_snapshot
from contracts.units import Address, TokenMinor


class ContractReader(Protocol):
    """What the contracts say at a block."""

    def block_hash(self, block: int) -> str:
        """The hash of the block at a height, 0x and 64 hex digits."""
        ...

    def outstanding_of(self, debtor: Address, token: Address, block: int) -> TokenMinor:
        """`ReceivableRegistry.outstandingOf`."""
        ...

    def exposure_of(self, bank: Address, block: int) -> TokenMinor:
        """`FinancingPool.bankOf(bank).exposure`."""
        ...


@dataclass(frozen=True)
class Difference:
    """One sum that does not agree.

    Attributes:
        what: 'outstanding' of a debtor or 'exposure' of a bank.
        account: whose.
        token: in which token; None of an exposure.
    """

    what: str
    account: Address
    token: Address | None
    indexed: TokenMinor
    on_chain: TokenMinor


def reconcile(database: IndexDatabase, reader: ContractReader) -> list[Difference]:
    """Compare every debtor's outstanding and every bank's exposure with the contracts'.

    Raises:
        ReconciliationRefused: the chain is not the one of the index at its last block.
        SourceUnavailable: the node does not answer.
    """
    now = take_snapshot(database)
    if now.tip is None:
        return []
    block = now.tip.number
    if reader.block_hash(block) != now.tip.hash:
        raise ReconciliationRefused(
            f"the index ends at block {block} ({now.tip.hash}), and the node's chain has another "
            "one there; index first, then compare"
        )
    found = []
    owed = outstanding(now, By.DEBTOR)
    pairs = {(Address(row.debtor), row.token) for row in now.invoices.values()} | set(owed)
    for debtor, token in sorted(pairs):
        indexed = owed.get((debtor, token), TokenMinor(0))
        on_chain = reader.outstanding_of(debtor, Address(token), block)
        if indexed != on_chain:
            found.append(Difference("outstanding", debtor, Address(token), indexed, on_chain))
    lent = exposures(now, By.BANK)
    banks = {Address(loan.bank) for loan in now.loans.values()}
    banks |= {Address(order.bank) for order in now.orders if order.bank is not None}
    for bank in sorted(banks):
        indexed = lent.get(bank, TokenMinor(0))
        on_chain = reader.exposure_of(bank, block)
        if indexed != on_chain:
            found.append(Difference("exposure", bank, None, indexed, on_chain))
    return found


class Web3Reader:
    """A `ContractReader` over web3.

    Args:
        web3: a client of any provider.
        registry, pool: addresses of the contracts.
    """

    def __init__(self, web3: Web3, registry: Address, pool: Address) -> None:
        self._web3 = web3
        self._registry = registry
        self._pool = pool

    def block_hash(self, block: int) -> str:
        """The hash of the block at a height."""
        try:
            return "0x" + bytes(self._web3.eth.get_block(block)["hash"]).hex()
        except (Web3Exception, OSError) as error:
            raise _unavailable(error) from None

    def outstanding_of(self, debtor: Address, token: Address, block: int) -> TokenMinor:
        """What a debtor owes in a token."""
        found = self._call(
            self._registry, "outstandingOf(address,address)", [debtor, token], ["uint256"], block
        )
        return TokenMinor(found[0])

    def exposure_of(self, bank: Address, block: int) -> TokenMinor:
        """What a bank has lent."""
        # Liquidity, exposure, limit, terms.
        kinds = ["uint96", "uint96", "uint96", "uint16", "uint16", "uint16", "uint32"]
        return TokenMinor(self._call(self._pool, "bankOf(address)", [bank], kinds, block)[1])

    def _call(
        self, contract: Address, signature: str, values: list[Any], kinds: list[str], block: int
    ) -> tuple[Any, ...]:
        given = encode(["address"] * len(values), values)
        call: TxParams = {
            "to": to_checksum_address(contract),
            "data": function_signature_to_4byte_selector(signature) + given,
        }
        try:
            answer = bytes(self._web3.eth.call(call, block))
        except (Web3Exception, OSError) as error:
            raise _unavailable(error) from None
        if len(answer) != 32 * len(kinds):
            raise NodeInconsistent(
                f"{contract} answers {signature} with {len(answer)} bytes, not {32 * len(kinds)}; "
                "check the deployment"
            )
        return decode(kinds, answer)


def _unavailable(error: Exception) -> SourceUnavailable:
    return SourceUnavailable(
        f"the node does not let the contracts be asked ({type(error).__name__}); check that it "
        "runs and keeps the state of the last indexed block"
    )
