"""Bins: none below the floor, ties together, and a place for everything a column can hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.binning import MOST_COMPARED, Binning, fit_binning, ordered_codes
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec


def column(
    values: npt.NDArray[Any],
    present: npt.NDArray[np.bool_] | None = None,
    kind: FeatureKind = FeatureKind.NUMERIC,
) -> FeatureColumn:
    """A column named x."""
    present = np.ones(len(values), np.bool_) if present is None else present
    return FeatureColumn(FeatureSpec("x", kind), values, present)


def words(*values: str | None) -> npt.NDArray[np.object_]:
    """A categorical column's values."""
    return np.array(values, dtype=object)


def everybody(count: int) -> npt.NDArray[np.bool_]:
    """All of them train."""
    return np.ones(count, np.bool_)


def sizes(
    binning: Binning, of: FeatureColumn, training: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Training borrowers in each bin."""
    return np.bincount(binning.assign(of)[training], minlength=binning.bins)


@st.composite
def columns(draw: st.DrawFn) -> tuple[FeatureColumn, npt.NDArray[np.bool_]]:
    """A column of either kind, with ties, missing values and absent borrowers, and who trains."""
    count = draw(st.integers(1, 400))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    missing = generator.random(count) < draw(st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0]))
    present = generator.random(count) >= draw(st.sampled_from([0.0, 0.05, 0.5]))
    training = generator.random(count) < draw(st.sampled_from([0.3, 0.8, 1.0]))
    distinct = draw(st.sampled_from([1, 2, 5, 40, 100_000]))
    # squared: a few values hold most borrowers
    drawn = np.floor(generator.random(count) ** 2 * distinct)
    if draw(st.booleans()):
        return column(np.where(missing, np.nan, drawn - 3.5), present), training
    texts = np.array([f"c{int(value)}" for value in drawn], dtype=object)
    texts[missing] = None
    return column(texts, present, FeatureKind.CATEGORICAL), training


@settings(max_examples=300, deadline=None)
@given(columns(), st.sampled_from([2, 3, 8, 32, 1000]), st.integers(1, 60))
def test_every_bin_holds_the_floor_and_has_a_label(
    drawn: tuple[FeatureColumn, npt.NDArray[np.bool_]], max_bins: int, floor: int
) -> None:
    """With two bins or more none is below the floor; codes and labels fit the number of bins."""
    of, training = drawn
    binning = fit_binning(of, training, max_bins, floor)
    counts = sizes(binning, of, training)
    assert counts.size == binning.bins <= max_bins + 3
    if binning.bins > 1:
        assert counts.min() >= floor
    labels = binning.bin_labels()
    assert len(labels) == binning.bins
    assert all(labels)
    assert int(binning.assign(of).max()) < binning.bins
    assert binning.ordered_bins <= binning.bins
    assert all(0 <= place < binning.bins for place in (binning.other, binning.missing))
    assert 0 <= binning.absent < binning.bins


@settings(max_examples=100, deadline=None)
@given(columns(), st.integers(1, 40))
def test_equal_values_share_a_bin_and_order_is_kept(
    drawn: tuple[FeatureColumn, npt.NDArray[np.bool_]], floor: int
) -> None:
    """Ties stay together; a larger number never falls in an earlier bin."""
    of, training = drawn
    binning = fit_binning(of, training, 16, floor)
    codes = binning.assign(of)
    known = np.flatnonzero(
        of.present & np.array([v is not None and v == v for v in of.values], np.bool_)
    )
    by_value: dict[object, int] = {}
    for row in known:
        assert by_value.setdefault(of.values[row], int(codes[row])) == codes[row]
    if of.spec.kind is FeatureKind.NUMERIC:
        ordered = [by_value[value] for value in sorted(by_value)]  # type: ignore[type-var]
        assert ordered == sorted(ordered)


def test_quantile_bins_are_about_equal() -> None:
    """Without ties, ten bins of a tenth each, and edges that hold their upper end."""
    values = np.random.default_rng(3).normal(size=5000)
    of = column(values)
    binning = fit_binning(of, everybody(5000), 10, 64)
    counts = sizes(binning, of, everybody(5000))
    assert binning.bins == 10
    assert counts.min() >= 498
    assert counts.max() <= 502
    at_edge = column(np.array(binning.edges))
    np.testing.assert_array_equal(binning.assign(at_edge), np.arange(9))


def test_only_training_borrowers_shape_the_bins() -> None:
    """Other borrowers' values move no edge, not even outliers."""
    values = np.concatenate([np.arange(1000.0), np.full(500, 1e9)])
    training = np.arange(1500) < 1000
    binning = fit_binning(column(values), training, 8, 20)
    assert binning == fit_binning(column(values[:1000]), everybody(1000), 8, 20)
    assert set(binning.assign(column(values))[1000:]) == {binning.ordered_bins - 1}


@pytest.mark.parametrize("kind", list(FeatureKind))
def test_a_constant_column_is_one_bin(kind: FeatureKind) -> None:
    """Nothing to learn from it; unseen values are no error."""
    numeric = kind is FeatureKind.NUMERIC
    of = column(np.full(300, 7.0) if numeric else words(*["a"] * 300), None, kind)
    binning = fit_binning(of, everybody(300), 32, 30)
    assert binning.bins == 1
    unseen = column(
        np.array([-1.0, np.nan, np.inf]) if numeric else words("b", None, ""), None, kind
    )
    assert binning.assign(unseen).tolist() == [0, 0, 0]
    assert len(binning.bin_labels()) == 1


def test_a_mostly_missing_column_keeps_a_missing_bin() -> None:
    """The missing bin is its own, named so, and the fullest."""
    values = np.full(1000, np.nan)
    values[:200] = np.arange(200)
    of = column(values)
    binning = fit_binning(of, everybody(1000), 4, 40)
    assert binning.bins == 5
    assert binning.missing == 4
    assert binning.bin_labels()[4] == "missing or absent"  # absent borrowers would join them
    assert sizes(binning, of, everybody(1000))[4] == 800


def test_values_below_the_floor_next_to_a_missing_bin_make_one_bin() -> None:
    """Few known values can't have a bin, and one bin is no feature."""
    values = np.full(1000, np.nan)
    values[:20] = np.arange(20)
    assert fit_binning(column(values), everybody(1000), 4, 50).bins == 1


def test_absent_borrowers_have_a_bin_and_their_value_is_ignored() -> None:
    """'label-left': whom the owner does not know falls in 'absent', whatever the value says."""
    values = np.arange(1000.0)
    present = np.arange(1000) % 8 != 0
    of = column(values, present)
    binning = fit_binning(of, everybody(1000), 4, 50)
    assert binning.bins == 5
    assert binning.bin_labels()[-1] == "absent"
    assert set(binning.assign(of)[~present]) == {binning.absent}
    scrambled = column(np.where(present, values, np.nan), present)
    np.testing.assert_array_equal(binning.assign(scrambled), binning.assign(of))


def test_too_few_absent_borrowers_join_the_fullest_bin() -> None:
    """A bin of five absent borrowers would tell nearly each one's label."""
    values = np.concatenate([np.zeros(500), np.arange(1.0, 501.0)])
    present = np.arange(1000) >= 5
    binning = fit_binning(column(values, present), everybody(1000), 4, 50)
    assert binning.absent == 0
    assert "absent" not in " ".join(binning.bin_labels())


def test_rare_categories_go_together_and_unseen_ones_join_them() -> None:
    """Frequent categories have bins, the rest is 'other', and so is what training never saw."""
    rare = [f"rare {number}" for number in range(100)]
    of = column(words(*["a"] * 500, *["b"] * 300, *rare), None, FeatureKind.CATEGORICAL)
    binning = fit_binning(of, everybody(900), 32, 50)
    assert binning.categories == ("a", "b")
    assert binning.bin_labels() == ["a", "b", "other"]
    unseen = column(words("zebra", "rare 5", "a", None), None, FeatureKind.CATEGORICAL)
    # no borrower had a missing category, so a missing one joins the fullest bin
    assert binning.assign(unseen).tolist() == [2, 2, 0, 0]


def test_high_cardinality_is_cut_to_the_most_frequent() -> None:
    """At most max_bins categories of their own, the largest ones."""
    generator = np.random.default_rng(4)
    texts = words(*[f"c{int(v)}" for v in generator.geometric(0.05, 20_000)])
    frequent = sorted(set(texts), key=lambda text: (-int((texts == text).sum()), text))
    of = column(texts, None, FeatureKind.CATEGORICAL)
    binning = fit_binning(of, everybody(20_000), 12, 64)
    assert binning.categories == tuple(frequent[:12])
    assert binning.bins == 13


def test_rare_categories_that_do_not_fill_a_bin_take_the_rarest_kept_one_along() -> None:
    """Otherwise unseen categories would be scored as the most frequent one."""
    of = column(
        words(*["a"] * 500, *["b"] * 300, *["c"] * 60, *["d"] * 10), None, FeatureKind.CATEGORICAL
    )
    binning = fit_binning(of, everybody(870), 32, 50)
    assert binning.categories == ("a", "b")
    assert sizes(binning, of, everybody(870)).tolist() == [500, 300, 70]


def test_a_missing_bin_that_others_join_says_so() -> None:
    """A label names everything that falls into its bin beside the ordered ones."""
    of = column(words(*["a"] * 100, *[None] * 400, *["b"] * 90), None, FeatureKind.CATEGORICAL)
    binning = fit_binning(of, everybody(590), 32, 50)
    assert binning.bin_labels() == ["a", "b", "other or missing or absent"]


@pytest.mark.parametrize("count", [0, 1, 31, MOST_COMPARED, MOST_COMPARED + 1, 999])
def test_codes_count_the_edges_below_a_value(count: int) -> None:
    """As numpy's search does, on edges and beside them, infinities too; 0 for NaN."""
    generator = np.random.default_rng(count)
    edges = np.unique(np.round(generator.normal(size=count), 3))
    values = np.concatenate(
        [generator.normal(size=20_000), edges, np.nextafter(edges, 9), [-np.inf, np.inf, 0.0, -0.0]]
    )
    codes = ordered_codes(values, edges.tolist())
    assert codes.dtype == np.uint16
    assert np.array_equal(codes, np.searchsorted(edges, values, side="left"))
    assert ordered_codes(np.array([np.nan]), edges.tolist()).tolist() == [0]
