"""The party keys that a party trusts: from its own copy of the federation file.

    [parties.platform]
    role = "feature"
    manifest = "platform/manifest.toml"
    key = "veilscore-key-1:..."     # what `veilscore keys` prints at the platform

Where a party's manifest lies on this machine, as it does when one person runs all parties to try
things out, its key may be left out: it is then the one in that party's vault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clients.federation_file import FederationConfig, PartyEntry
from clients.vault import party_key
from federation.errors import InputError
from federation.identity import PartyKey, PartyPublicKey, Voucher, check_pins


@dataclass(frozen=True)
class Identity:
    """A party among its peers.

    Attributes:
        party: its name.
        key: its long-term key.
        pins: every party's public key, its own among them.
    """

    party: str
    key: PartyKey
    pins: Mapping[str, PartyPublicKey]

    @property
    def federation(self) -> bytes:
        """All parties' names and keys: what was kept with others is of no use among these."""
        return "\n".join(f"{party} {pin.text}" for party, pin in sorted(self.pins.items())).encode()

    @property
    def voucher(self) -> Voucher:
        """Signs this party's short-lived keys and checks its peers'."""
        return Voucher(self.party, self.key, self.pins)


def identity_of(config: FederationConfig, party: str) -> Identity:
    """A party's own key, and its peers' as the federation file pins them.

    Raises:
        InputError: a peer's key is neither pinned nor on this machine, the file pins another key
            for this party than its vault holds, or two parties have the same one.
    """
    key = party_key(config.party(party).manifest.parent / "vault")
    pins = pins_of(config)
    if pins[party] != key.public:
        raise InputError(
            f"{config.path}: [parties.{party}] pins the key {pins[party].fingerprint}, but its own "
            f"vault holds {key.public.fingerprint}; put in the line that `veilscore keys` prints"
        )
    return Identity(party, key, pins)


def pins_of(config: FederationConfig) -> dict[str, PartyPublicKey]:
    """Every party's public key.

    Raises:
        InputError: as `identity_of`.
    """
    pins = {entry.name: pinned_key(config, entry) for entry in config.parties}
    check_pins(pins)
    return pins


def pinned_key(config: FederationConfig, entry: PartyEntry) -> PartyPublicKey:
    """One party's public key.

    Raises:
        InputError: it is neither pinned nor on this machine.
    """
    if entry.key is not None:
        return entry.key
    if not entry.manifest.is_file():
        raise InputError(
            f"{config.path}: [parties.{entry.name}] has no 'key', and its manifest is not on this "
            f"machine; ask {entry.name} for the line that `veilscore keys` prints there, compare "
            "its fingerprint over the telephone, and put it in"
        )
    return party_key(entry.manifest.parent / "vault").public
