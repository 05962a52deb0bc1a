"""Putting a run's model up for encrypted scoring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import veilscore
from federation.encrypted_scoring import from_part
from federation.errors import InputError
from server.desk.encrypted import load_encrypted_model
from server.desk.encrypted.publishing import publish
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


@pytest.mark.parametrize("name", ["", "../a", ".hidden", "a/b"])
def test_a_name_is_no_path(name: str, tmp_path: Path) -> None:
    """It becomes a file's name."""
    run = run_folder(served_model(()), tmp_path / "run")
    with pytest.raises(InputError, match="is no model's name"):
        publish(run, "", desk_folder(tmp_path / "desk"), name)
