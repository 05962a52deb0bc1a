"""Settings of a boosted training: every bad value names its field; what a partner accepts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.boosting.acceptance import Acceptance
from federation.boosting.settings import BoostedSettings, Disclosure
from federation.errors import InputError, ProtocolError

NOT_NUMBERS: list[Any] = ["4", None, [], {}, True, float("nan"), float("inf")]
OUT_OF_RANGE: dict[str, list[Any]] = {
    "trees": [0, -1, 1001, 2.5, *NOT_NUMBERS],
    "depth": [0, 9, 1.0, *NOT_NUMBERS],
    "bins": [1, 251, *NOT_NUMBERS],
    "rate": [0, -0.1, 1.1, *NOT_NUMBERS],
    "l2": [0, -1, *NOT_NUMBERS],
    "min_child_weight": [-0.1, *NOT_NUMBERS],
    "min_borrowers": [0, 1.5, "x", True, 10**9 + 1],
    "min_split_gain": [-1, *NOT_NUMBERS],
    "class_weight": ["half", None, 1],
    "early_stopping": [-1, 1001, 0.5, *NOT_NUMBERS],
    "column_sample": [-0.1, 1.01, *NOT_NUMBERS],
    "row_sample": [0, -0.5, 1.5, *NOT_NUMBERS],
    "seed": [-1, 2**32, 0.5, *NOT_NUMBERS],
    "disclosure": ["all", "", None, 3],
    "order_epsilon": [0, -1, 101, "x", True],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in OUT_OF_RANGE.items() for value in values],
)
def test_what_cannot_be_is_refused_by_its_name(name: str, value: Any) -> None:
    """One sentence: the field, what it is, what would be right."""
    with pytest.raises(InputError, match=rf"^model\.{name} is .* is right$"):
        BoostedSettings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("label_epsilon", value) for value in (0, -1, 101, "x", True, float("nan"))),
        *(("label_delta", value) for value in (0, -1, 0.1, "x", True)),
    ],
)
def test_privacy_settings_are_named_as_files_name_them(name: str, value: Any) -> None:
    """They stand under [privacy]."""
    in_files = {"label_epsilon": "epsilon", "label_delta": "delta"}
    with pytest.raises(InputError, match=rf"^privacy\.(label_)?{in_files[name]} is .* is right$"):
        BoostedSettings(**{"disclosure": "owner", name: value})


@pytest.mark.parametrize("name", ["../x", "", "a/b", "x" * 65, 5, None])
def test_a_name_must_do_for_a_file(name: Any) -> None:
    """Model parts are stored under it."""
    with pytest.raises(InputError, match=r"^model\.name is "):
        BoostedSettings(name=name)


def test_what_does_not_go_together_is_refused() -> None:
    """Each with what to do instead."""
    with pytest.raises(InputError, match="label_epsilon is 1 beside model.disclosure = 'bins'"):
        BoostedSettings(label_epsilon=1.0)
    with pytest.raises(InputError, match="class_weight is 'balanced' together with a label_eps"):
        BoostedSettings(disclosure=Disclosure.OWNER, label_epsilon=1.0, class_weight="balanced")
    with pytest.raises(InputError, match="order_epsilon is 2 beside model.disclosure = 'bins'"):
        BoostedSettings(order_epsilon=2.0)


SETTINGS = st.builds(
    BoostedSettings,
    trees=st.integers(1, 512),
    depth=st.integers(1, 8),
    bins=st.integers(2, 250),
    rate=st.floats(0.001, 1),
    min_borrowers=st.none() | st.integers(1, 10**6),
    class_weight=st.sampled_from(["none", "balanced"]),
    early_stopping=st.integers(0, 50),
    row_sample=st.floats(0.01, 1),
    seed=st.integers(0, 2**32 - 1),
)


@settings(deadline=None)
@given(SETTINGS)
def test_settings_survive_the_plan(chosen: BoostedSettings) -> None:
    """Through JSON, as they are sent."""
    assert BoostedSettings.from_json(json.loads(json.dumps(chosen.to_json()))) == chosen


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.sampled_from(sorted(BoostedSettings.known())), JSON)
def test_anything_in_any_field_is_taken_or_refused(name: str, value: Any) -> None:
    """Nothing but an InputError."""
    try:
        taken = BoostedSettings.from_json({name: value})
    except InputError:
        return
    assert json.loads(json.dumps(taken.to_json())) == taken.to_json()


def test_an_unknown_setting_is_refused_with_those_that_there_are() -> None:
    """By name."""
    with pytest.raises(InputError, match=r"^model\.leaves is not a setting .*: bins, class_weight"):
        BoostedSettings.from_json({"leaves": 3})


@settings(deadline=None)
@given(st.integers(1, 10**7))
def test_the_floor_of_a_node_is_bounded_on_both_sides(borrowers: int) -> None:
    """1,000 or 4 % of them, whichever is more, never over a tenth, never nothing."""
    floor = BoostedSettings().node_floor(borrowers)
    assert 1 <= floor <= max(1, borrowers // 10)
    if borrowers >= 10_000:
        assert floor >= 1000
        assert floor >= 0.04 * borrowers
    assert BoostedSettings(min_borrowers=7).node_floor(borrowers) == 7


LEVELS = list(Disclosure)


def asking(disclosure: Disclosure, **settings: Any) -> BoostedSettings:
    """A training of this kind; trees grown at their owners need label privacy."""
    epsilon = 4.0 if disclosure is Disclosure.OWNER else None
    return BoostedSettings(disclosure=disclosure, label_epsilon=epsilon, **settings)


@pytest.mark.parametrize("asked", LEVELS)
@pytest.mark.parametrize("accepted", LEVELS)
def test_a_partner_accepts_what_discloses_no_more(asked: Disclosure, accepted: Disclosure) -> None:
    """Owner, bins, order: from the least to the most."""
    settings, acceptance = asking(asked), Acceptance(accepted, bins=16)
    if LEVELS.index(asked) <= LEVELS.index(accepted):
        acceptance.check(settings, "platform")
        return
    sentence = rf"asks for disclosure = '{asked}' .* platform accepts '{accepted}'"
    with pytest.raises(ProtocolError, match=sentence):
        acceptance.check(settings, "platform")


def test_a_partner_accepts_so_many_bins_that_may_become_known() -> None:
    """Where sums go to the owner it does not matter."""
    acceptance = Acceptance(Disclosure.ORDER, bins=8)
    for disclosure in (Disclosure.BINS, Disclosure.ORDER):
        with pytest.raises(ProtocolError, match="for 9 bins a feature, and platform accepts 8"):
            acceptance.check(asking(disclosure, bins=9), "platform")
        acceptance.check(asking(disclosure, bins=8), "platform")
    acceptance.check(asking(Disclosure.OWNER, bins=9), "platform")
