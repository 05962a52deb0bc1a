"""`veilscore train --model boosted`: what is asked for, and what is refused before it starts."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

import veilscore
from clients.example import write_example
from clients.federation_file import read_federation
from clients.manifest import read_manifest
from clients.plan import session_plan
from clients.vault import save_part
from federation.binning import Binning
from federation.boosting.acceptance import Acceptance
from federation.boosting.model_part import BoostedPart, Split
from federation.boosting.settings import BoostedSettings, Disclosure
from federation.boosting.trees import Node, Tree
from federation.errors import InputError
from federation.schema import FeatureKind
from simulations.training_choice import Asked, vertical_overrides
from simulations.uci import write_parties
from tests.clients.example_runs import files_below
from tests.simulations.test_bad_input import refused


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The example's federation file."""
    return write_example(tmp_path / "example")


def declaring(file: Path, settings: str) -> Path:
    """The file with these lines as its [model]."""
    text = file.read_text()
    assert "bins = 32\n" in text
    file.write_text(text.replace("bins = 32\n", settings + "\n"))
    return file


@pytest.mark.parametrize("disclosure", ["bins", "order"])
def test_the_command_line_chooses_what_is_disclosed(file: Path, disclosure: str) -> None:
    """Over the file, whose additive bins stay the additive model's."""
    config = read_federation(file)
    overrides = vertical_overrides(config, Asked(model="boosted", disclosure=disclosure))
    assert overrides == {"kind": "boosted", "disclosure": disclosure}
    (training,) = session_plan(config, "s", [overrides]).trainings
    assert training == BoostedSettings(disclosure=Disclosure(disclosure))


def test_trees_at_their_owners_need_an_epsilon(file: Path) -> None:
    """From exact sums over nodes labels could be solved for."""
    config = read_federation(file)
    asked = Asked(model="boosted", disclosure="owner", label_epsilon=4.0)
    (training,) = session_plan(config, "s", [vertical_overrides(config, asked)]).trainings
    assert training == BoostedSettings(disclosure=Disclosure.OWNER, label_epsilon=4.0)
    with pytest.raises(InputError, match="model.disclosure is 'owner' without a privacy.label_ep"):
        session_plan(config, "s", [{"kind": "boosted", "disclosure": "owner"}])


def test_a_file_that_declares_trees_needs_no_option(file: Path) -> None:
    """And may be asked for another disclosure."""
    config = read_federation(declaring(file, 'kind = "boosted"\ntrees = 9\ndisclosure = "bins"'))
    assert vertical_overrides(config, Asked()) == {}
    overrides = vertical_overrides(config, Asked(disclosure="order"))
    (training,) = session_plan(config, "s", [overrides]).trainings
    assert training == BoostedSettings(trees=9, disclosure=Disclosure.ORDER)


def test_disclosure_is_for_trees_between_a_bank_and_partners(file: Path) -> None:
    """Elsewhere nothing would come of it."""
    config = read_federation(file)
    for asked in (Asked(disclosure="bins"), Asked(model="blind", disclosure="bins")):
        with pytest.raises(InputError, match="--disclosure bins: .* add --model boosted, or set"):
            vertical_overrides(config, asked)
    with pytest.raises(InputError, match="--disclosure bins: is for boosted trees between a bank"):
        Asked(disclosure="bins").horizontal_overrides()
    with pytest.raises(InputError, match="--model boosted: several banks train a neural model"):
        Asked(model="boosted").horizontal_overrides()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ('kind = "boosted"\ndepth = 9', "model.depth is 9; a whole number from 1 to 8 is right"),
        ('kind = "boosted"\ntrees = 0', "model.trees is 0; a whole number from 1 to 1000 is"),
        ('kind = "boosted"\nbins = 300', "model.bins is 300; a whole number from 2 to 250 is"),
        ('kind = "boosted"\ndisclosure = "none"', "model.disclosure is 'none'; one of owner"),
        ('kind = "boosted"\nridge = 3', "model.ridge is not a setting of a boosted model"),
        ('kind = "boost"', "model.kind is 'boost'; additive or split or blind or boosted is right"),
        ('disclosure = "bins"', "model.disclosure is not a setting of the additive model"),
    ],
)
def test_wrong_settings_are_refused_before_anything_starts(
    file: Path, capsys: pytest.CaptureFixture[str], settings: str, sentence: str
) -> None:
    """One line with file and field, status 2, no Ray, nothing written."""
    declaring(file, settings)
    before, modules = files_below(file.parent), set(sys.modules)
    said = refused(capsys, "train", "--config", str(file))
    assert said.startswith(f"{file}: {sentence}")
    started = {name.partition(".")[0] for name in set(sys.modules) - modules}
    assert not started & {"ray", "flwr"}
    assert files_below(file.parent) == before


def test_options_that_do_not_fit_are_refused_by_the_command(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, status 2."""
    said = refused(capsys, "train", "--config", str(file), "--disclosure", "bins")
    assert said.startswith("--disclosure bins: says what boosted trees disclose")


def test_the_demos_platform_accepts_bins(tmp_path: Path) -> None:
    """Up to as many as benchmarks use."""
    folder = write_parties(tmp_path / "uci").parent
    accepted = read_manifest(folder / "platform" / "manifest.toml").boosting
    assert accepted == Acceptance(Disclosure.BINS, 32)


def part() -> BoostedPart:
    """A part with one tree of one split."""
    binning = Binning("age", FeatureKind.NUMERIC, (30.0, 50.0), (), 0, 0, 0, 3)
    tree = Tree((Node(0.0, 10.0, "bank", 0, 1, 2), Node(-1.0, 4.0), Node(1.0, 6.0)))
    return BoostedPart(
        "bank", "s1", "boosted", (binning,), ("age of the firm",), (Split(0, (0,)),), 0.0, (tree,)
    )


def test_shapes_of_trees_are_their_importance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the label party; a partner's part has no trees to tell it from."""
    path, page = tmp_path / "model-boosted.json", tmp_path / "shapes.html"
    save_part(path, part())
    monkeypatch.setattr(sys, "argv", ["veilscore", "shapes", str(path), "--output", str(page)])
    with pytest.raises(SystemExit) as ended:
        veilscore.main()
    assert not ended.value.code
    capsys.readouterr()
    assert "age of the firm" in page.read_text()
    save_part(path, replace(part(), trees=(), party="platform"))
    said = refused(capsys, "shapes", str(path), "--output", str(tmp_path / "none.html"))
    assert "holds its splits and no trees" in said
    assert not (tmp_path / "none.html").exists()
