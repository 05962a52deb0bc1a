"""Keys stay in their keystores: made, opened, and shown nowhere."""

from __future__ import annotations

import json
import os
import pickle
import stat
from pathlib import Path

import pytest
from eth_account import Account

from contracts.gateway import keystore
from contracts.gateway.errors import KeystoreError
from contracts.gateway.typed_data import TypedData, signer_of
from tests.contracts.test_gateway_values import ATTESTATION

PASSWORD = b"correct horse battery"
QUICK = 2**12


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, keystore.Signer]:
    """A keystore."""
    path = tmp_path_factory.mktemp("keys") / "sub" / "key.json"
    return path, keystore.create(path, PASSWORD, work=QUICK)


def test_a_keystore_opens_to_the_key_that_was_made(made: tuple[Path, keystore.Signer]) -> None:
    """Mode 0600, scrypt, and the same address; it signs what its address is recovered from."""
    path, signer = made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["crypto"]["kdf"] == "scrypt"
    opened = keystore.load(path, PASSWORD)
    assert opened.address == signer.address == keystore.address_of(path)
    data = TypedData(ATTESTATION, 31337, ATTESTATION.bank)
    assert signer_of(data, opened.sign_typed(data)) == signer.address
    assert [entry.name for entry in path.parent.iterdir()] == ["key.json"]


def test_the_usual_work_is_geths() -> None:
    """Not less than 2**18."""
    assert keystore.SCRYPT_WORK == 2**18


def test_nothing_secret_is_shown(made: tuple[Path, keystore.Signer]) -> None:
    """Not in a repr, not in a pickle, not in what an error says or was caused by."""
    path, signer = made
    key = Account.decrypt(json.loads(path.read_text()), PASSWORD).hex().removeprefix("0x")
    assert key not in repr(signer) + str(signer) + repr(vars(type(signer)))
    assert not hasattr(signer, "__dict__")
    with pytest.raises(KeystoreError, match="can't be copied"):
        pickle.dumps(signer)
    with pytest.raises(KeystoreError, match="the password is wrong") as raised:
        keystore.load(path, b"not the password")
    assert "not the password" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_a_keystore_is_never_overwritten(made: tuple[Path, keystore.Signer]) -> None:
    """A key that is gone is money that is gone."""
    path, _ = made
    before = path.read_bytes()
    with pytest.raises(KeystoreError, match="never overwritten"):
        keystore.create(path, PASSWORD, work=QUICK)
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


def test_a_short_password_is_refused(tmp_path: Path) -> None:
    """And nothing is written."""
    with pytest.raises(KeystoreError, match="12 characters"):
        keystore.create(tmp_path / "key", b"short", work=QUICK)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(
    made: tuple[Path, keystore.Signer], tmp_path: Path, mode: int
) -> None:
    """Of keystores and of passwords."""
    for content in (made[0].read_bytes(), PASSWORD):
        path = tmp_path / "file"
        path.write_bytes(content)
        path.chmod(mode)
        with pytest.raises(KeystoreError, match="chmod 600"):
            keystore.load(path, PASSWORD)
        with pytest.raises(KeystoreError, match="chmod 600"):
            keystore.password_from_file(path)


FORGED = [
    b"",
    b"{}",
    b"[]",
    b"\xff",
    b"[" * 50_000,
    b'{"crypto": 1}',
    b'{"crypto": {"kdf": "scrypt", "kdfparams": {"n": 1}}}',
    b'{"crypto": {"kdf": "scrypt", "kdfparams": {"n": 2, "r": 1, "p": 1}}}',
    b'{"crypto": {"kdf": "none", "kdfparams": {"c": 1}}}',
    b" " * 70_000,
]


@pytest.mark.parametrize("content", FORGED)
def test_what_is_no_keystore_is_named(tmp_path: Path, content: bytes) -> None:
    """In one sentence of our own."""
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeystoreError, match=str(path)):
        keystore.load(path, PASSWORD)


@pytest.mark.parametrize(
    "forged", [{"n": 2**30}, {"r": 2**20}, {"p": 2**30}, {"n": -1}, {"n": True}, {"n": 1e9}]
)
def test_a_keystore_can_not_ask_for_any_work(
    made: tuple[Path, keystore.Signer], tmp_path: Path, forged: dict[str, object]
) -> None:
    """A forged file must not take the machine's memory."""
    document = json.loads(made[0].read_text())
    document["crypto"]["kdfparams"] |= forged
    path = tmp_path / "key"
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    with pytest.raises(KeystoreError, match="more work than is sane"):
        keystore.load(path, PASSWORD)


def test_a_keystore_of_another_address_is_refused(
    made: tuple[Path, keystore.Signer], tmp_path: Path
) -> None:
    """The file states who it is for."""
    document = json.loads(made[0].read_text()) | {"address": "11" * 20}
    path = tmp_path / "key"
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    with pytest.raises(KeystoreError, match="not that of the address"):
        keystore.load(path, PASSWORD)


def test_passwords_come_from_files_descriptors_credentials_and_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first line, without its end."""
    path = tmp_path / "password"
    path.write_bytes(PASSWORD + b"\r\nsecond line")
    path.chmod(0o600)
    assert keystore.password_from_file(path) == PASSWORD
    reading, writing = os.pipe()
    os.write(writing, PASSWORD + b"\n")
    os.close(writing)
    assert keystore.password_from_descriptor(reading) == PASSWORD
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert keystore.password_from_credential("password") == PASSWORD
    monkeypatch.setattr("getpass.getpass", lambda _: PASSWORD.decode())
    assert keystore.password_from_prompt() == PASSWORD
    for name in ("", "../password", ".hidden", "missing"):
        with pytest.raises(KeystoreError):
            keystore.password_from_credential(name)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(KeystoreError, match="LoadCredential"):
        keystore.password_from_credential("password")
    with pytest.raises(KeystoreError):
        keystore.password_from_descriptor(9999)
    path.write_bytes(b"\n")
    with pytest.raises(KeystoreError, match="empty"):
        keystore.password_from_file(path)
    with pytest.raises(KeystoreError, match="not a file"):
        keystore.password_from_file(tmp_path)
