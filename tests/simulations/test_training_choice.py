"""What a person asked for becomes a federation and settings, or one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.example import write_example
from clients.federation_file import Topology, read_federation
from federation.errors import InputError
from simulations.training_choice import Asked, federation_to_train, vertical_overrides


def test_without_a_file_the_topology_decides_which_demo_data_is_written(tmp_path: Path) -> None:
    """Horizontal asks for banks, anything else for the bank and the platform."""
    banks = federation_to_train(None, Asked(topology="horizontal"), tmp_path, 3, "dirichlet:1")
    assert read_federation(banks).topology is Topology.HORIZONTAL
    assert len(read_federation(banks).parties) == 3
    parties = federation_to_train(None, Asked(), tmp_path, 3, "iid")
    assert read_federation(parties).label_party.name == "bank"


def test_a_file_of_another_topology_is_refused(tmp_path: Path) -> None:
    """--topology horizontal with a vertical file says what the file is."""
    file = write_example(tmp_path / "example")
    with pytest.raises(InputError, match="'topology' as 'vertical'"):
        federation_to_train(file, Asked(topology="horizontal"), tmp_path, 4, "iid")
    assert federation_to_train(file, Asked(topology="vertical"), tmp_path, 4, "iid") == file


def test_a_banks_network_takes_no_label_epsilon_and_no_other_model() -> None:
    """What several banks do not have is refused with what they have instead."""
    with pytest.raises(InputError, match="--record-epsilon"):
        Asked(label_epsilon=2.0).horizontal_overrides()
    with pytest.raises(InputError, match="--model additive"):
        Asked(model="additive").horizontal_overrides()
    asked = Asked(model="neural", record_epsilon=3.0, architecture="gru")
    assert asked.horizontal_overrides() == {"record_epsilon": 3.0, "architecture": "gru"}


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (Asked(record_epsilon=1.0), "--record-epsilon"),
        (Asked(client_epsilon=1.0), "--client-epsilon"),
        (Asked(architecture="mlp"), "--architecture"),
    ],
)
def test_a_vertical_run_takes_nothing_that_is_for_banks(
    tmp_path: Path, asked: Asked, name: str
) -> None:
    """Each is refused by its name, with the file's."""
    config = read_federation(write_example(tmp_path / "example"))
    with pytest.raises(InputError, match=name):
        vertical_overrides(config, asked)


def test_vertical_models_by_name(tmp_path: Path) -> None:
    """A neural model between a bank and a platform is the split one."""
    config = read_federation(write_example(tmp_path / "example"))
    assert vertical_overrides(config, Asked(model="neural")) == {"kind": "split"}
    assert vertical_overrides(config, Asked(model="blind", label_epsilon=4.0)) == {
        "kind": "blind",
        "label_epsilon": 4.0,
    }
