"""Settings of the vertical neural trainings, as files and other parties write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.federation_file import read_federation
from clients.plan import NOISY_RIDGE, training_settings
from federation.additive.settings import AdditiveSettings
from federation.errors import InputError, ProtocolError
from federation.privacy.events import Exact, GaussianRelease, RandomisedResponse
from federation.split.schedule import Exchange, SplitSchedule
from federation.split.settings import BlindSettings, SplitSettings
from federation.vertical import SessionPlan
from federation.vertical.plain_words import (
    TrainingWords,
    direction,
    feature_party_words,
    label_party_words,
)
from federation.vertical.trainings import planned_event, training_from_json


@pytest.mark.parametrize(
    "settings",
    [
        AdditiveSettings(),
        SplitSettings(label_epsilon=2.0, recurrent="lstm"),
        BlindSettings.from_json({"embedding": 4, "bins": 16, "label_epsilon": 1.0}),
    ],
)
def test_a_plan_carries_settings_of_every_kind(settings: Any) -> None:
    """What the label party proposes is what a partner reads."""
    plan = SessionPlan("s", "bank", ("platform",), trainings=(settings,))
    again, _ = SessionPlan.from_json(plan.to_json(0), "s", "platform")
    assert again.trainings == (settings,)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"kind": "forest"}, "model.kind is 'forest'; additive or split or blind or boosted is"),
        ({"kind": "split", "bins": 32}, "model.bins is not a setting of the split model"),
        ({"kind": "blind", "reach": 1.0}, "model.reach is not a setting of the blind model"),
        ({"kind": "split", "exchanges": 1}, "model.exchanges is 1"),
        ({"kind": "split", "embedding": 0}, "model.embedding is 0"),
        ({"kind": "split", "recurrent": "rnn"}, "model.recurrent is 'rnn'"),
        ({"kind": "split", "learning_rate": float("nan")}, "model.learning_rate is nan"),
        ({"kind": "split", "label_epsilon": 0}, "privacy.label_epsilon is 0"),
        ({"kind": "split", "label_epsilon": -1.0}, "privacy.label_epsilon is -1.0"),
        ({"kind": "split", "label_delta": 0.5}, "privacy.delta is 0.5"),
        ({"kind": "split", "name": "row"}, "model.name is 'row'"),
        ({"kind": "split", "name": "../x"}, "model.name is '../x'"),
        ({"kind": "split", "joint_exchanges": 8}, "fewer than model.exchanges are right"),
        ({"kind": "split", "batch_size": True}, "model.batch_size is True"),
        ({"kind": "blind", "embedding": 1000}, "model.embedding is 1000"),
        ({"kind": "blind", "masked_share": 1.0}, "model.masked_share is 1.0"),
        ({"kind": "blind", "declared_features": "yes"}, "model.declared_features is 'yes'"),
        ({"kind": "blind", "bins": 1}, "model.bins is 1"),
    ],
)
def test_wrong_settings_are_refused_by_name(values: dict[str, Any], sentence: str) -> None:
    """In one sentence: which, what is there, what would be right."""
    with pytest.raises(InputError) as refused:
        training_from_json(values)
    assert sentence in str(refused.value)


def test_a_partner_refuses_a_plan_with_wrong_settings() -> None:
    """Whoever proposed them."""
    plan = SessionPlan("s", "bank", ("platform",), trainings=(SplitSettings(),))
    content = json.loads(plan.to_json(0))
    content["trainings"][0]["reach"] = -1
    with pytest.raises(ProtocolError, match="model.reach is -1"):
        SessionPlan.from_json(json.dumps(content), "s", "platform")


def federation(folder: Path, model: str, privacy: str = "") -> Any:
    """A federation file with this [model]."""
    path = folder / "federation.toml"
    path.write_text(
        '[parties.bank]\nrole = "label"\nmanifest = "b.toml"\n[parties.platform]\n'
        f'role = "feature"\nmanifest = "p.toml"\n[model]\n{model}\n[privacy]\n{privacy}\n'
    )
    return read_federation(path)


def test_a_federation_file_names_the_kind(tmp_path: Path) -> None:
    """[model] kind and its own settings; a label_epsilon of [privacy] holds for every kind."""
    made = training_settings(
        federation(tmp_path, 'kind = "split"\nembedding = 4', "label_epsilon = 2.0")
    )
    assert made == SplitSettings(name="split-label-noise", embedding=4, label_epsilon=2.0)


def test_a_run_may_ask_for_another_kind_than_the_file(tmp_path: Path) -> None:
    """The file's settings that the asked kind has too stay, the others don't."""
    config = federation(tmp_path, 'name = "own"\nbins = 16\nridge = 3.0')
    assert training_settings(config, {"kind": "split"}) == SplitSettings()
    blind = training_settings(config, {"kind": "blind"})
    assert isinstance(blind, BlindSettings)
    assert (blind.name, blind.additive.bins, blind.additive.ridge) == ("blind", 16, 3.0)


def test_a_blind_training_under_label_noise_has_its_ridge(tmp_path: Path) -> None:
    """The same stronger ridge as the additive model's."""
    blind = training_settings(federation(tmp_path, 'kind = "blind"', "label_epsilon = 2.0"))
    assert isinstance(blind, BlindSettings)
    assert blind.additive.ridge == NOISY_RIDGE
    assert blind.name == "blind-label-noise"


