"""Strict JSON: what is loose in it is refused, what is sound reads as everybody reads it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.desk.gateway.json_body import MOST_EXACT, NotJson, strict_json
from server.desk.gateway.problems import pointer

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MOST_EXACT, MOST_EXACT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values, st.booleans())
def test_sound_json_reads_as_it_was_written(value: object, escaped: bool) -> None:
    """Whole numbers stay whole, floats keep every bit."""
    assert strict_json(json.dumps(value, ensure_ascii=escaped).encode()) == value


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 01}', "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'"a\nb"', "not JSON"),
        (b'"\xff"', "not UTF-8"),
        ('"x"'.encode("utf-16"), "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\uDFFF": 1}', "surrogate"),
        (b'{"a": NaN}', "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"[-Infinity]", "Infinity"),
        (b"[1e400]", "too large"),
        (b"[-1e400]", "too large"),
        (b"[9007199254740993]", "2^53"),
        (b"[-9007199254740993]", "2^53"),
        (b"[" + b"9" * 1_000_000 + b"]", "2^53"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "same name twice"),
        (b'{"a": 1, "\\u0061": 2}', "same name twice"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 100_000, "nested"),
        (b"[" * 100_000 + b"]" * 100_000, "nested"),
    ],
)
def test_loose_json_is_refused(body: bytes, sentence: str) -> None:
    """In one sentence that holds nothing of the body."""
    with pytest.raises(NotJson) as error:
        strict_json(body)
    assert sentence in str(error.value)
    assert len(str(error.value)) < 120


def test_what_is_no_trap() -> None:
    """Texts that look like numbers, pairs of surrogates, the smallest and largest numbers."""
    assert strict_json(b'"NaN"') == "NaN"
    assert strict_json(b'"\\ud83d\\ude00"') == "\U0001f600"
    assert strict_json(b"[1e-400, 9007199254740992, 1.7976931348623157e308]") == [
        0.0,
        MOST_EXACT,
        1.7976931348623157e308,
    ]


@given(st.binary(max_size=60) | st.text('[]{}",:\\u0123456789eE+-.ntfalsrDd8 ').map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """And what is read, the standard library reads alike."""
    try:
        value = strict_json(body)
    except NotJson:
        return
    assert value == json.loads(body.decode())


def test_pointers_of_fields() -> None:
    """As the desk names fields, and names that a caller made up."""
    assert pointer('features["age"]') == "/features/age"
    assert pointer('features["monthly income (EUR)"]') == "/features/monthly income (EUR)"
    assert pointer("borrowers[3]") == "/borrowers/3"
    assert pointer("facts.requested_minor") == "/facts/requested_minor"
    assert pointer('features["a/b~c"]') == "/features/a~1b~0c"
    assert pointer("") == ""
    assert len(pointer('features["' + "x" * 5_000 + '"]')) < 100
    assert "\n" not in pointer('features["a\nb"]')


@given(st.text(max_size=100))
def test_any_field_has_a_pointer(name: str) -> None:
    """Printable and short."""
    made = pointer(f'features["{name}"]')
    assert made == "" or made.startswith("/")
    assert made.isprintable()
    assert made.encode()
