"""From a federation file to a session's plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clients.federation_file import FederationConfig, read_federation
from clients.plan import NOISY_RIDGE, epsilon_budget, session_plan, training_settings
from federation.additive.settings import AdditiveSettings
from federation.boosting.settings import BoostedSettings, Disclosure
from federation.errors import InputError

PARTIES = """
[parties.shop]
role = "feature"
manifest = "shop/manifest.toml"

[parties.bank]
role = "label"
manifest = "bank/manifest.toml"

[parties.telecom]
role = "feature"
manifest = "telecom/manifest.toml"
"""


def federation(folder: Path, text: str = "") -> FederationConfig:
    """A federation of three with these settings."""
    path = folder / "federation.toml"
    path.write_text(PARTIES + text)
    return read_federation(path)


def test_a_bare_file_gives_the_defaults(tmp_path: Path) -> None:
    """One exact training, inner alignment, the file's own split."""
    plan = session_plan(federation(tmp_path), "session-1")
    assert plan.session == "session-1"
    assert (plan.label_party, plan.feature_parties) == ("bank", ("shop", "telecom"))
    assert plan.alignment == "inner"
    assert plan.trainings == (AdditiveSettings(),)
    assert (plan.split.test_share, plan.split.validation_share, plan.split.seed) == (0.2, 0.2, 42)


def test_the_file_and_then_the_caller_decide(tmp_path: Path) -> None:
    """[model], [privacy], [split] and [federation] arrive; overrides come last."""
    config = federation(
        tmp_path,
        """
        [federation]
        alignment = "label-left"
        [split]
        test_share = 0.3
        validation_share = 0.1
        seed = 7
        [model]
        bins = 16
        penalty_path = [8, 2]
        [privacy]
        label_epsilon = 3
        delta = 1e-6
        epsilon_budget = 5
        """,
    )
    plan = session_plan(
        config, "s", [{"name": "a", "label_epsilon": 1.5}, {"name": "b", "bins": 8}]
    )
    assert plan.alignment == "label-left"
    assert (plan.split.test_share, plan.split.validation_share, plan.split.seed) == (0.3, 0.1, 7)
    first, second = plan.trainings
    assert (first.name, first.bins, first.label_epsilon) == ("a", 16, 1.5)
    assert (second.name, second.bins, second.label_epsilon) == ("b", 8, 3)
    assert first.label_delta == second.label_delta == 1e-6
    assert first.penalty_path == (8, 2)
    assert epsilon_budget(config) == 5.0


def test_label_noise_brings_its_own_name_and_ridge(tmp_path: Path) -> None:
    """Unless the file or the caller says otherwise."""
    noisy = training_settings(federation(tmp_path), {"label_epsilon": 2.0})
    assert (noisy.name, noisy.ridge) == ("label-noise", NOISY_RIDGE)
    config = federation(tmp_path, "[model]\nridge = 12.5\n[privacy]\nlabel_epsilon = 2.0")
    own = training_settings(config)
    assert (own.name, own.ridge) == ("label-noise", 12.5)


@pytest.mark.parametrize("asked", [None, 2.5, 100.0])
def test_whoever_starts_a_run_can_ask_for_more_noise_only(
    tmp_path: Path, asked: float | None
) -> None:
    """A label_epsilon that stands in the file is an upper limit."""
    config = federation(tmp_path, "[privacy]\nlabel_epsilon = 2.0")
    with pytest.raises(InputError, match=r"label_epsilon is 2\.0, and this run asks for"):
        training_settings(config, {"label_epsilon": asked})
    assert training_settings(config, {"label_epsilon": 1.0}).label_epsilon == 1.0