def test_no_run_talks_a_label_party_out_of_its_epsilon(tmp_path: Path) -> None:
    """Whatever kind of model it asks for."""
    config = federation(tmp_path, "bins = 16", "label_epsilon = 2.0")
    for epsilon in (None, 3.0):
        with pytest.raises(InputError, match="label_epsilon is 2.0"):
            training_settings(config, {"kind": "split", "label_epsilon": epsilon})


def test_what_a_training_will_cost_is_known_beforehand() -> None:
    """The event that the budget is asked about is the one that the training enters."""
    assert planned_event(SplitSettings(label_epsilon=2.0)) == RandomisedResponse(2.0)
    assert planned_event(SplitSettings()) == Exact()
    assert planned_event(BlindSettings()) == Exact()
    noisy = BlindSettings.from_json({"label_epsilon": 2.0})
    assert isinstance(planned_event(noisy), GaussianRelease)


def schedule(losses: list[float], **settings: Any) -> tuple[list[int], list[str]]:
    """Where each exchange of a training with these validation losses goes on from."""
    made = SplitSchedule(SplitSettings(**settings), np.array([True, False, False]))
    sources = []
    for number, loss in enumerate(losses, start=1):
        decision = made.judge(Exchange(number, "", 0.5, 0.7, loss))
        sources.append(decision.from_exchange)
        if decision.stop:
            break
    return sources, [one.phase for one in made.exchanges]


def test_a_training_goes_on_from_its_best_exchange_once_the_loss_rises() -> None:
    """Two exchanges without a better one end the search; then the validation rows join."""
    sources, phases = schedule([0.5, 0.4, 0.45, 0.46, 0.1, 0.1, 0.1], patience=2, joint_exchanges=2)
    assert sources == [1, 2, 3, 2, 5, 6]
    assert phases == ["search"] * 4 + ["joint"] * 2


def test_a_training_without_joint_exchanges_ends_at_its_best() -> None:
    """The model is that of the lowest validation loss."""
    sources, _ = schedule([0.5, 0.4, 0.45, 0.46], patience=2, joint_exchanges=0)
    assert sources == [1, 2, 3, 2]


def test_a_training_stays_within_its_exchanges() -> None:
    """A loss that always falls leaves room for the joint ones."""
    sources, phases = schedule([1 / n for n in range(1, 9)], exchanges=6, joint_exchanges=2)
    assert len(sources) == 6
    assert phases == ["search"] * 4 + ["joint"] * 2


def test_plain_words_say_what_gradients_give_away() -> None:
    """Without ε: the labels; with ε: the flipped ones, and the sentence with the ε."""
    exact = TrainingWords("split", 8, None, "split", 8)
    noisy = TrainingWords("quiet", 8, "ε = 4 at δ = 0 per one borrower's label", "split", 8)
    words = feature_party_words("platform", "bank", [], 100, 10, [exact])
    assert any("label of nearly every borrower" in one for one in words.could_reconstruct)
    assert not any("label" in one for one in words.never_saw)
    words = feature_party_words("platform", "bank", [], 100, 10, [noisy])
    assert any("ε = 4" in one for one in words.learned)
    assert any("no more of the true one than ε allows" in one for one in words.could_reconstruct)
    bank = label_party_words(["a", "b"], [90, 80], 100, [exact])
    assert any("the sum of the embeddings of a, b" in one for one in bank.learned)
    assert "no private linear map" in direction({"split"})
    assert direction({"additive"}) == direction({"blind"})
