"""The real contracts on an EVM in this process, and a few things that people do with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_tester import EthereumTester, PyEVMBackend
from web3 import EthereumTesterProvider, Web3

from contracts.artifacts import load
from contracts.index.deployment import CONTRACTS, Deployment, parse_deployment

DAY = 86_400
FAR = 2**40 - 1
DEBTOR = Account.from_key("0x" + "11" * 32)
SCORER = Account.from_key("0x" + "22" * 32)


@dataclass
class DeployedContracts:
    """Contracts, and accounts that may use them; amounts are in cents.

    Attributes:
        bank, supplier, second, payer: unlocked accounts.
    """

    web3: Web3
    mine_at: Callable[[int], None]
    contracts: dict[str, Any]
    first_block: int
    _serial: int = field(default=0)

    def __post_init__(self) -> None:
        """Name the accounts."""
        self.admin, self.bank, self.supplier, self.second, self.payer = self.web3.eth.accounts[:5]

    @property
    def deployment(self) -> Deployment:
        """As the deployment's file says it."""
        addresses = {name: contract.address for name, contract in self.contracts.items()}
        return parse_deployment(
            {
                "chain_id": self.web3.eth.chain_id,
                "block": self.first_block,
                "contracts": addresses,
            },
            "test",
        )

    @property
    def now(self) -> int:
        """The chain's time."""
        return int(self.web3.eth.get_block("latest")["timestamp"])

    def send(self, sender: str, contract: str, function: str, *arguments: Any) -> Any:
        """Run a transaction; returns what the function returns."""
        call = getattr(self.contracts[contract].functions, function)(*arguments)
        returned = call.call({"from": sender})
        sent = call.transact({"from": sender, "gas": 3_000_000})
        receipt = self.web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.01)
        if receipt["status"] != 1:
            raise RuntimeError(f"{function} was refused")
        return returned

    def confirm(self, face: int, due_days: int = 30) -> int:
        """An invoice of `supplier` on the debtor, by its signature."""
        self._serial += 1
        message = {
            "supplier": self.supplier,
            "debtor": DEBTOR.address,
            "token": self.contracts["token"].address,
            "face": face,
            "dueDate": self.now + due_days * DAY,
            "disputeWindow": 0,
            "shippedAt": self.now - DAY,
            "fingerprint": self._serial.to_bytes(32),
            "revision": 0,
            "documentHash": bytes([7]) * 32,
            "order": 0,
            "deadline": FAR,
        }
        signature = self._sign(DEBTOR, "registry", "ReceivableRegistry", "confirm", message)
        return int(self.send(self.payer, "registry", "confirm", tuple(message.values()), signature))

    def finance(self, leaf: int, holder: str, principal: int) -> None:
        """Advance on a leaf; the bank's scoring key attests."""
        self._serial += 1
        attestation = {
            "bank": self.bank,
            "consumer": self.contracts["pool"].address,
            "subject": holder,
            "claim": leaf,
            "modelDigest": bytes([9]) * 32,
            "scoreBand": 2,
            "advanceCapBps": 9000,
            "rateBps": 800,
            "recourse": True,
            "nonce": self._serial,
            "issuedAt": self.now,
            "expiry": self.now + DAY,
        }
        signature = self._sign(SCORER, "attestations", "ScoreAttestation", "consume", attestation)
        arguments = (leaf, principal, tuple(attestation.values()), signature)
        self.send(holder, "pool", "finance", *arguments)

    def _sign(
        self, key: Any, contract: str, name: str, function: str, message: dict[str, Any]
    ) -> bytes:
        """Sign the struct that is the first argument of a function, typed as its ABI says."""
        entry = next(
            item
            for item in load(name).abi
            if item["type"] == "function" and item["name"] == function
        )
        struct = entry["inputs"][0]
        kind = struct["internalType"].rpartition(".")[2]
        domain = {
            "name": f"veilscore {name}",
            "version": "1",
            "chainId": self.web3.eth.chain_id,
            "verifyingContract": self.contracts[contract].address,
        }
        fields = [{"name": item["name"], "type": item["type"]} for item in struct["components"]]
        signable = encode_typed_data(domain, {kind: fields}, message)
        return bytes(key.sign_message(signable).signature)


def deployed_contracts() -> tuple[DeployedContracts, EthereumTester]:
    """All contracts on a new chain in this process."""
    tester = EthereumTester(PyEVMBackend())

    def mine_at(moment: int) -> None:
        tester.time_travel(moment)
        tester.mine_block()

    return deploy_all(Web3(EthereumTesterProvider(tester)), mine_at), tester


def deploy_all(web3: Web3, mine_at: Callable[[int], None]) -> DeployedContracts:
    """All contracts with a funded bank, an admitted debtor and open limits."""
    admin = web3.eth.accounts[0]
    first = web3.eth.block_number + 1
    contracts: dict[str, Any] = {}

    def deploy(name: str, artifact: str, *arguments: Any) -> str:
        loaded = load(artifact)
        factory = web3.eth.contract(abi=list(loaded.abi), bytecode=loaded.bytecode)
        sent = factory.constructor(*arguments).transact({"from": admin, "gas": 12_000_000})
        address = web3.eth.wait_for_transaction_receipt(sent)["contractAddress"]
        contracts[name] = web3.eth.contract(address=address, abi=list(loaded.abi))
        return str(address)

    token = deploy("token", "MockDepositToken", "Deposit euro", "dEUR", 2)
    registry = deploy("registry", CONTRACTS["registry"], admin, 0)
    attestations = deploy("attestations", CONTRACTS["attestations"])
    pool = deploy("pool", CONTRACTS["pool"], registry, attestations, token, admin, 0)
    orders = deploy("orders", CONTRACTS["orders"], registry, pool, attestations)
    deploy("anchor", CONTRACTS["anchor"])

    made = DeployedContracts(web3, mine_at, contracts, first)
    for contract, function, *arguments in (
        ("registry", "admitToken", token, True, 100),
        ("registry", "admitDebtor", DEBTOR.address, True),
        ("registry", "admitPool", pool),
        ("registry", "setOrders", orders),
        ("pool", "setOrders", orders),
        ("pool", "admitBank", made.bank, 10**9),
    ):
        made.send(admin, str(contract), str(function), *arguments)
    for account in (made.bank, made.supplier, made.second, made.payer):
        made.send(admin, "token", "mint", account, 10**9)
        for spender in (pool, registry):
            made.send(account, "token", "approve", spender, 2**255)
        made.send(account, "registry", "setApprovalForAll", pool, True)
    made.send(made.bank, "pool", "deposit", 10**8)
    made.send(made.bank, "pool", "setTerms", (9000, 1200, 100, 5 * DAY))
    made.send(made.bank, "pool", "setDebtorLimit", DEBTOR.address, 10**9)
    for account in (made.supplier, made.second):
        made.send(made.bank, "pool", "setSupplierLimit", account, 10**9)
    made.send(made.bank, "attestations", "authorise", SCORER.address, FAR)
    return made
