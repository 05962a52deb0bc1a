"""A party's long-term key in its vault: made there once, mode 0600, never copied elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from clients.vault.private_files import make_private, write_private
from federation.errors import InputError
from federation.identity import PartyKey
from federation.identity.party_key import SEED_BYTES

PARTY_KEY = "party.key"


def party_key(vault: Path) -> PartyKey:
    """The key in a vault; a fresh one is made where there is none yet.

    Raises:
        InputError: the file is damaged, or others than its owner may read it.
    """
    path = vault / PARTY_KEY
    try:
        if not path.exists():
            _make(path)
        mode, seed = path.stat().st_mode & 0o777, path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: can't be read or made ({error.strerror}); it must be a file that this "
            "process owns, in a folder that it may write to"
        ) from error
    if mode & 0o077:
        raise InputError(
            f"{path}: may be read by others than its owner (mode {mode:o}), so this key is no "
            "secret any more; take it away, let a new one be made and have peers pin that one"
        )
    if len(seed) != SEED_BYTES:
        raise InputError(
            f"{path}: is no party key ({len(seed)} bytes, {SEED_BYTES} are right); put back the "
            "copy that your peers have pinned"
        )
    return PartyKey(seed)


def _make(path: Path) -> None:
    """Two processes may come here at once; both must end with the same key."""
    beside = path.with_name(f".{path.name}.new.{os.getpid()}")
    make_private(path.parent)
    write_private(beside, PartyKey.new_seed())
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        return  # the other process was first
    finally:
        beside.unlink(missing_ok=True)
