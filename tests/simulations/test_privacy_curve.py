"""AUC against ε: measured with whatever trains, drawn with all that gives an ε its meaning."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from federation.errors import InputError
from federation.report.figures import ModelRole
from federation.report.privacy_plot import (
    PrivacyCurve,
    PrivacyPoint,
    PrivacyReference,
    privacy_image,
)
from simulations.privacy_curve import EPSILONS, curve_json, measure, write_picture

UNIT, HISTORY = "one borrower's record", "all rounds of one training"


def train(epsilon: float | None, seed: int) -> float:
    """An AUC that grows with ε and varies with the seed."""
    return 0.77 - (0 if epsilon is None else 0.02 / (1 + epsilon)) + 0.001 * seed


def curve(points: tuple[PrivacyPoint, ...] = ()) -> PrivacyCurve:
    """A curve with both references."""
    return PrivacyCurve(
        points or measure(train),
        1e-5,
        UNIT,
        HISTORY,
        (
            PrivacyReference("pooled MLP", ModelRole.POOLED, 0.7724),
            PrivacyReference("one bank alone", ModelRole.LABEL_PARTY_ALONE, 0.75),
        ),
        data="Four banks, IID.",
        title="Four banks",
    )


def test_every_epsilon_is_trained_with_every_seed() -> None:
    """Means and deviations over the seeds; each point is told when it is done."""
    asked: list[tuple[float | None, int]] = []
    told: list[PrivacyPoint] = []

    def noted(epsilon: float | None, seed: int) -> float:
        asked.append((epsilon, seed))
        return train(epsilon, seed)

    points = measure(noted, seeds=(0, 1, 2), on_point=told.append)
    assert asked == [(epsilon, seed) for epsilon in EPSILONS for seed in (0, 1, 2)]
    assert tuple(told) == points
    assert [point.epsilon for point in points] == list(EPSILONS)
    assert points[-1].mean == pytest.approx(0.771)
    assert points[-1].deviation == pytest.approx(0.001)
    assert measure(noted, epsilons=(1.0,), seeds=(4,))[0].deviation == 0


@pytest.mark.parametrize("auc", [math.nan, -0.1, 1.5])
def test_an_auc_that_is_none_is_refused(auc: float) -> None:
    """The sentence says which training gave it."""
    with pytest.raises(InputError, match=r"training with ε = 0\.5 and seed 0 gave an AUC of"):
        measure(lambda epsilon, seed: auc)


def test_the_caption_says_whose_privacy_it_is() -> None:
    """Unit, δ, history, and what bars are; an ε without them can not be drawn."""
    caption = curve().caption
    for part in (UNIT, "δ = 1e-5", HISTORY, "mean of 3 seeds", "± one standard deviation"):
        assert part in caption
    assert "One training a point." in curve(measure(train, seeds=(1,))).caption
    for unit, history, delta in (("", HISTORY, 1e-5), (UNIT, " ", 1e-5), (UNIT, HISTORY, 1.0)):
        with pytest.raises(InputError, match="report: ε = 0.5"):
            PrivacyCurve(measure(train), delta, unit, history)


@pytest.mark.parametrize("epsilons", [(2.0, 1.0), (None, 1.0), (1.0, 1.0), (0.0, 1.0), ()])
def test_points_come_in_order(epsilons: tuple[float | None, ...]) -> None:
    """A line through them would otherwise go back and forth."""
    points = tuple(PrivacyPoint(epsilon, (0.7,)) for epsilon in epsilons)
    with pytest.raises(ValueError, match="point"):
        PrivacyCurve(points, 1e-5, UNIT, HISTORY)


def test_the_picture_is_a_png_or_svg_file(tmp_path: Path) -> None:
    """Same figures, same file; another ending is refused and nothing is left."""
    png = write_picture(curve(), tmp_path / "new" / "curve.png")
    assert png.read_bytes().startswith(b"\x89PNG")
    svg = write_picture(curve(), tmp_path / "curve.svg").read_bytes()
    assert svg == privacy_image(curve(), "svg")
    assert b"<svg" in svg
    with pytest.raises(InputError, match=r"curve.jpg: a picture is written as .png or .svg"):
        write_picture(curve(), tmp_path / "curve.jpg")
    with pytest.raises(InputError, match="cannot be written"):
        write_picture(curve(), png / "below.png")
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["curve.png", "curve.svg"]


@pytest.mark.parametrize("epsilons", [(None,), (1.0,), (1.0, None)])
def test_few_points_are_drawn_too(epsilons: tuple[float | None, ...]) -> None:
    """A short measurement makes a picture as well."""
    assert privacy_image(curve(measure(train, epsilons=epsilons))).startswith(b"\x89PNG")


def test_the_figures_are_kept_as_json() -> None:
    """With every AUC that was measured, the unit of privacy and δ."""
    values = json.loads(curve_json(curve()))
    assert (values["unit"], values["delta"], values["history"]) == (UNIT, 1e-5, HISTORY)
    assert values["points"][-1]["epsilon"] is None
    assert len(values["points"][0]["aucs"]) == 3
    assert values["references"] == {"pooled MLP": 0.7724, "one bank alone": 0.75}
