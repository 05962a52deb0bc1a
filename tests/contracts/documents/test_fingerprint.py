"""The fingerprint: what collides, what does not, and a salt that stays secret."""

from __future__ import annotations

import copy
import hashlib
import hmac
import pickle
import traceback
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.documents import DocumentKind, DocumentsError, NetworkSalt, fingerprint
from contracts.documents.errors import Unclear
from contracts.documents.fingerprint import encoding
from contracts.documents.spelling import canonical_number
from contracts.units import Digest
from tests.contracts.documents.samples import SALT, SELLER

SECRET = bytes(range(100, 132))
numbers = st.text(min_size=1, max_size=30).filter(canonical_number)
groups = st.lists(
    st.one_of(st.integers(0, 10**6).map(str), st.text("ABCXYZ", min_size=1, max_size=4)),
    min_size=1,
    max_size=4,
)


def of(number: str, kind: DocumentKind = DocumentKind.INVOICE, year: int = 2026) -> Digest:
    """The fingerprint of the test's seller."""
    return fingerprint(SALT, kind, SELLER, number, year)


def test_a_known_answer() -> None:
    """HMAC-SHA-256 over length-prefixed fields, written out by hand."""
    message = (
        b"\x00\x00\x00\x14veilscore invoice v1"
        b"\x00\x00\x00\x0bDE136695976"
        b"\x00\x00\x00\x05INV12"
        b"\x00\x00\x00\x042026"
    )
    assert encoding(DocumentKind.INVOICE, "de 136.695.976", "inv-0012", 2026) == message
    expected = hmac.new(bytes(range(32)), message, hashlib.sha256).digest()
    assert of("INV-0012") == expected


@pytest.mark.parametrize(
    "number",
    [
        "INV-0012",
        "inv 12",
        "Inv/00012",
        "INV12",
        "INV_12",
        "INV.12",
        "ＩＮＶ－１２",
        "INV\u00a012",
        "#INV-12",
    ],
)
def test_spellings_of_one_number_collide(number: str) -> None:
    """Case, separators, padding and width mean nothing."""
    assert of(number) == of("INV-0012")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1-11", "11-1"),
        ("A-1-23", "A-12-3"),
        ("INV-12", "INV-120"),
        ("INV-12", "INV-21"),
        ("0", "00-1"),
        ("A1", "B1"),
    ],
)
def test_distinct_numbers_do_not_collide(one: str, other: str) -> None:
    """The border of two groups of digits carries meaning."""
    assert of(one) != of(other)


def test_kind_year_seller_and_salt_all_count() -> None:
    """Each gives another fingerprint."""
    found = {
        of("1"),
        of("1", DocumentKind.ORDER),
        of("1", year=2025),
        fingerprint(SALT, DocumentKind.INVOICE, "FR83404833048", "1", 2026),
        fingerprint(NetworkSalt(SECRET), DocumentKind.INVOICE, SELLER, "1", 2026),
    }
    assert len(found) == 5


@given(numbers)
def test_the_canonical_number_is_stable(number: str) -> None:
    """Canonical twice is canonical once; case and form of Unicode do not matter."""
    canonical = canonical_number(number)
    assert canonical_number(canonical) == canonical
    assert canonical_number(number.upper()) == canonical
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert canonical_number(unicodedata.normalize(form, number)) == canonical


@given(groups, st.data())
def test_groups_respelled_collide(parts: list[str], data: st.DataObject) -> None:
    """Whatever separators and padding a system chooses, the number is the same."""
    spelled = "-".join(parts)
    other = ""
    for part in parts:
        separator = data.draw(st.sampled_from([" ", "/", "--", ".", "_"]))
        padding = "0" * data.draw(st.integers(0, 3)) if part.isdecimal() else ""
        cased = data.draw(st.sampled_from([part.lower(), part]))
        other += separator + padding + cased
    assert of(other) == of(spelled)


@given(
    st.lists(st.integers(0, 99), min_size=1, max_size=4),
    st.lists(st.integers(0, 99), min_size=1, max_size=4),
)
def test_digit_groups_collide_only_if_equal(one: list[int], other: list[int]) -> None:
    """No two sequences of numbers share a fingerprint."""
    same = of("-".join(map(str, one))) == of("-".join(map(str, other)))
    assert same is (one == other)


@given(st.tuples(st.text("AB1"), st.text("AB1")), st.tuples(st.text("AB1"), st.text("AB1")))
def test_fields_do_not_run_into_each_other(one: tuple[str, str], other: tuple[str, str]) -> None:
    """A sign moved from tax id to number gives another encoding."""
    if not all((*one, *other)):
        return
    kind = DocumentKind.INVOICE
    folded = (one[0], canonical_number(one[1])) == (other[0], canonical_number(other[1]))
    assert (encoding(kind, *one, 2026) == encoding(kind, *other, 2026)) is folded


@pytest.mark.parametrize("number", ["", "---", "  ", "\u200b"])
def test_a_number_of_nothing(number: str) -> None:
    """Without letter and digit there is no fingerprint."""
    with pytest.raises(Unclear, match="neither letter nor digit"):
        of(number)


def test_the_salt_s_file(tmp_path: Path) -> None:
    """Made once, with 32 random bytes and mode 0600, and read back."""
    file = tmp_path / "network.salt"
    made = NetworkSalt.create(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_bytes()) == 32
    assert NetworkSalt.from_file(file).digest(b"x") == made.digest(b"x")
    assert NetworkSalt.create(tmp_path / "other").digest(b"x") != made.digest(b"x")
    before = file.read_bytes()
    with pytest.raises(DocumentsError, match="is there already"):
        NetworkSalt.create(file)
    assert file.read_bytes() == before


def test_salts_that_are_none(tmp_path: Path) -> None:
    """Open to others, too short, too long, missing, or a folder."""
    file = tmp_path / "salt"
    file.write_bytes(SECRET)
    for mode in (0o644, 0o640, 0o604):
        file.chmod(mode)
        with pytest.raises(DocumentsError, match=f"mode {mode:o}"):
            NetworkSalt.from_file(file)
    file.chmod(0o600)
    NetworkSalt.from_file(file)
    for content in (SECRET[:-1], SECRET + b"\n", b""):
        file.write_bytes(content)
        with pytest.raises(DocumentsError, match="exactly 32 bytes"):
            NetworkSalt.from_file(file)
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DocumentsError, match="cannot be read"):
            NetworkSalt.from_file(path)
    with pytest.raises(DocumentsError, match="cannot be made"):
        NetworkSalt.create(tmp_path / "none" / "salt")


def test_the_salt_shows_nowhere() -> None:
    """Neither printed, nor pickled, nor in an error with its locals' representations."""
    salt = NetworkSalt(SECRET)
    for text in (repr(salt), str(salt), f"{salt}", repr({"salt": salt})):
        assert text.count("NetworkSalt(hidden)") == 1
    assert not hasattr(salt, "__dict__")
    for refused in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not to be serialised"):
            refused(salt)
    try:
        fingerprint(salt, DocumentKind.INVOICE, SELLER, "--", 2026)
    except Unclear as error:
        shown = "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
        assert "hidden" in shown
        assert SECRET.hex() not in shown
        assert repr(SECRET) not in shown
    with pytest.raises(DocumentsError) as caught:
        NetworkSalt(SECRET[:-1])
    assert repr(SECRET[:-1]) not in str(caught.value)
