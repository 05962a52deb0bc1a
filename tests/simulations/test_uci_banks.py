"""The UCI data divided among banks: nothing lost, nothing twice, inputs that all banks agree on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from clients.bank.horizontal_table import input_schema, load_bank_rows
from clients.federation_file import FederationConfig, Topology, read_federation
from clients.sources import SplitPart
from federation.errors import InputError
from federation.horizontal.rows import BankRows
from simulations.partitions import MINIMUM
from simulations.uci import fixed_split, load_uci
from simulations.uci_banks import CATEGORICAL_COLUMNS, assign_banks, bank_names, write_banks

NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> FederationConfig:
    """Four banks, divided at random."""
    return read_federation(write_banks(tmp_path_factory.mktemp("banks")))


@pytest.fixture(scope="module")
def banks(federation: FederationConfig) -> list[BankRows]:
    """Their rows, as each of them reads its own."""
    return [
        load_bank_rows(federation.manifest_of(party.name), federation.split, now=NOW)
        for party in federation.parties
    ]


def test_the_file_says_who_they_are_and_what_is_simulated(federation: FederationConfig) -> None:
    """Real rows, simulated banks; one bank may fall silent."""
    assert federation.topology is Topology.HORIZONTAL
    assert tuple(party.name for party in federation.parties) == bank_names(4)
    assert "division among 4 banks (iid) is simulated" in federation.note
    assert federation.aggregation is not None
    assert (federation.aggregation.minimum_clients, federation.aggregation.dropouts) == (3, 1)


def test_all_banks_together_are_the_data_with_its_fixed_split(banks: list[BankRows]) -> None:
    """Every row is at one bank, whole, and in the part of the published split."""
    data = load_uci()
    _, test = fixed_split(data.label)
    is_test = np.zeros(len(data.label), dtype=np.bool_)
    is_test[test] = True
    names = [*data.columns]
    original = np.column_stack([*(data.columns[name] for name in names), data.label, is_test])
    found = np.vstack(
        [
            np.column_stack(
                [
                    *(bank.columns[name].values.astype(np.int64) for name in names),
                    bank.labels,
                    bank.parts == SplitPart.TEST,
                ]
            )
            for bank in banks
        ]
    )
    order = [np.lexsort(table.T[::-1]) for table in (original, found)]
    np.testing.assert_array_equal(found[order[1]], original[order[0]])
    assert [len(bank.labels) for bank in banks] == [7_500] * 4


def test_all_banks_have_one_schema_with_public_bounds(
    federation: FederationConfig, banks: list[BankRows]
) -> None:
    """Fit for a private training; three histories of six months, April first."""
    schemas = [
        input_schema(federation.manifest_of(party.name), private=True)
        for party in federation.parties
    ]
    assert len({schema.digest for schema in schemas}) == 1
    schema = schemas[0]
    assert [column.name for column in schema.categorical] == sorted(CATEGORICAL_COLUMNS)
    assert schema.months == 6
    months = {channel.name: channel.columns for channel in schema.sequences}
    assert months["status"] == ("PAY_6", "PAY_5", "PAY_4", "PAY_3", "PAY_2", "PAY_0")
    assert months["bills"][0] == "BILL_AMT6"
    assert months["payments"][-1] == "PAY_AMT1"
    # Round figures of the product, not the smallest and largest value of the rows.
    for column in schema.numeric:
        assert column.minimum is not None
        assert column.maximum is not None
        if column.name not in ("LIMIT_BAL", "PAY_AMT1"):
            values = np.concatenate([bank.columns[column.name].values for bank in banks])
            assert column.maximum > values.max()
    schema.check_columns(banks[0].columns)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("partition", ["iid", "dirichlet:0.3", "dirichlet-by-class:0.3"])
def test_every_bank_has_enough_to_train_and_to_test(partition: str, seed: int) -> None:
    """At least 20 training rows of each class, and test rows in proportion."""
    data = load_uci()
    train, test = fixed_split(data.label)
    found = assign_banks(partition, 4, seed)
    np.testing.assert_array_equal(found, assign_banks(partition, 4, seed))
    for bank in range(4):
        counts = np.bincount(data.label[train][found[train] == bank], minlength=2)
        tests = np.bincount(data.label[test][found[test] == bank], minlength=2)
        assert counts.min() >= MINIMUM
        np.testing.assert_allclose(tests, counts / 4, atol=2)


@pytest.mark.parametrize(
    ("attribute", "ordered"), [("EDUCATION", False), ("AGE", True), ("LIMIT_BAL", True)]
)
def test_banks_differ_by_an_attribute(attribute: str, ordered: bool) -> None:
    """Training and test rows of one value are at one bank."""
    values = load_uci().columns[attribute]
    found = assign_banks(f"attribute:{attribute}", 4, 0)
    assert len(np.unique(found)) == 4
    at = [set(found[values == value].tolist()) for value in np.unique(values).tolist()]
    assert all(len(banks) == 1 for banks in at)
    if ordered:
        places = [banks.pop() for banks in at]
        assert places == sorted(places)


@pytest.mark.parametrize(
    ("partition", "banks", "sentence"),
    [
        ("alphabet", 4, "there is no partition 'alphabet'; write iid, dirichlet:0.3"),
        ("iid:3", 4, "there is no partition 'iid:3'"),
        ("dirichlet", 4, "partition 'dirichlet': write a number, such as dirichlet:0.3"),
        ("dirichlet:-1", 4, "alpha is -1; a positive number is right"),
        ("attribute:WEIGHT", 4, "there is no attribute 'WEIGHT'; choose one of LIMIT_BAL, SEX"),
        ("iid", 1, "1 banks were asked for; from 2 to 200 are right"),
    ],
)
def test_a_wrong_division_is_refused_and_nothing_written(
    tmp_path: Path, partition: str, banks: int, sentence: str
) -> None:
    """One sentence with what would be right."""
    with pytest.raises(InputError, match=sentence):
        write_banks(tmp_path / "banks", banks=banks, partition=partition)
    assert not (tmp_path / "banks").exists()
