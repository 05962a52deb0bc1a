"""What can go wrong in a boosted training: one sentence, in bounded time, nothing half-written.

Refusals go through every party's own part of a run; those between parties also through processes
over the real relay, where the partner may leave in the middle.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clients.example import write_example
from clients.federation_file import read_federation
from clients.pins import pins_of
from clients.vault import load_binned, party_key
from federation.boosting.model_part import BoostedPart
from federation.errors import InputError, ProtocolError
from federation.proto.relay_pb2 import ProgressNote
from server.coordinator.relay import Relay
from tests.clients.example_runs import files_below, run_all
from tests.clients.party_processes import ending_of, party_processes, written_below
from tests.simulations.test_bad_input import edit

BANK, SHOP = "bank/borrowers.csv", "platform/merchants.csv"
MANIFEST = "platform/manifest.toml"
RESULTS = ("runs/", "model", "scores", "transcript", "maps")
SMALL: dict[str, Any] = {"kind": "boosted", "trees": 2, "depth": 2}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, whose platform accepts bins; copied for every test."""
    folder = write_example(tmp_path_factory.mktemp("example")).parent
    accept('disclosure = "bins"\nbins = 16')(folder)
    for party in ("bank", "platform"):
        party_key(folder / party / "vault")
    return folder


@pytest.fixture
def folder(example: Path, tmp_path: Path) -> Path:
    """A federation of one's own."""
    return Path(shutil.copytree(example, tmp_path / "federation"))


def accept(table: str) -> Callable[[Path], None]:
    """What the platform accepts instead; '' for no table."""

    def change(folder: Path) -> None:
        path = folder / MANIFEST
        text = path.read_text().partition("\n[boosting]\n")[0]
        path.write_text(text + (f"\n[boosting]\n{table}\n" if table else ""))

    return change


def as_they_are(folder: Path) -> None:
    """Nothing is changed."""


def few_defaults(folder: Path) -> None:
    """Two borrowers of 6,000 defaulted."""
    edit(BANK, "1$", "0", 0)(folder)
    edit(BANK, "0$", "1", 2)(folder)


