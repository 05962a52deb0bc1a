"""Keys from encrypted keystores (Web3 secret storage, scrypt), and what they sign.

A key is never an argument, an environment variable, a log line, a repr or a part of an exception.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

from eth_account import Account
from eth_account.datastructures import SignedTransaction
from eth_account.signers.local import LocalAccount

from contracts.gateway.errors import KeystoreError
from contracts.gateway.typed_data import TypedData
from contracts.units import Address

SCRYPT_WORK = 2**18
"""scrypt's n of new keystores: about a second and 256 MiB (Geth's standard)."""
SHORTEST_PASSWORD = 12
_MOST_BYTES = 64 * 1024
_MOST_MEMORY = 1024 * 1024 * 1024
"""Bytes (128 n r) that opening a keystore may take; a forged file could ask for any amount."""
_MOST_WORK = 2**32
_MOST_ROUNDS = 10_000_000


class Signer:
    """One account's key; it signs, and shows nothing but its address."""

    __slots__ = ("_account",)

    def __init__(self, account: LocalAccount) -> None:
        """Wrap an opened account."""
        self._account = account

    @property
    def address(self) -> Address:
        """The account's address."""
        return Address(self._account.address)

    def sign_transaction(self, transaction: dict[str, Any]) -> SignedTransaction:
        """Sign a complete transaction."""
        return self._account.sign_transaction(transaction)

    def sign_typed(self, data: TypedData) -> bytes:
        """Sign EIP-712 typed data: 65 bytes r, s, v."""
        return bytes(self._account.sign_message(data.signable()).signature)

    def __repr__(self) -> str:
        """The address only."""
        return f"Signer({self.address})"

    def __reduce__(self) -> NoReturn:
        """A key leaves its process by no way but the keystore."""
        raise KeystoreError("A signer can't be copied to another process; open its keystore there.")


def create(path: Path, password: bytes, *, work: int = SCRYPT_WORK) -> Signer:
    """Make a new key and write its keystore: a new file, mode 0600.

    Raises:
        KeystoreError: the file exists, or the password is too short.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise KeystoreError(f"The password must have {SHORTEST_PASSWORD} characters or more.")
    account = Account.create()  # 32 bytes of the operating system, hashed
    content = Account.encrypt(account.key, password, kdf="scrypt", iterations=work)  # type: ignore[arg-type]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)  # fails where a file is, so that no key is ever overwritten
        except FileExistsError:
            raise KeystoreError(
                f"{path}: there is a file already; a keystore is never overwritten."
            ) from None
    finally:
        beside.unlink(missing_ok=True)
    return Signer(account)


def load(path: Path, password: bytes) -> Signer:
    """Open a keystore.

    Raises:
        KeystoreError: others can read the file, it is no keystore, or the password is wrong.
    """
    content = _read_private(path, _MOST_BYTES)
    document = _checked(content, path)
    try:
        key = Account.decrypt(document, password)  # type: ignore[arg-type]
    except ValueError as error:
        if "MAC mismatch" in str(error):
            raise KeystoreError(f"{path}: the password is wrong.") from None
        raise KeystoreError(f"{path}: not a keystore of version 3.") from None
    except Exception:  # whatever a forged file makes of the library; its text may hold content
        raise KeystoreError(f"{path}: not a keystore of version 3.") from None
    account = Account.from_key(key)
    stated = document.get("address")
    if isinstance(stated, str) and stated and stated.lower()[-40:] != account.address[2:].lower():
        raise KeystoreError(f"{path}: the key is not that of the address which the file states.")
    return Signer(account)


def address_of(path: Path) -> Address:
    """The address that a keystore states, without its password."""
    from contracts.gateway.errors import ValueRefused
    from contracts.gateway.solidity_values import checked_address

    stated = _checked(_read_private(path, _MOST_BYTES), path).get("address")
    try:
        return checked_address(f"0x{str(stated).lower().removeprefix('0x')}", "address")
    except ValueRefused:
        raise KeystoreError(f"{path}: the file states no address.") from None


def _checked(content: bytes, path: Path) -> dict[str, Any]:
    """The keystore's JSON, whose work is bounded."""
    try:
        document = json.loads(content)
        crypto = {key.lower(): value for key, value in document.items()}["crypto"]
        kdf, parameters = crypto["kdf"], crypto["kdfparams"]
        if kdf == "scrypt":
            n, r, p = (parameters[name] for name in ("n", "r", "p"))
            fine = all(type(number) is int and number > 0 for number in (n, r, p)) and (
                128 * n * r <= _MOST_MEMORY and 128 * n * r * p <= _MOST_WORK
            )
        else:
            rounds = parameters["c"]
            fine = kdf == "pbkdf2" and type(rounds) is int and 0 < rounds <= _MOST_ROUNDS
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise KeystoreError(f"{path}: not a keystore of version 3 (JSON).") from None
    if not fine:
        raise KeystoreError(f"{path}: its key derivation asks for more work than is sane.")
    return dict(document)


def _read_private(path: Path, most: int) -> bytes:
    """A file that only its owner can read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeystoreError(f"{path}: {error.strerror}.") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeystoreError(f"{path}: not a file.")
        if status.st_mode & 0o077:
            raise KeystoreError(f"{path}: others can read it; run `chmod 600 {path}`.")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(most + 1)
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise KeystoreError(f"{path}: more than {most:,} bytes.")
    return content


def password_from_prompt(question: str = "Password of the keystore: ") -> bytes:
    """Ask at the terminal, without echo."""
    import getpass

    try:
        return getpass.getpass(question).encode()
    except EOFError:
        raise KeystoreError("There is no terminal to ask for the password at.") from None


def password_from_file(path: Path) -> bytes:
    """The first line of a file that only its owner can read (mode 0600)."""
    return _first_line(_read_private(path, 4096), str(path))


def password_from_descriptor(descriptor: int) -> bytes:
    """The first line that comes on an open file descriptor; it is closed."""
    try:
        with os.fdopen(descriptor, "rb") as file:
            return _first_line(file.read(4097)[:4096], f"file descriptor {descriptor}")
    except OSError as error:
        raise KeystoreError(f"File descriptor {descriptor}: {error.strerror}.") from None


def password_from_credential(name: str) -> bytes:
    """A systemd credential (LoadCredential=), which only the service can read."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")  # the folder's name, which is no secret
    if not folder or not name or "/" in name or name.startswith("."):
        raise KeystoreError(
            f"There is no credential {name[:80]!r}: the service needs LoadCredential={name[:80]}."
        )
    path = Path(folder) / name
    try:
        with path.open("rb") as file:
            return _first_line(file.read(4096), f"credential {name}")
    except OSError as error:
        raise KeystoreError(f"Credential {name}: {error.strerror}.") from None


def _first_line(content: bytes, where: str) -> bytes:
    line = content.split(b"\n", 1)[0].removesuffix(b"\r")
    if not line:
        raise KeystoreError(f"{where}: the password is empty.")
    return line