@pytest.mark.parametrize(
    ("table", "setting", "sentence"),
    [
        ("model", "trees = 100", "model.trees is not a setting of the additive model; these are"),
        ("model", "bins = 1", "model.bins is 1; a whole number from 2 to 1000 is right"),
        ("model", "bins = 32.5", "model.bins is 32.5; a whole number from 2 to 1000 is right"),
        ("model", "bins = true", "model.bins is True; a whole number"),
        ("model", 'bins = "many"', "model.bins is 'many'; a whole number"),
        ("model", "smoothness = -1", "model.smoothness is -1; a number from 0 up is right"),
        ("model", "ridge = 0", "model.ridge is 0; a positive number is right"),
        ("model", "ridge = inf", "model.ridge is inf; a positive number is right"),
        ("model", "ridge = nan", "model.ridge is nan; a positive number is right"),
        ("model", "penalty_path = 4", "model.penalty_path is 4; a list of positive factors"),
        ("model", "penalty_path = [1, -2]", "model.penalty_path is (1.0, -2.0); a list of"),
        ("model", "max_rounds = 0", "model.max_rounds is 0; a whole number from 1 to 100"),
        ("model", "max_rounds = 2.5", "model.max_rounds is 2.5; a whole number from 1 to 100"),
        ("model", "tolerance = 0.0", "model.tolerance is 0.0; a positive number is right"),
        ("model", 'class_weight = "half"', "model.class_weight is 'half'; \"none\" or"),
        ("model", 'name = "../../exact"', "model.name is '../../exact'; up to 64 letters"),
        ("privacy", "label_epsilon = 0", "privacy.label_epsilon is 0; a number above 0, at most"),
        ("privacy", 'label_epsilon = "2"', "privacy.label_epsilon is '2'; a number above 0"),
        ("privacy", "delta = 1", "privacy.delta is 1; a number above 0 and below 0.1"),
        ("privacy", "epsilon = 2", "[privacy] has the key 'epsilon'; these are known: label_"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(
    tmp_path: Path, table: str, setting: str, sentence: str
) -> None:
    """One sentence that names the file, the setting, its value and what would be right."""
    config = federation(tmp_path, f"[{table}]\n{setting}\n")
    with pytest.raises(InputError) as raised:
        session_plan(config, "s")
    assert str(raised.value).startswith(f"{config.path}: {sentence}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("trees = 0", "model.trees is 0; a whole number from 1 to 1000 is right"),
        ("trees = 1001", "model.trees is 1001; a whole number from 1 to 1000 is right"),
        ("depth = 9", "model.depth is 9; a whole number from 1 to 8 is right"),
        ("depth = 2.5", "model.depth is 2.5; a whole number from 1 to 8 is right"),
        ("bins = 1", "model.bins is 1; a whole number from 2 to 250 is right"),
        ("bins = 251", "model.bins is 251; a whole number from 2 to 250 is right"),
        ("rate = 0", "model.rate is 0; a number above 0, at most 1 is right"),
        ("l2 = -1", "model.l2 is -1; a positive number is right"),
        ('disclosure = "all"', "model.disclosure is 'all'; one of owner, bins, order is right"),
        ("disclosure = [1, 2]", "model.disclosure is (1.0, 2.0); one of owner, bins, order"),
        ("min_borrowers = 0", "model.min_borrowers is 0; a whole number from 1 up is right"),
        ("column_sample = 1.5", "model.column_sample is 1.5; a number above 0, at most 1 is"),
        ("order_epsilon = 1", "model.order_epsilon is 1 beside model.disclosure = 'bins'"),
        ("smoothness = 1", "model.smoothness is not a setting of a boosted model; these are"),
    ],
)
def test_settings_of_a_boosted_model_are_refused_by_name(
    tmp_path: Path, setting: str, sentence: str
) -> None:
    """As those of the additive one."""
    config = federation(tmp_path, f'[model]\nkind = "boosted"\n{setting}\n')
    with pytest.raises(InputError) as raised:
        session_plan(config, "s")
    assert str(raised.value).startswith(f"{config.path}: {sentence}")
    assert "\n" not in str(raised.value)


def test_a_boosted_model_is_declared_or_asked_for(tmp_path: Path) -> None:
    """All of its settings stand in the file; the additive model's bins do not become its own."""
    declared = federation(
        tmp_path, '[model]\nkind = "boosted"\ntrees = 7\ndepth = 3\nbins = 12\nrate = 0.5\n'
    )
    settings = training_settings(declared)
    assert isinstance(settings, BoostedSettings)
    assert (settings.trees, settings.depth, settings.bins, settings.rate) == (7, 3, 12, 0.5)
    asked = training_settings(declared, {"disclosure": "order", "order_epsilon": 2.0})
    assert asked == BoostedSettings(
        disclosure=Disclosure.ORDER, trees=7, depth=3, bins=12, rate=0.5, order_epsilon=2.0
    )
    additive = federation(tmp_path, "[model]\nbins = 40\n")
    assert training_settings(additive, {"kind": "boosted"}) == BoostedSettings()


@pytest.mark.parametrize("budget", ["0", "-1", "true", '"2"', "nan"])
def test_a_budget_is_a_positive_number(tmp_path: Path, budget: str) -> None:
    """Anything else would be no hard stop."""
    config = federation(tmp_path, f"[privacy]\nepsilon_budget = {budget}\n")
    with pytest.raises(
        InputError, match=r"privacy.epsilon_budget is .*; a positive number is right"
    ):
        epsilon_budget(config)


@pytest.mark.parametrize(
    "overrides", [{"penalty_path": {"x": 1}}, {"bins": None}, {"name": 7}, {"ridge": [1]}]
)
def test_overrides_are_checked_as_the_file_is(tmp_path: Path, overrides: dict[str, Any]) -> None:
    """They come from a coordinator, so nothing is taken for granted."""
    with pytest.raises(InputError, match=r"federation.toml: model\."):
        training_settings(federation(tmp_path), overrides)
    assert epsilon_budget(federation(tmp_path)) is None


def test_two_trainings_need_two_names(tmp_path: Path) -> None:
    """Their model parts would overwrite each other."""
    with pytest.raises(InputError, match="each with a name of its own"):
        session_plan(federation(tmp_path), "s", [{}, {"bins": 8}])
