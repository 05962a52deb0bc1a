"""Federation files of several banks: what they give, and one sentence for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.aggregation_settings import AggregationSettings, EncryptionScheme, read_aggregation
from clients.federation_file import FederationConfig, Topology, read_federation
from clients.settings_file import Section
from federation.errors import InputError

BANKS = "".join(
    f"""
[parties.{name}]
role = "label"
manifest = "{name}/manifest.toml"
"""
    for name in ("north", "coast", "metro", "south")
)
FEDERATION = f"""
[federation]
topology = "horizontal"
output = "out"
{BANKS}
[split]
column = "split"

[model]
architecture = "gru"
hidden = [32, 16]

[privacy]
record_epsilon = 3.0
delta = 1e-5

[aggregation]
scheme = "ckks"
minimum_clients = 2
dropouts = 1
sample_share = 0.75
round_seconds = 30
"""
SHORT = FEDERATION[: FEDERATION.index("[aggregation]")]


def read(folder: Path, text: str) -> FederationConfig:
    """Write a federation file and read it."""
    path = folder / "federation.toml"
    path.write_text(text, encoding="utf-8")
    return read_federation(path)


def test_banks_come_in_the_file_s_order_with_their_aggregation(tmp_path: Path) -> None:
    """Settings of other rooms pass as they stand."""
    config = read(tmp_path, FEDERATION)
    assert config.topology is Topology.HORIZONTAL
    assert [party.name for party in config.parties] == ["north", "coast", "metro", "south"]
    assert config.model == {"architecture": "gru", "hidden": (32.0, 16.0)}
    assert config.privacy == {"record_epsilon": 3.0, "delta": 1e-5}
    assert config.split.column == "split"
    assert config.aggregation == AggregationSettings(EncryptionScheme.CKKS, 2, 1, 0.75, 30.0)
    assert config.aggregation.participants(4) == 3


@pytest.mark.parametrize(("banks", "dropouts"), [(3, 0), (4, 1), (5, 1)])
def test_without_a_table_one_dropout_is_survived_where_there_is_room(
    tmp_path: Path, banks: int, dropouts: int
) -> None:
    """The minimum of contributions comes first."""
    text = '[federation]\ntopology = "horizontal"\n'
    for bank in range(banks):
        text += f'[parties.bank-{bank}]\nrole = "label"\nmanifest = "{bank}.toml"\n'
    assert read(tmp_path, text).aggregation == AggregationSettings(dropouts=dropouts)


def test_a_horizontal_federation_has_no_label_party(tmp_path: Path) -> None:
    """What is made for one label party says so, and the other way round."""
    config = read(tmp_path, FEDERATION)
    for ask in (lambda: config.label_party, lambda: config.feature_parties):
        with pytest.raises(
            InputError, match=r'every party holds .* topology = "vertical"'
        ) as error:
            ask()
        assert str(error.value).startswith(f"{config.path}: [federation] ")
    config.require(Topology.HORIZONTAL)
    vertical = SHORT.replace("horizontal", "vertical").replace(BANKS, BANKS[: len(BANKS) // 4])
    vertical += '[parties.shop]\nrole = "feature"\nmanifest = "shop.toml"\n'
    config = read(tmp_path, vertical)
    assert config.topology is Topology.VERTICAL
    assert config.aggregation is None
    with pytest.raises(InputError, match='needs a federation file with topology = "horizontal"'):
        config.require(Topology.HORIZONTAL)


def refused(folder: Path, text: str) -> str:
    """The one sentence with which the file is refused."""
    with pytest.raises(InputError) as error:
        read(folder, text)
    path = f"{folder / 'federation.toml'}: "
    assert str(error.value).startswith(path)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(path)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"horizontal"', '"diagonal"', "[federation] has 'topology' as 'diagonal'; it must be one"),
        ('topology = "horizontal"', "", 'unless [federation] has topology = "horizontal"'),
        ('"out"', '"out"\nalignment = "inner"', "[federation] has 'alignment' although topology"),
        ('"label"', '"feature"', "[parties] has 'north' with role = \"feature\" although topology"),
        ("coast/man", "north/man", "gives the manifest of 'north' to another party too"),
        (BANKS, BANKS[: len(BANKS) // 4], "[parties] has 1 parties; a horizontal federation needs"),
        ('"ckks"', '"rsa"', "[aggregation] has 'scheme' as 'rsa'; it must be one of"),
        (
            "_clients = 2",
            "_clients = 1",
            "'minimum_clients' as '1'; it must be a whole number from 2",
        ),
        ("_clients = 2", "_clients = 4", "'minimum_clients' = 4, but a round asks 3 of 4 banks"),
        ("dropouts = 1", "dropouts = 2", "[aggregation] has 'dropouts' as 2, but of 3 banks asked"),
        (
            "dropouts = 1",
            "dropouts = -1",
            "'dropouts' as '-1'; it must be a whole number from 0 up",
        ),
        ("= 0.75", "= 0", "'sample_share' as '0'; it must be a number above 0, at most 1"),
        ("= 0.75", "= 1.5", "'sample_share' as '1.5'; it must be a number above 0, at most 1"),
        ("= 0.75", "= nan", "'sample_share' as 'nan'; it must be a number"),
        ("seconds = 30", "seconds = 0", "'round_seconds' as '0'; it must be a number above 0"),
        ("seconds = 30", "seconds = true", "'round_seconds' as 'True'; it must be a number"),
        ("scheme", "schema", "[aggregation] has an unknown key 'schema'; did you mean 'scheme'?"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    """The sentence names the file, the table, the key and what would be right."""
    assert old in FEDERATION
    text = FEDERATION.replace(old, new, 1)
    assert sentence in refused(tmp_path, SHORT.replace(old, new, 1) if old == BANKS else text)


def test_a_vertical_federation_has_no_aggregation(tmp_path: Path) -> None:
    """A table that would be ignored is refused."""
    text = FEDERATION.replace('topology = "horizontal"', "").replace('"label"', '"feature"', 3)
    assert "has a table [aggregation], which only banks" in refused(tmp_path, text)


@given(
    banks=st.integers(2, 60),
    minimum=st.integers(2, 60),
    dropouts=st.none() | st.integers(0, 60),
    share=st.floats(0.01, 1.0),
)
def test_what_is_accepted_can_lose_its_dropouts_and_still_contribute(
    banks: int, minimum: int, dropouts: int | None, share: float
) -> None:
    """A round that loses all that it may lose keeps the minimum, and more than half."""
    values: dict[str, object] = {"minimum_clients": minimum, "sample_share": share}
    if dropouts is not None:
        values["dropouts"] = dropouts
    try:
        settings = read_aggregation(Section(values, "f.toml", "aggregation"), banks)
    except InputError as error:
        assert str(error).startswith("f.toml: [aggregation] ")  # noqa: PT017
        return
    asked = settings.participants(banks)
    assert asked <= banks
    assert asked - settings.dropouts >= max(minimum, 2)
    assert 2 * (asked - settings.dropouts) > asked
    assert dropouts is None or settings.dropouts == dropouts