NO_TABLE = "asks for disclosure = 'bins' .sums from which bin codes can be rebuilt., and platform "
REFUSED: dict[str, tuple[Callable[[Path], None], dict[str, Any], type[Exception], str]] = {
    "nothing is accepted": (
        accept(""),
        SMALL,
        ProtocolError,
        NO_TABLE + r"accepts 'owner' .trees grown at their owner.; ask for that, or have platform "
        r'set \[boosting\] disclosure = "bins" in its manifest',
    ),
    "codes are not accepted": (
        as_they_are,
        SMALL | {"disclosure": "order"},
        ProtocolError,
        "asks for disclosure = 'order' .the bin codes themselves., and platform accepts 'bins'",
    ),
    "more bins than are accepted": (
        as_they_are,
        SMALL | {"bins": 17},
        ProtocolError,
        "asks for 17 bins a feature, and platform accepts 16 to become known; ask for 16, or have",
    ),
    "codes without the noise that is asked of them": (
        accept('disclosure = "order"\norder_epsilon = 2'),
        SMALL | {"disclosure": "order"},
        ProtocolError,
        "asks for the bin codes themselves, and platform accepts bin codes perturbed with an eps",
    ),
    "codes with less noise than is asked": (
        accept('disclosure = "order"\norder_epsilon = 2'),
        SMALL | {"disclosure": "order", "order_epsilon": 2.5},
        ProtocolError,
        "perturbed with an epsilon of 2.5, and platform accepts .* an epsilon of 2 at most",
    ),
    "exact sums where only perturbed codes are accepted": (
        accept('disclosure = "order"\norder_epsilon = 2'),
        SMALL,
        ProtocolError,
        "asks for sums from which bin codes can be rebuilt, and platform accepts bin codes pert",
    ),
    "a node that can't be split": (
        as_they_are,
        SMALL | {"min_borrowers": 4000},
        InputError,
        r"training 'boosted': no split of 4,\d+ borrowers reaches the rules .children of 4,000 bor"
        ".* lower model.min_borrowers, model.min_child_weight or model.min_split_gain",
    ),
    "one class in a part": (
        few_defaults,
        SMALL,
        InputError,
        r"all [\d,]+ borrowers of the \w+ part have the same label \(0\); both classes are needed",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_training_that_cannot_be_is_refused(folder: Path, case: str) -> None:
    """What, where and what would be right; no model, no score, no transcript."""
    change, training, kind, sentence = REFUSED[case]
    change(folder)
    before = files_below(folder)
    with pytest.raises(kind, match=sentence) as raised:
        run_all(read_federation(folder / "federation.toml"), "run-1", [training])
    assert "\n" not in str(raised.value)
    written = files_below(folder) - before
    assert not [name for name in written if any(word in name for word in RESULTS)]
    if kind is ProtocolError:  # before anything private was asked for
        assert {name.rpartition("/")[2] for name in written} == {"run-1.jsonl"}


def platform_columns(folder: Path, **values: str) -> None:
    """Put one value into whole columns of the platform's table."""
    path = folder / SHOP
    head, *rows = path.read_text().splitlines()
    names = head.split(",")
    cells = [row.split(",") for row in rows]
    for row in cells:
        for name, value in values.items():
            row[names.index(name)] = value
    path.write_text("\n".join([head, *(",".join(row) for row in cells)]) + "\n")


def test_a_feature_of_one_value_is_left_out(folder: Path) -> None:
    """The others make the model, and the summary counts it."""
    platform_columns(folder, disputes="3")
    summaries = run_all(read_federation(folder / "federation.toml"), "run-1", [SMALL])
    assert summaries["platform"]["omitted_features"] == 1
    part = load_binned(folder / "runs" / "run-1" / "platform" / "model-boosted.json")
    assert isinstance(part, BoostedPart)
    assert "disputes" not in {binning.feature for binning in part.binnings}


def test_a_partner_without_a_feature_of_two_values_is_refused(folder: Path) -> None:
    """Nothing of it could be split."""
    path = folder / SHOP
    names = path.read_text().partition("\n")[0].split(",")
    constant = {name: "1" for name in names if name.startswith(("turnover", "d", "r"))}
    constant.pop("registration_number")
    platform_columns(folder, **constant, tier="basic")
    with pytest.raises(InputError, match="no feature of this party has two bins that hold enough"):
        run_all(read_federation(folder / "federation.toml"), "run-1", [SMALL])
    assert not written_below(folder, RESULTS)


def relay_for(folder: Path, run: str, **settings: Any) -> Relay:
    """The relay of a run of the example's parties."""
    pins = pins_of(read_federation(folder / "federation.toml"))
    return Relay(f"{run}-session", pins, join_seconds=60, **settings)


def test_a_refusal_ends_the_session_everywhere(folder: Path) -> None:
    """The bank hears which training was refused and why: the sentence holds no data."""
    accept("")(folder)
    files = dict.fromkeys(("bank", "platform"), folder / "federation.toml")
    trainings = json.dumps([SMALL])
    started = time.monotonic()
    with (
        relay_for(folder, "run-1") as relay,
        party_processes(files, "run-1", relay, trainings=trainings) as parties,
    ):
        ending = ending_of(relay)
        said = {party: process.said() for party, process in parties.items()}
    assert time.monotonic() - started < 60
    assert ending.startswith("platform: training 'boosted' asks for disclosure = 'bins'")
    assert said["platform"] == f"ProtocolError: {ending.removeprefix('platform: ')}"
    assert said["bank"] == f"PartyFailure: {ending}"
    assert not written_below(folder, (*RESULTS, "ledger"))


def test_a_partner_that_leaves_in_the_middle(folder: Path) -> None:
    """Its process dies between two trees; the bank hears it at once, and keeps what it spent."""
    files = dict.fromkeys(("bank", "platform"), folder / "federation.toml")
    trainings = json.dumps([SMALL | {"trees": 1000, "depth": 4, "min_borrowers": 50}])
    growing = threading.Event()

    def watch(party: str, note: ProgressNote) -> None:
        if note.stage == "training":
            growing.set()

    with (
        relay_for(folder, "run-1", on_progress=watch) as relay,
        party_processes(files, "run-1", relay, trainings=trainings) as parties,
    ):
        assert growing.wait(60)
        parties["platform"].process.kill()
        killed = time.monotonic()
        ending = ending_of(relay)
        said = parties["bank"].said()
        assert time.monotonic() - killed < 30
    assert ending == "platform: left before the session had ended; its log says why"
    assert said == f"PartyFailure: {ending}"
    assert not written_below(folder, RESULTS)
    assert written_below(folder, ["ledger.jsonl"]) == [
        "bank/vault/ledger.jsonl",
        "platform/vault/ledger.jsonl",
    ]
