"""Whose key a party trusts, where its own lies, and what `veilscore keys` prints."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from pathlib import Path

import pytest

from clients.example import write_example
from clients.federation_file import FederationConfig, read_federation
from clients.key_listing import key_listing
from clients.pins import identity_of, pins_of
from clients.vault import party_key
from federation.errors import InputError
from federation.identity import PartyKey, PartyPublicKey
from federation.identity.certificates import party_identity
from federation.sealing.noise import KKHandshake


@pytest.fixture
def config(tmp_path: Path) -> FederationConfig:
    return read_federation(write_example(tmp_path / "example"))


def pin(config: FederationConfig, party: str, key: str) -> FederationConfig:
    """The federation file with a party's key in it."""
    heading = f"[parties.{party}]\n"
    text = config.path.read_text()
    assert heading in text
    config.path.write_text(text.replace(heading, f'{heading}key = "{key}"\n'))
    return read_federation(config.path)


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = party_key(tmp_path / "vault")
    assert party_key(tmp_path / "vault").public == first.public
    (path,) = (tmp_path / "vault").iterdir()
    assert path.name == "party.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def _public(vault: Path) -> str:
    return party_key(vault).public.text


def test_processes_that_come_at_once_end_with_one_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        keys = pool.map(_public, [tmp_path / "vault"] * 16)
    assert len(set(keys)) == 1
    assert [path.name for path in (tmp_path / "vault").iterdir()] == ["party.key"]


def test_a_key_that_others_may_read_or_that_is_cut_is_refused(tmp_path: Path) -> None:
    party_key(tmp_path)
    path = tmp_path / "party.key"
    path.chmod(0o640)
    with pytest.raises(InputError, match="may be read by others than its owner"):
        party_key(tmp_path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(InputError, match="is no party key \\(5 bytes"):
        party_key(tmp_path)


def test_where_all_parties_are_on_one_machine_their_vaults_serve(config: FederationConfig) -> None:
    bank = identity_of(config, "bank")
    assert bank.pins["platform"] == identity_of(config, "platform").key.public
    assert bank.pins["bank"] == bank.key.public


def test_a_pinned_key_goes_before_what_lies_on_this_machine(config: FederationConfig) -> None:
    other = PartyKey(PartyKey.new_seed()).public
    pinned = pin(config, "platform", other.text)
    assert identity_of(pinned, "bank").pins["platform"] == other


def test_a_peer_elsewhere_must_be_pinned(config: FederationConfig) -> None:
    shutil.rmtree(config.party("platform").manifest.parent)
    with pytest.raises(InputError, match=r"\[parties\.platform\] has no 'key'.*`veilscore keys`"):
        identity_of(config, "bank")
    key = PartyKey(PartyKey.new_seed()).public
    assert identity_of(pin(config, "platform", key.text), "bank").pins["platform"] == key


def test_a_file_that_pins_another_key_for_oneself_is_refused(config: FederationConfig) -> None:
    changed = pin(config, "bank", PartyKey(PartyKey.new_seed()).public.text)
    with pytest.raises(InputError, match=r"\[parties\.bank\] pins the key .* its own vault holds"):
        identity_of(changed, "bank")


def test_a_mistyped_key_names_file_and_party(config: FederationConfig) -> None:
    key = PartyKey(PartyKey.new_seed()).public.text
    swapped = key[:-1] + ("A" if key[-1] != "A" else "B")
    with pytest.raises(InputError, match=r"federation\.toml.*parties\.platform.*mistyped or cut"):
        pin(config, "platform", swapped)


def test_one_key_for_two_parties_is_refused(config: FederationConfig) -> None:
    bank = identity_of(config, "bank").key.public.text
    with pytest.raises(InputError, match="bank and platform have the same party key"):
        pins_of(pin(config, "platform", bank))


def test_keys_prints_ones_own_line(config: FederationConfig) -> None:
    manifest = config.party("platform").manifest
    public = identity_of(config, "platform").key.public
    lines = list(key_listing(manifest, as_json=False))
    assert f'key = "{public.text}"' in lines
    assert any(public.fingerprint in line for line in lines)
    (line,) = key_listing(manifest, as_json=True)
    printed = json.loads(line)
    assert PartyPublicKey.from_text(printed["key"], "here") == public
    secret = (manifest.parent / "vault" / "party.key").read_bytes()
    assert secret.hex() not in " ".join([*lines, line])


def test_keys_lists_what_a_federation_file_pins(config: FederationConfig) -> None:
    pinned = pin(config, "platform", identity_of(config, "platform").key.public.text)
    found = [json.loads(line) for line in key_listing(pinned.path, as_json=True)]
    assert [(one["party"], one["pinned"]) for one in found] == [("bank", False), ("platform", True)]
    words = "\n".join(key_listing(pinned.path, as_json=False))
    assert "from its vault on this machine" in words


def test_keys_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file; name a manifest"):
        list(key_listing(tmp_path / "no.toml", as_json=False))


def test_a_vault_that_can_not_hold_a_key_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where the vault should be")
    with pytest.raises(InputError, match=r"file/party\.key: can't be read or made \(.*\); it must"):
        party_key(tmp_path / "file")
    (tmp_path / "vault" / "party.key").mkdir(parents=True, mode=0o700)
    with pytest.raises(InputError, match=r"vault/party\.key: can't be read or made"):
        party_key(tmp_path / "vault")


def test_keys_of_files_that_are_not_right(config: FederationConfig, tmp_path: Path) -> None:
    """A folder, a file of another kind, a manifest without its name: each one sentence."""
    with pytest.raises(InputError, match="there is no such file"):
        list(key_listing(tmp_path, as_json=False))
    (tmp_path / "other.toml").write_text("[tool]\nx = 1\n")
    with pytest.raises(InputError, match=r"other\.toml: has an unknown table 'tool'"):
        list(key_listing(tmp_path / "other.toml", as_json=False))
    (tmp_path / "manifest.toml").write_text("[party]\n")
    with pytest.raises(InputError, match=r"manifest\.toml: .*'name'"):
        list(key_listing(tmp_path / "manifest.toml", as_json=False))
    assert not (tmp_path / "vault").exists()


def test_nothing_that_is_shown_of_an_identity_holds_its_secret(config: FederationConfig) -> None:
    identity = identity_of(config, "platform")
    key = identity.key
    secrets = [
        (config.party("platform").manifest.parent / "vault" / "party.key").read_bytes(),
        key.signing.private_bytes_raw(),
        key.sealing.private_bytes_raw(),
    ]
    certified = party_identity(key, "platform", "session-1")
    shown = repr(
        [
            identity,
            identity.voucher,
            certified,
            KKHandshake(True, key.sealing, key.public.sealing, b""),
        ]
    )
    for secret in secrets:
        assert secret.hex() not in shown
        assert repr(secret) not in shown
    assert certified.private_key.decode() not in shown
    assert "PRIVATE" not in shown
