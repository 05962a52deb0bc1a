"""Borrower ids: the declared rules, and what is refused by row."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import InputError
from federation.identifiers import IdentifierRule, normalise, normalise_one

RULES = list(IdentifierRule)


@pytest.mark.parametrize(
    ("rule", "identifier", "expected"),
    [
        ("exact", " 007 ", " 007 "),
        ("exact", "Ａ１", "Ａ１"),
        ("strip", " 007 ", "007"),
        ("strip", "\t007  A\u00a0B\n", "007 A B"),
        ("strip", "\ufeff00\u200b7", "007"),
        ("strip", "Ａ１", "A1"),
        ("strip", "DE-1", "DE-1"),
        ("casefold", " De-1 ", "de-1"),
        ("casefold", "STRASSE", "strasse"),
        ("casefold", "straße", "strasse"),
        ("alphanumeric", "de 123.456-0", "de1234560"),
        ("digits", "TW 0041-2334", "00412334"),
        ("digits", "٠٠٤١", "0041"),
    ],
)
def test_each_rule_brings_an_id_into_its_form(rule: str, identifier: str, expected: str) -> None:
    """The table shows what each rule keeps; leading zeros stay under all of them."""
    assert normalise([identifier], IdentifierRule(rule)) == [expected]


@given(st.text(max_size=30), st.sampled_from(RULES))
def test_every_rule_is_idempotent(identifier: str, rule: IdentifierRule) -> None:
    """Normalising what is normalised changes nothing."""
    once = normalise_one(identifier, rule)
    assert normalise_one(once, rule) == once


@given(
    st.lists(st.from_regex(r"[0-9]{3,10}", fullmatch=True), unique=True, max_size=50),
    st.sampled_from(RULES),
)
def test_plain_digits_keep_their_zeros_and_order(
    identifiers: list[str], rule: IdentifierRule
) -> None:
    """Ids of digits alone are the same under every rule."""
    assert normalise(identifiers, rule) == identifiers


@given(st.text(alphabet="abcXYZ019", min_size=5, max_size=12), st.sampled_from(RULES[1:]))
def test_white_space_around_an_id_never_matters(identifier: str, rule: IdentifierRule) -> None:
    """Every rule but exact sees a padded id as the same."""
    assert normalise_one(f"  {identifier}\u3000", rule) == normalise_one(identifier, rule)


def test_whole_numbers_are_their_digits() -> None:
    """A source that stores ids as numbers is read as text."""
    assert normalise([12, 7]) == ["12", "7"]


@pytest.mark.parametrize(
    "missing", ["", "  ", None, math.nan, "NaN", " nan ", "NULL", "N/A", "<NA>"]
)
@pytest.mark.parametrize("rule", RULES)
def test_a_missing_id_is_refused_by_row(missing: object, rule: IdentifierRule) -> None:
    """An empty or NaN id names its row."""
    with pytest.raises(InputError, match=r"bank\.csv: row 2 has no id .*every row needs"):
        normalise(["1", missing, "3"], rule, source="bank.csv")


def test_an_id_that_a_rule_empties_is_refused() -> None:
    """The sentence says that the rule is to blame, and does not print the id."""
    with pytest.raises(InputError, match="row 2 has nothing left under the rule 'digits'") as error:
        normalise(["1", "secret"], IdentifierRule.DIGITS)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("wrong", [1.5, True, b"7"])
def test_an_id_of_another_type_is_refused(wrong: object) -> None:
    """Fractions, truth values and bytes are no ids."""
    with pytest.raises(InputError, match="row 1 holds an id of type"):
        normalise([wrong])


def test_duplicates_are_refused_by_row_without_the_id() -> None:
    """The sentence names both rows and how many more there are, and never the id."""
    with pytest.raises(InputError) as error:
        normalise(["4711", "x", "4711", "4711"], source="bank.csv")
    assert str(error.value) == (
        "bank.csv: row 1 and row 3 have the same id (1 more row repeats an id); "
        "a borrower must have exactly one row"
    )


def test_duplicates_after_normalisation_name_the_rule() -> None:
    """Ids that only look different are the same borrower."""
    with pytest.raises(InputError, match=r"row 1 and row 2 .* once normalised by the rule 'strip'"):
        normalise(["4711", " 4711"])
    assert normalise(["4711", " 4711"], IdentifierRule.EXACT) == ["4711", " 4711"]


def test_rows_are_named_as_the_caller_names_them() -> None:
    """A file can name its lines."""
    with pytest.raises(InputError, match="line 3 has no id"):
        normalise(["1", ""], row_name=lambda position: f"line {position + 2}")
