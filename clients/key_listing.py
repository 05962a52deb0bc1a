"""A party's own public key, and which of its peers' it trusts, for a person or a program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from clients.federation_file import read_federation
from clients.manifest import read_manifest
from clients.pins import pins_of
from clients.settings_file import read_toml
from clients.vault import party_key
from federation.errors import InputError


def own_key(manifest: Path, as_json: bool) -> Iterator[str]:
    """The lines to print for the party whose manifest this is; a key is made where there is none.

    Raises:
        InputError: the manifest or the key's file is not right.
    """
    name = read_manifest(manifest).name
    public = party_key(manifest.parent / "vault").public
    if as_json:
        yield json.dumps({"party": name, "key": public.text, "fingerprint": public.fingerprint})
        return
    yield f"For the other parties' federation files, under [parties.{name}]:"
    yield ""
    yield f'key = "{public.text}"'
    yield ""
    yield f"Its fingerprint, to compare over the telephone:  {public.fingerprint}"


def pinned_keys(federation: Path, as_json: bool) -> Iterator[str]:
    """The lines to print for a federation file: whose key is trusted, and where it comes from.

    Raises:
        InputError: a party's key is neither pinned nor on this machine.
    """
    config = read_federation(federation)
    pins = pins_of(config)
    for entry in config.parties:
        pinned, pin = entry.key is not None, pins[entry.name]
        if as_json:
            found = {"party": entry.name, "key": pin.text, "fingerprint": pin.fingerprint}
            yield json.dumps(found | {"pinned": pinned})
        else:
            source = "pinned" if pinned else "from its vault on this machine"
            yield f"{entry.name:<20} {pin.fingerprint}  {source}"


def key_listing(path: Path, as_json: bool) -> Iterator[str]:
    """The lines for a manifest (one's own key) or a federation file (all pins).

    Raises:
        InputError: there is no such file, or it is neither.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; name a manifest or a federation file")
    is_manifest = "party" in read_toml(path, "manifest or federation file")
    return own_key(path, as_json) if is_manifest else pinned_keys(path, as_json)
