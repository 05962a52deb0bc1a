"""The hash-chained record: any change to any line but the last ones' loss is found and named."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import InputError
from federation.record_chain import GENESIS, Head, canonical_json, read_chain

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
BODIES = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8), JSON_VALUES, max_size=4
)


def chain_lines(count: int) -> list[str]:
    """A chain of `count` entries as its file's lines."""
    head, lines = Head(), []
    for index in range(count):
        head, entry = head.append({"kind": "test", "number": index, "note": f"ε = {index}"})
        lines.append(entry.line())
    return lines


@settings(max_examples=40)
@given(st.lists(BODIES, max_size=5))
def test_what_was_appended_is_read_back(bodies: list[dict[str, object]]) -> None:
    """Bodies of any JSON content survive, and the head agrees."""
    head, lines = Head(), []
    for body in bodies:
        head, entry = head.append(body)
        lines.append(entry.line() + "\n")
    read_head, entries = read_chain(lines, "chain")
    assert read_head == head
    assert [dict(entry.body) for entry in entries] == bodies


def test_an_empty_chain_has_the_genesis_head() -> None:
    """Nothing read is nothing wrong."""
    assert read_chain([], "chain") == (Head(0, GENESIS), [])


@pytest.mark.parametrize("line", range(5))
def test_a_changed_entry_is_found(line: int) -> None:
    """A body changed in place is found at the next line; re-indexing it does not help either."""
    lines = chain_lines(6)
    lines[line] = lines[line].replace(f'"number":{line}', '"number":99')
    with pytest.raises(InputError, match=f"chain, line {line + 2}: .* changed, dropped"):
        read_chain(lines, "chain")


@pytest.mark.parametrize("line", range(5))
def test_a_dropped_entry_is_found(line: int) -> None:
    """A line missing at the start or in the middle is found where the next one stands."""
    lines = chain_lines(6)
    del lines[line]
    with pytest.raises(InputError, match=f"chain, line {line + 1}: the entry was altered or moved"):
        read_chain(lines, "chain")


@pytest.mark.parametrize("line", range(5))
def test_reordered_and_doubled_entries_are_found(line: int) -> None:
    """Two neighbours exchanged, and one line twice."""
    lines = chain_lines(6)
    exchanged = [*lines[:line], lines[line + 1], lines[line], *lines[line + 2 :]]
    with pytest.raises(InputError, match=f"line {line + 1}: the entry was altered or moved"):
        read_chain(exchanged, "chain")
    with pytest.raises(InputError, match=f"line {line + 2}: the entry was altered or moved"):
        read_chain([*lines[: line + 1], *lines[line:]], "chain")


def test_a_dropped_entry_is_found_even_when_the_rest_is_numbered_anew() -> None:
    """The digest of the entry before does not fit any more."""
    lines = chain_lines(4)
    moved = json.loads(lines[2]) | {"index": 1}
    with pytest.raises(InputError, match=r"line 2: .*does not follow from the one before"):
        read_chain([lines[0], canonical_json(moved)], "chain")


@settings(max_examples=150)
@given(st.integers(0, 5), st.integers(0, 10_000), st.characters(exclude_categories=["Cs"]))
def test_any_single_character_changed_is_found(line: int, place: int, character: str) -> None:
    """Whatever is written over whichever character, reading refuses (the last line's own body
    aside, which only a known head protects)."""
    lines = chain_lines(7)
    place %= len(lines[line])
    if lines[line][place] == character:
        return
    lines[line] = lines[line][:place] + character + lines[line][place + 1 :]
    with pytest.raises(InputError, match=re.escape("chain, line ")):
        read_chain(lines, "chain")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "not JSON",
        "7",
        "[]",
        "{}",
        '{"index":0,"previous":"","body":"text"}',
        '{"index":0,"previous":"","body":7}',
        '{"body":{"x":NaN},"index":0,"previous":"' + GENESIS + '"}',
        '{"body":{}, "index":0,"previous":"' + GENESIS + '"}',
        '{"body":{},"extra":1,"index":0,"previous":"' + GENESIS + '"}',
    ],
)
def test_what_is_not_an_entry_is_refused_by_line(line: str) -> None:
    """Garbage, wrong types, NaN, other spacing and extra fields each end in one sentence."""
    with pytest.raises(InputError, match=r"ledger\.jsonl, line 1: "):
        read_chain([line], "ledger.jsonl")


def test_canonical_json_is_one_form_per_content() -> None:
    """Sorted keys, no white space, letters as they are, no NaN."""
    assert canonical_json({"b": 1, "a": [1.5, "ε"]}) == '{"a":[1.5,"ε"],"b":1}'
    with pytest.raises(ValueError, match="Out of range float"):
        canonical_json({"a": float("nan")})
