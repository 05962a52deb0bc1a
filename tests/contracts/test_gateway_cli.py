"""`veilscore chain …` from keys to payments, over HTTP, as people type it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import veilscore
from contracts.gateway import keystore
from contracts.gateway.gateway import Gateway
from contracts.gateway.keystore import Signer
from contracts.gateway.signed_message import SignedMessage
from contracts.gateway.solidity_values import checked_address
from contracts.gateway.structs import Attestation
from contracts.units import BasisPoints, Digest, TokenMinor
from federation.record_chain import Head
from tests.contracts.gateway_accounts import sender_of
from tests.contracts.gateway_node import Node, running_node

NAMES = ("operator", "bank", "debtor", "supplier", "scorer")


class Desk:
    """A folder with keys, a deployment, and the command line."""

    def __init__(self, node: Node, folder: Path) -> None:
        """Keys with quick scrypt, and one password's file."""
        self.node, self.folder = node, folder
        self.secret = folder / "password"
        self.secret.write_text("correct horse battery\n")
        self.secret.chmod(0o600)
        self.signers: dict[str, Signer] = {}
        for name in NAMES:
            signer = keystore.create(folder / name, b"correct horse battery", work=2**10)
            node.development.give_coins(signer.address)
            self.signers[name] = signer
        self.deployment = folder / "deployment.json"
        self.where = ["--rpc", node.url, "--deployment", str(self.deployment)]

    def key(self, name: str) -> list[str]:
        """The options of an account."""
        return ["--keystore", str(self.folder / name), "--password-file", str(self.secret)]

    def address(self, name: str) -> str:
        """An account's address."""
        return self.signers[name].address

    def run(self, *words: object) -> tuple[int, str, str]:
        """Run `veilscore chain …`: exit status, stdout, stderr."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["veilscore", "chain", *map(str, words)])
            out, err = io.StringIO(), io.StringIO()
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            try:
                veilscore.main()
                status = 0
            except SystemExit as ended:
                status = int(ended.code or 0)
        return status, out.getvalue(), err.getvalue()

    def good(self, *words: object) -> str:
        """Run what must succeed; its stdout."""
        status, out, err = self.run(*words)
        assert status == 0, err
        return out

    def bad(self, *words: object) -> str:
        """Run what must fail: status 2, one sentence on stderr, nothing on stdout."""
        status, out, err = self.run(*words)
        assert (status, out) == (2, "")
        assert err.startswith("veilscore: ")
        assert err.count("\n") == 1
        return err

    def gateway(self) -> Gateway:
        """To look at the chain."""
        return Gateway.open(self.deployment, self.node.url)

    def attestation(self, claim: int, **changes: Any) -> Path:
        """The bank's signed attestation, as a file."""
        gateway = self.gateway()
        now = gateway.chain.header("latest").time
        fields = {
            "bank": self.address("bank"),
            "consumer": gateway.pool.address,
            "subject": self.address("supplier"),
            "claim": claim,
            "model_digest": Digest(b"m" * 32),
            "score_band": 1,
            "advance_cap_bps": BasisPoints(8_000),
            "rate_bps": BasisPoints(500),
            "recourse": False,
            "nonce": claim,
            "issued_at": now,
            "expiry": now + timedelta(hours=1),
        }
        typed = gateway.attestations.typed(Attestation(**(fields | changes)))
        path = self.folder / f"attestation-{len(list(self.folder.iterdir()))}.json"
        message = SignedMessage(typed, self.signers["scorer"].sign_typed(typed))
        path.write_text(message.to_json())
        return path

    def due(self) -> str:
        """A day in two months."""
        return (self.gateway().chain.header("latest").time + timedelta(days=60)).date().isoformat()

    def confirmed(self, serial: int) -> int:
        """A receivable of 100.00 by the command line."""
        out = self.good(
            "confirm", *self.where, *self.key("supplier"), "--json",
            "--supplier", self.address("supplier"), "--face", "100.00", "--due", self.due(),
            "--fingerprint", f"0x{serial:064x}", "--document", "0x" + "cd" * 32,
            "--debtor-keystore", self.folder / "debtor", "--debtor-password-file", self.secret,
        )  # fmt: skip
        return int(json.loads(out)["receivable"])


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Keys and a node; that nodes do not differ is what the gateway's other tests show."""
    with running_node("eth-tester") as node:
        yield Desk(node, tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def market(desk: Desk) -> Desk:
    """Deployed and everybody admitted."""
    where, operator, bank = desk.where, desk.key("operator"), desk.key("bank")
    desk.good("deploy", *where, *operator, "--mock-token")
    for name in ("bank", "debtor"):
        token = desk.gateway().token
        sender = sender_of(desk.node, desk.signers["operator"], desk.folder)
        call = token.mint(checked_address(desk.address(name), name), TokenMinor(1_000_000))
        sender.submit(call, f"mint-{name}")
    debtor, supplier = desk.address("debtor"), desk.address("supplier")
    admit = ("admit", "debtor", debtor, *where, *operator, "--reference", "a1")
    assert desk.good(*admit) == desk.good(*admit)
    desk.good(
        "admit", "bank", desk.address("bank"), *where, *operator, "--limit", "9000",
        "--reference", "a2",
    )  # fmt: skip
    scorer = ("bank", "signer", desk.address("scorer"), *where, *bank)
    desk.good(*scorer, "--until", "2098-01-01", "--reference", "b1")
    desk.good("bank", "deposit", "5000.00", *where, *bank, "--reference", "b2")
    for whose, address in (("debtor", debtor), ("supplier", supplier)):
        limit = ("bank", "limit", whose, address, "800", *where, *bank)
        desk.good(*limit, "--reference", f"b-{whose}")
    desk.good("bank", "terms", *where, *bank, "--reference", "b3")
    return desk


def test_a_receivable_from_confirmation_to_payment(market: Desk) -> None:
    """Each command twice: paid once."""
    receivable = market.confirmed(1)
    where, supplier, debtor = market.where, market.key("supplier"), market.key("debtor")
    paper = market.attestation(receivable)
    financed = ("finance", receivable, "80.00", paper, *where, *supplier, "--json")
    outs = [json.loads(market.good(*financed)) for _ in range(2)]
    assert outs[0] == outs[1]
    token = market.gateway().token
    account = checked_address(market.address("supplier"), "supplier")
    assert token.balance(account) == outs[0]["payout_minor"]
    for _ in range(2):
        paying = ("repay", receivable, "40.5", *where, *debtor, "--reference", "pay-1")
        out = market.good(*paying)
        assert f"Paid 40.50 on receivable {receivable}; 59.50 remain" in out
    over = market.bad("repay", receivable, "60", *where, *debtor, "--reference", "pay-2")
    assert f"Receivable {receivable}: 60.00 is more than the 59.50 that remain" in over
    market.good("repay", receivable, "59.50", *where, *debtor, "--reference", "pay-2")
    status = json.loads(market.good("status", receivable, *where, "--json"))
    assert status["loan"]["status"] == status["receivable"]["status"] == "settled"
    assert status["receivable"]["holder"] is None
    assert token.balance(account) == outs[0]["payout_minor"] + 2_000


def test_a_debtor_signs_a_draft_and_the_supplier_submits_it(market: Desk, tmp_path: Path) -> None:
    """Two people, a file between them; altered, it is refused before anything is sent."""
    draft = tmp_path / "draft.json"
    fields = {"list": "draft", "kind": "invoice", "face": 25_000, "exponent": 2}
    fields |= {"due_date": "2099-06-30", "shipment_date": "2026-01-05"}
    fields |= {"fingerprint": "ab" * 32, "document_hash": "cd" * 32}
    draft.write_text(json.dumps(fields))
    signed = tmp_path / "signed.json"
    market.good(
        "confirm", *market.where, "--draft", draft, "--signed", signed,
        "--supplier", market.address("supplier"), "--debtor-keystore", market.folder / "debtor",
        "--debtor-password-file", market.secret,
    )  # fmt: skip
    submit = ("confirm", *market.where, *market.key("supplier"), "--json", "--signed")
    altered = tmp_path / "altered.json"
    altered.write_text(signed.read_text().replace("25000", "25001"))
    assert "not that of the debtor" in market.bad(*submit, altered)
    first, again = (json.loads(market.good(*submit, signed)) for _ in range(2))
    assert first == again
    leaf = market.gateway().registry.leaf(first["receivable"])
    assert leaf.face == 25_000


def test_status_shows_people_and_machines_the_same(market: Desk) -> None:
    """Amounts with the token's decimals in the table, minor units in JSON."""
    receivable = market.confirmed(2)
    words = ("status", receivable, *market.where, "--account", market.address("debtor"))
    words += ("--bank", market.address("bank"))
    table = market.good(*words)
    assert "100.00 MOCK" in table
    facts = json.loads(market.good(*words, "--json"))
    assert facts["receivable"]["remaining_minor"] == 10_000
    assert facts["account"]["admitted_debtor"] is True
    assert facts["lines"]["debtor_limit_minor"] == 80_000
    assert facts["bank"]["max_advance_bps"] == 8_000
    unknown = json.loads(market.good("status", 987_654, *market.where, "--json"))
    assert unknown["receivable"] == {"id": 987_654, "status": "none"}


def test_a_record_is_anchored_and_verified(market: Desk, tmp_path: Path) -> None:
    """It may grow; what was rewritten shows."""
    head, lines = Head(), []
    for number in range(6):
        head, entry = head.append({"number": number})
        lines.append(entry.line() + "\n")
    record = tmp_path / "ledger.jsonl"
    record.write_text("".join(lines[:4]))
    words = ("anchor", record, *market.where, "--stream", f"ledger-{tmp_path.name}")
    verify = (*words, "--verify", "--account", market.address("operator"), "--json")
    status, out, _ = market.run(*verify)
    assert (status, json.loads(out)["anchored_entries"]) == (2, 0)
    operator = market.key("operator")
    assert "Anchored 4 entries" in market.good(*words, *operator)
    assert "is anchored with all its 4" in market.good(*words, *operator)
    record.write_text("".join(lines))
    facts = json.loads(market.good(*verify))
    assert (facts["entries"], facts["anchored_entries"]) == (6, 4)
    market.good(*words, *operator)
    head, lines = Head(), []
    for number in range(8):
        head, entry = head.append({"number": number * 2})
        lines.append(entry.line() + "\n")
    record.write_text("".join(lines))
    assert "it was rewritten or cut" in market.bad(*verify)
    assert "it was rewritten or cut" in market.bad(*words, *operator)
    record.write_text(lines[0] + lines[2])
    assert "line 2" in market.bad(*verify)


def test_bad_input_is_one_sentence_and_status_2(market: Desk, tmp_path: Path) -> None:
    """Nothing is half-done."""
    receivable = market.confirmed(3)
    where, supplier, debtor = market.where, market.key("supplier"), market.key("debtor")
    nonce = market.gateway().chain.nonce(checked_address(market.address("debtor"), "d"))
    pay = ("repay", receivable)
    end = (*where, *debtor, "--reference", "bad")
    assert "amount is 0" in market.bad(*pay, "0", *end)
    assert "2 digits behind" in market.bad(*pay, "1.001", *end)
    assert "not an amount" in market.bad(*pay, "ten", *end)
    assert "unknown, not live" in market.bad("repay", 999_999, "1", *end)
    assert "can't be reached" in market.bad(*pay, "1", "--rpc", "http://127.0.0.1:1", *end[2:])
    lonely = (*where, "--keystore", tmp_path / "none", "--reference", "bad")
    assert "No such file" in market.bad(*pay, "1", *lonely)
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password")
    wrong.chmod(0o600)
    locked = (*where, *debtor[:3], str(wrong), "--reference", "bad")
    assert "password is wrong" in market.bad(*pay, "1", *locked)
    other = tmp_path / "other.json"
    other.write_text(market.deployment.read_text().replace('"chain_id": ', '"chain_id": 9'))
    elsewhere = (*where[:3], other, *debtor, "--reference", "bad")
    assert "is expected" in market.bad(*pay, "1", *elsewhere)
    assert market.gateway().chain.nonce(checked_address(market.address("debtor"), "d")) == nonce
    finance = ("finance", receivable, "80.00")
    now = market.gateway().chain.header("latest").time
    hours = timedelta(hours=3)
    stale = market.attestation(receivable, issued_at=now - hours, expiry=now - hours / 2)
    assert "expired" in market.bad(*finance, stale, *where, *supplier)
    for paper, part in (
        (market.attestation(receivable + 1), "for receivable"),
        (market.attestation(receivable, subject=market.address("bank")), "for the supplier"),
        (tmp_path / "no.json", "No such file"),
        (other, "'kind' must be"),
    ):
        assert part in market.bad(*finance, paper, *where, *supplier)
    dear = market.attestation(receivable, advance_cap_bps=BasisPoints(1_000))
    assert "80.00 is more than the 10.00" in market.bad(*finance, dear, *where, *supplier)
    assert market.gateway().registry.holder(receivable) == market.address("supplier")  # type: ignore[arg-type]


def test_no_command_takes_a_secret_as_an_argument() -> None:
    """Passwords come by file, descriptor, credential or prompt; no option is a key."""
    import typer

    seen = set()

    def walk(command: Any) -> None:
        for parameter in command.params:
            seen.update(parameter.opts)
        for below in getattr(command, "commands", {}).values():
            walk(below)

    walk(typer.main.get_command(veilscore.app).commands["chain"])  # type: ignore[attr-defined]
    secrets = {name for name in seen if "password" in name or "key" in name}
    assert secrets == {
        "--password-file",
        "--password-fd",
        "--password-credential",
        "--debtor-password-file",
        "--keystore",
        "--debtor-keystore",
        "keystore",
    }


def test_help_imports_nothing_heavy() -> None:
    """In a process of its own."""
    program = (
        "import sys, contracts, contracts.cli\n"
        "heavy = {'web3', 'eth_abi', 'eth_account', 'eth_utils', 'lxml', 'sqlalchemy', 'rich'}\n"
        "print(sorted(heavy & {name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_keys_are_made_and_shown(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address only; at a prompt, the password twice."""
    monkeypatch.setattr(keystore, "SCRYPT_WORK", 2**10)
    path = tmp_path / "new"
    made = desk.good("key", "create", path, "--password-file", desk.secret).strip()
    assert desk.good("key", "show", path).strip() == made
    assert "never overwritten" in desk.bad("key", "create", path, "--password-file", desk.secret)
    answers = iter(["correct horse battery", "correct horse batterz"])
    monkeypatch.setattr("getpass.getpass", lambda _: next(answers))
    assert "differ" in desk.bad("key", "create", tmp_path / "newer")
    assert not (tmp_path / "newer").exists()
    fd = ("--password-fd", 3)
    assert "one place" in desk.bad(
        "key", "create", tmp_path / "newer", "--password-file", desk.secret, *fd
    )
