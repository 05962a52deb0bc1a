"""Nonces that are never the same twice, settings and accounts that say what is wrong, terms."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.vault import save_served_model
from contracts.gateway.deployment_file import NAMES, Deployment
from contracts.units import Address, BlockNumber
from federation.errors import InputError
from federation.identifiers import IdentifierRule
from federation.proto.attestations_pb2 import Claim
from federation.scoring.rows import FieldErrors
from server.desk.app import open_desk
from server.desk.attestations.accounts import AccountsFile
from server.desk.attestations.attester import Attester
from server.desk.attestations.claims import financed_claim
from server.desk.attestations.nonces import A_SECOND, Nonces
from server.desk.attestations.settings import Consumer, attestation_settings
from server.desk.attestations.terms import attested_terms
from server.desk.decisions import Decision
from server.desk.desk_folder import make_desk_folder
from server.desk.settings import read_settings
from tests.server.desk.attesting import PASSWORD, scoring_key
from tests.server.desk.models import served_model

MADE = served_model(())

BANK = "0x52908400098527886E0F7030069857D2E4169EE7"
OTHER = "0x8617E340B3D01FA5F11F306F4090FD50E238070D"
ROOT = Path(__file__).resolve().parents[3]
GOOD: dict[str, Any] = {
    "keystore": "scoring-key.json",
    "password_file": "scoring-password",
    "deployment": "deployment.json",
    "bank": BANK,
    "accounts": "accounts.csv",
    "pool_products": ["receivable-advance"],
}
TAKES = """
import sys
from pathlib import Path
from server.desk.attestations.claims import financed_claim
from server.desk.attestations.nonces import Nonces
nonces = Nonces(Path(sys.argv[1]), "bank")
for _ in range(int(sys.argv[2])):
    print(nonces.take(), flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A desk's folder with everything that [attestations] names."""
    address = {name: Address("0x" + f"{place:040x}") for place, name in enumerate(NAMES, start=1)}
    hashes = {name: "ab" * 32 for name in NAMES if name != "token"}
    Deployment(31337, BlockNumber(1), address, hashes).write(tmp_path / "deployment.json")
    scoring_key(tmp_path)
    (tmp_path / "accounts.csv").write_text(f"borrower,account\nb1,{BANK}\n")
    return tmp_path


def taker(path: Path, count: int) -> subprocess.Popen[str]:
    """A process that takes nonces and says each."""
    command = [sys.executable, "-c", TAKES, str(path), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_nonces_of_threads_and_processes_differ(tmp_path: Path) -> None:
    """Two processes and eight threads on one file: no number twice, none of before."""
    path = tmp_path / "nonces.db"
    nonces = Nonces(path, "bank")
    first = nonces.take()
    assert first >= (int(time.time()) - 5) * A_SECOND
    others = [taker(path, 60) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        mine = list(pool.map(lambda _: nonces.take(), range(60)))
    theirs = [int(line) for one in others for line in one.communicate(timeout=60)[0].split()]
    nonces.close()
    assert len(theirs) == 120
    assert sorted([first, *mine, *theirs]) == list(range(first, first + 181))
    assert path.stat().st_mode & 0o077 == 0


def test_a_killed_process_has_given_out_no_number_of_later(tmp_path: Path) -> None:
    """SIGKILL anywhere: what was said before is never said again."""
    path = tmp_path / "nonces.db"
    said: list[int] = []
    for lines in (1, 7, 23):
        process = taker(path, 10**6)
        assert process.stdout is not None
        said += [int(process.stdout.readline()) for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        process.wait()
        said += [int(line) for line in process.stdout.read().split()]
        process.stdout.close()
    nonces = Nonces(path, "bank")
    assert nonces.take() > max(said)
    nonces.close()
    assert len(set(said)) == len(said)
    assert said == sorted(said)


def test_a_lost_file_brings_no_number_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new counter starts beyond all that could be taken in the time before; banks differ."""
    now = 1_800_000_000
    monkeypatch.setattr(time, "time", lambda: float(now))
    for name in ("one", "two"):
        nonces = Nonces(tmp_path / name, "bank")
        taken = [nonces.take() for _ in range(A_SECOND)]
        assert taken == list(range(now * A_SECOND, (now + 1) * A_SECOND))
        nonces.close()
        now += 1
    both = [Nonces(tmp_path / "one", scope) for scope in ("bank", "another")]
    assert both[0].take() == 1_800_000_000 * A_SECOND + A_SECOND
    assert both[1].take() == now * A_SECOND
    for nonces in both:
        nonces.close()


def test_a_nonce_that_cannot_be_kept_is_not_given(tmp_path: Path) -> None:
    """Another process holds the file: one sentence, and the next call has a number again."""
    path = tmp_path / "nonces.db"
    nonces = Nonces(path, "bank")
    first = nonces.take()
    nonces._database.execute("PRAGMA busy_timeout = 10")
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(InputError, match="no nonce could be taken .*nothing is signed"):
            nonces.take()
        holder.execute("ROLLBACK")
    holder.close()
    assert nonces.take() == first + 1
    nonces.close()
    path.write_bytes(b"no database" * 100)
    with pytest.raises(InputError, match="is no file of nonces"):
        Nonces(path, "bank")


def test_settings_are_read(folder: Path) -> None:
    """Defaults, and what the deployment says."""
    settings = attestation_settings(GOOD, folder / "desk.toml")
    assert settings.chain_id == 31337
    assert settings.contract == "0x" + f"{2:040x}"
    assert settings.consumers[Consumer.POOL] == "0x" + f"{3:040x}"
    assert (settings.validity_seconds, settings.degraded) == (600, False)
    assert settings.nonces == folder / "attestation-nonces.db"
    assert PASSWORD.decode() not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"keystor": "x"}, "unknown key 'keystor'; did you mean 'keystore'"),
        ({"keystore": None}, "lacks the key 'keystore'"),
        ({"bank": "0x12"}, "'bank' must be an address"),
        ({"bank": "0x" + "0" * 40}, "a 'bank' that is nobody's"),
        ({"bank": BANK.replace("E", "e")}, "checksum"),
        ({"pool_products": []}, "names no product"),
        ({"pool_products": "receivable-advance"}, "a list of names"),
        ({"validity_seconds": 86_401}, "from 60 to 86,400"),
        ({"validity_seconds": 600.0}, "a whole number"),
        ({"degraded": "no"}, "true or false"),
        ({"deployment": "nowhere.json"}, "nowhere.json: No such file"),
    ],
)
def test_wrong_settings_are_one_sentence(
    folder: Path, changes: dict[str, Any], sentence: str
) -> None:
    """With file, table, key, and what would be right."""
    values = {name: value for name, value in (GOOD | changes).items() if value is not None}
    with pytest.raises(InputError, match=sentence) as caught:
        attestation_settings(values, folder / "desk.toml")
    assert "[attestations]" in str(caught.value)


def _readable(folder: Path) -> None:
    (folder / "scoring-password").chmod(0o644)


def _wrong_password(folder: Path) -> None:
    (folder / "scoring-password").write_bytes(b"another password\n")


def _no_keystore(folder: Path) -> None:
    (folder / "scoring-key.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_readable, "others can read it"),
        (_wrong_password, "the password is wrong"),
        (_no_keystore, "scoring-key.json: No such file"),
    ],
)
def test_a_key_that_cannot_be_used(
    folder: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    """One sentence, without the password."""
    spoil(folder)
    with pytest.raises(InputError, match=sentence) as caught:
        Attester(attestation_settings(GOOD, folder / "desk.toml"))
    assert PASSWORD.decode() not in str(caught.value)


def test_accounts_are_matched_as_ids_are_normalised(tmp_path: Path) -> None:
    """By the rule of the model that answered; several accounts of one borrower are fine."""
    path = tmp_path / "accounts.csv"
    path.write_text(f"\ufeffborrower,account\r\n Firm-7 ,{BANK.lower()}\r\nfirm-7,{OTHER}\r\n")
    accounts = AccountsFile(path)
    assert accounts.is_of(Address(BANK), "firm-7", IdentifierRule.CASEFOLD)
    assert accounts.is_of(Address(OTHER), "firm-7", IdentifierRule.CASEFOLD)
    assert not accounts.is_of(Address(BANK), "firm-7", IdentifierRule.STRIP)
    assert accounts.is_of(Address(BANK), "Firm-7", IdentifierRule.STRIP)
    assert not accounts.is_of(Address(BANK), "", IdentifierRule.STRIP)
    assert not accounts.is_of(Address("0x" + "1" * 40), "firm-7", IdentifierRule.CASEFOLD)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "first row must be borrower,account"),
        (b"account,borrower\n", "first row must be borrower,account"),
        (b"borrower,account\nb1\n", "row 2 must have two values"),
        (b"borrower,account\nb1,0x12\n", "row 2: the account must be an address"),
        (b"borrower,account\nb1,0x" + b"0" * 40 + b"\n", "row 2: the account of zeros"),
        (b"borrower,account\nb\xff,0x12\n", "not UTF-8"),
        (b'borrower,account\n"b1,0x12\n', "not readable CSV"),
    ],
)
def test_wrong_accounts_are_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    """Which names the row and never an id."""
    path = tmp_path / "accounts.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        AccountsFile(path)
    assert "b1" not in str(caught.value)


APPROVAL = Decision("approve", "r", "p", "ab" * 32, {}, band=2)


@given(
    st.decimals("0.0001", 1, places=4),
    st.decimals(0, "0.5", places=5),
    st.booleans(),
    st.integers(1, 255),
    st.integers(1, 1_000),
)
def test_no_term_goes_beyond_the_policys(
    share: Decimal, rate: Decimal, recourse: bool, band: int, days: int
) -> None:
    """Cap and rate are rounded down; a discount comes to the policy's yearly cost and no more."""
    texts = {
        "advance_rate": str(share),
        "annual_rate": f"{rate:f}",
        "tenor_days": str(days),
        "recourse": str(int(recourse)),
    }
    approval = replace(APPROVAL, terms=texts, band=band)
    arrears = attested_terms(approval, Consumer.ORDERS)
    assert arrears.rate_bps == (rate * 10_000).to_integral_value(ROUND_FLOOR)
    made = attested_terms(approval, Consumer.POOL)
    assert made.advance_cap_bps == (share * 10_000).to_integral_value(ROUND_FLOOR)
    assert (made.recourse, made.score_band) == (recourse, band)
    years = Fraction(days, 365)
    for bps, within in ((made.rate_bps, True), (made.rate_bps + 1, False)):
        discount = Fraction(bps, 10_000)
        kept = 1 - discount * years
        cost = discount / kept if kept > 0 else Fraction(10**9)
        assert (cost <= Fraction(rate)) is within


@pytest.mark.parametrize(
    "changed",
    [
        {"advance_rate": "1.0001"},
        {"advance_rate": "0.00005"},
        {"advance_rate": "NaN"},
        {"advance_rate": "1e999999"},
        {"annual_rate": "101"},
        {"annual_rate": "-0.01"},
        {"annual_rate": "free"},
        {"tenor_days": "-1"},
        {"recourse": "yes"},
    ],
)
def test_terms_that_no_contract_takes(changed: dict[str, str]) -> None:
    """The operator hears which term of the policy it is."""
    good = {"advance_rate": "0.8", "annual_rate": "0.07", "tenor_days": "73", "recourse": "1"}
    assert attested_terms(replace(APPROVAL, terms=good), Consumer.POOL).rate_bps == 690
    assert attested_terms(replace(APPROVAL, terms=good), Consumer.ORDERS).rate_bps == 700
    (name,) = changed
    with pytest.raises(InputError, match=f"no term '{name}'"):
        attested_terms(replace(APPROVAL, terms=good | changed), Consumer.POOL)
    with pytest.raises(InputError, match="no grade from 1 to 255"):
        attested_terms(replace(APPROVAL, terms=good, band=0), Consumer.POOL)


def test_a_desk_without_attestations_loads_no_chain() -> None:
    """Neither web3 nor eth-account, though the desk knows both."""
    code = (
        "import sys, server.desk.app, clients.desk_client; "
        "found = {'web3', 'eth_account', 'server.desk.attestations'} & set(sys.modules); "
        "print(sorted(found))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"


def test_attestations_need_a_policy(folder: Path) -> None:
    """Whose decisions they are; the desk says so at its start."""
    run = folder / "run" / "bank" / "served-exact.json"
    save_served_model(run, MADE.served, MADE.keys["bank"])
    make_desk_folder(folder / "desk", run, None)
    path = folder / "desk" / "desk.toml"
    path.write_text(path.read_text() + '\n[attestations]\nbank = "0x12"\n')

    async def opened() -> None:
        settings = replace(read_settings(folder / "desk"), listen="127.0.0.1:0")
        async with open_desk(settings, run):
            pass

    with pytest.raises(InputError, match=r"\[attestations\] needs a lending policy"):
        asyncio.run(opened())


@given(st.text(max_size=90), st.text(max_size=45), st.text(max_size=8))
def test_whatever_a_claim_says_its_fields_are_named(number: str, account: str, of: str) -> None:
    """Nothing but a claim or the names of the wrong fields comes out."""
    wrong: set[str] = set()
    claim = Claim(account=account, claim=number, consumer=of)
    try:
        assert str(financed_claim(claim).number) == number
    except FieldErrors as error:
        wrong = {name for name, _ in error.fields}
    assert wrong <= {"claim.account", "claim.claim", "claim.consumer"}
