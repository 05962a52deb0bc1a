"""Served models on disk: signed, and checked when they are read."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.vault import load_served_model, read_signed_document, save_served_model
from clients.vault.served_models import signed_document
from federation.errors import InputError
from federation.identity import PartyKey
from tests.federation.test_scoring_points import small_model

KEY, OTHER = PartyKey(bytes([1] * 32)), PartyKey(bytes([2] * 32))


def test_a_served_model_is_read_back_by_who_trusts_its_signer(tmp_path: Path) -> None:
    """The file is the party's own only."""
    path = tmp_path / "served-exact.json"
    save_served_model(path, small_model(), KEY)
    assert load_served_model(path, KEY.public) == small_model()
    assert load_served_model(path, None) == small_model()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_model_signed_by_somebody_else_is_refused(tmp_path: Path) -> None:
    """The sentence names both fingerprints."""
    path = tmp_path / "served-exact.json"
    save_served_model(path, small_model(), OTHER)
    with pytest.raises(InputError, match="signed with the key") as caught:
        load_served_model(path, KEY.public)
    assert KEY.public.fingerprint in str(caught.value)
    assert OTHER.public.fingerprint in str(caught.value)


def test_a_changed_weight_is_found(tmp_path: Path) -> None:
    """Whoever the file names as signer."""
    document = json.loads(signed_document(small_model(), KEY))
    document["model"]["variants"][0]["part"]["weights"][0][0] = 9.0
    for signer in (KEY.public, None):
        with pytest.raises(InputError, match="was changed after it was signed"):
            read_signed_document(json.dumps(document).encode(), "here", signer)


def test_a_signature_for_another_purpose_does_not_serve() -> None:
    """A party key signs other things too."""
    document = json.loads(signed_document(small_model(), KEY))
    content = small_model().to_json().encode()
    document["signature"] = base64.b64encode(KEY.sign("mask key", content)).decode()
    with pytest.raises(InputError, match="was changed"):
        read_signed_document(json.dumps(document).encode(), "here", KEY.public)


def test_a_missing_file_says_what_makes_one(tmp_path: Path) -> None:
    """One sentence."""
    with pytest.raises(InputError, match="there is no served model"):
        load_served_model(tmp_path / "served-exact.json", None)


WHOLE = signed_document(small_model(), KEY)


@given(st.integers(0, len(WHOLE) - 2), st.integers(1, 255))
def test_any_changed_byte_is_refused(place: int, flip: int) -> None:
    """Or changes nothing of what is signed."""
    data = bytearray(WHOLE)
    data[place] ^= flip
    try:
        model = read_signed_document(bytes(data), "here", KEY.public)
    except InputError:
        return
    assert model == small_model()
