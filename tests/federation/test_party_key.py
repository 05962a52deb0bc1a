"""Party keys: the line that peers pin, and signatures."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import InputError
from federation.identity import PartyKey, PartyPublicKey, check_pins
from federation.identity.party_key import TEXT_PREFIX

SEEDS = st.binary(min_size=32, max_size=32)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_the_line_reads_back(seed: bytes) -> None:
    public = PartyKey(seed).public
    assert PartyPublicKey.from_text(public.text, "here") == public
    assert len(public.text) == len(TEXT_PREFIX) + 92


def test_known_answer() -> None:
    # Pins outlive releases: the same seed must give the same keys for ever.
    public = PartyKey(bytes(range(32))).public
    assert public.fingerprint == "e1b8 3f25 5b20 4d02 9c75"


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_slip_of_the_hand_is_noticed(data: st.DataObject) -> None:
    text = PartyKey(bytes(32)).public.text
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("abcXYZ019-_="))
    changed = text[:at] + letter + text[at + 1 :]
    if changed == text:
        return
    with pytest.raises(InputError, match=r"^federation\.toml: is no party key"):
        PartyPublicKey.from_text(changed, "federation.toml")


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=140))
def test_any_text_is_refused(text: str) -> None:
    for line in (text, TEXT_PREFIX + text):
        with pytest.raises(InputError, match="is no party key"):
            PartyPublicKey.from_text(line, "here")


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.binary(max_size=50), st.binary(min_size=1, max_size=50))
def test_a_signature_holds_for_its_message_and_purpose_only(
    seed: bytes, message: bytes, more: bytes
) -> None:
    key = PartyKey(seed)
    signature = key.sign("run key", message)
    assert key.public.verifies(signature, "run key", message)
    assert not key.public.verifies(signature, "run key", message + more)
    assert not key.public.verifies(signature, "mask key", message)
    assert not key.public.verifies(signature[:-1], "run key", message)
    assert not PartyKey(PartyKey.new_seed()).public.verifies(signature, "run key", message)


def test_signing_and_sealing_keys_are_two() -> None:
    key = PartyKey(PartyKey.new_seed())
    assert key.signing.private_bytes_raw() != key.sealing.private_bytes_raw()
    assert key.signing.private_bytes_raw().hex() not in repr(key)


def test_two_parties_with_one_key_are_refused() -> None:
    public = PartyKey(bytes(32)).public
    with pytest.raises(InputError, match="bank and platform have the same party key"):
        check_pins({"bank": public, "platform": public})
    other = PartyKey(bytes([1] * 32)).public
    check_pins({"bank": public, "platform": other})
    for half in (
        PartyPublicKey(public.signing, other.sealing),
        PartyPublicKey(other.signing, public.sealing),
    ):
        with pytest.raises(InputError, match="bank and platform have the same party key"):
            check_pins({"bank": public, "platform": half})


@pytest.mark.parametrize(
    "point", [bytes(32), bytes([1]) + bytes(31), (2**255 - 20).to_bytes(32, "little")]
)
def test_a_sealing_key_of_small_order_is_no_key(point: bytes) -> None:
    """Everybody knows what X25519 makes of it: nothing sealed under it would be secret."""
    line = PartyPublicKey(PartyKey(bytes(32)).public.signing, point).text
    with pytest.raises(InputError, match="^here: is no party key; .*sealing key is none that"):
        PartyPublicKey.from_text(line, "here")


def test_a_seed_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        PartyKey(bytes(31))
