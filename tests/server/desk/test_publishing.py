"""Putting a run's model up: a new desk's folder, and models for encrypted scoring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import veilscore
from federation.encrypted_scoring import from_part
from federation.errors import InputError
from server.desk.desk_folder import make_desk_folder
from server.desk.encrypted import load_encrypted_model
from server.desk.encrypted.publishing import publish
from server.desk.settings import PartnerSettings, read_settings
from server.desk.single_model import served_file
from tests.server.desk.models import served_model
from tests.server.desk.test_offline import run_folder


def desk_folder(path: Path, more: str = "") -> Path:
    """A desk's folder with settings only."""
    path.mkdir()
    (path / "desk.toml").write_text("[desk]\n" + more)
    return path


def test_the_banks_own_part_is_put_up(tmp_path: Path) -> None:
    """The variant without partners; the words say what becomes public, and what to add."""
    made = served_model(("platform",))
    run = run_folder(made, tmp_path / "run")
    desk = desk_folder(tmp_path / "desk")
    arguments = ["desk", "encrypted", str(run), "--desk", str(desk), "--name", "small-loans"]
    said = CliRunner().invoke(veilscore.app, arguments)
    assert said.exit_code == 0
    assert "bin borders and categories of: age" in said.stdout
    assert 'folder = "encrypted"' in said.stdout
    model = load_encrypted_model(desk / "encrypted" / "small-loans.json")
    alone = made.served.alone
    expected = from_part(alone.part, alone.calibration)
    np.testing.assert_array_equal(model.weights, expected.weights)
    assert model.encoding == expected.encoding


def test_settings_say_where_it_goes(tmp_path: Path) -> None:
    """And nothing is left to add."""
    run = run_folder(served_model(()), tmp_path / "run")
    desk = desk_folder(tmp_path / "desk", '[encrypted]\nfolder = "sealed"\n')
    assert len(publish(run, "", desk, "a")) == 2
    load_encrypted_model(desk / "sealed" / "a.json")


def test_a_new_desk_is_told_where_partners_answer(tmp_path: Path) -> None:
    """As settings; an address of no partner of the model is refused, and nothing is made."""
    made = served_model(("lessor", "platform"))
    run = run_folder(made, tmp_path / "run")
    served = served_file(run)
    desk = tmp_path / "desk"
    with pytest.raises(InputError, match=r"'shop' is no partner of this model; it has: lessor"):
        make_desk_folder(desk, served, None, {"shop": "127.0.0.1:1"})
    assert not desk.exists()
    make_desk_folder(desk, served, None, {"platform": "127.0.0.1:7443"})
    settings = read_settings(desk)
    assert settings.partners == {"platform": PartnerSettings("127.0.0.1:7443")}


@pytest.mark.parametrize("wrong", ["platform", "=127.0.0.1:1", "platform=nowhere", "p=h:99999"])
def test_an_address_that_is_none_is_refused(wrong: str, tmp_path: Path) -> None:
    """Exit status 2 in the end, by way of an InputError."""
    run = run_folder(served_model(("platform",)), tmp_path / "run")
    arguments = ["serve", str(run), "--desk", str(tmp_path / "desk"), "--partner", wrong]
    said = CliRunner().invoke(veilscore.app, arguments)
    assert isinstance(said.exception, InputError)
    assert "HOST:PORT" in str(said.exception)
    assert not (tmp_path / "desk").exists()


@pytest.mark.parametrize("name", ["", "../a", ".hidden", "a/b"])
def test_a_name_is_no_path(name: str, tmp_path: Path) -> None:
    """It becomes a file's name."""
    run = run_folder(served_model(()), tmp_path / "run")
    with pytest.raises(InputError, match="is no model's name"):
        publish(run, "", desk_folder(tmp_path / "desk"), name)
