"""A bank's side of a horizontal run on its own disk: vault, ledger, disclosures, what is left."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from clients.bank import horizontal_training
from clients.bank.horizontal_training import BankJob, BankTraining
from clients.bank.kept_rows import one_at_a_time
from clients.federation_file import FederationConfig
from clients.horizontal_plan import horizontal_plan
from clients.vault import ChainFile, Vault
from federation.errors import InputError, PartyFailure, ProtocolError, VeilscoreError
from federation.horizontal.client_state import BankState
from federation.horizontal.messages import PROTOCOL_VERSION as SPOKEN
from federation.horizontal.messages import declined
from federation.horizontal.server import Ask, Limits, Outcome, coordinate
from federation.neural.weights import digest
from federation.privacy import RECORD, Exact
from federation.proto.horizontal_pb2 import Order
from tests.clients.small_banks import NAMES, write_small_banks

torch.set_num_threads(1)
RUN = "run-1"


def job_of(
    config: FederationConfig, bank: str, overrides: Mapping[str, Any] | None = None
) -> BankJob:
    """What a bank is asked to do."""
    return BankJob(RUN, bank, config, overrides or {}, config.output / RUN / bank, "veilscore test")


def vault_of(config: FederationConfig, bank: str) -> Vault:
    """A bank's vault."""
    return Vault(config.path.parent / bank / "vault")


def drive(
    config: FederationConfig,
    overrides: Mapping[str, Any] | None = None,
    orders: list[tuple[str, bytes]] | None = None,
    stop: str = "",
) -> Outcome | None:
    """One run, each order in a fresh object; ends before the first ask of the kind `stop`."""
    role = coordinate(RUN, NAMES, Limits(3, 1))
    replies: dict[str, bytes] | None = None
    while True:
        try:
            step = role.send(replies) if replies is not None else next(role)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        replies = {}
        if isinstance(step, Ask):
            if orders is not None:
                orders.extend(step.orders.items())
            if stop and step.what.startswith(stop):
                return None
            for bank, order in step.orders.items():
                try:
                    replies[bank] = BankTraining(job_of(config, bank, overrides)).answer(order)
                except VeilscoreError as error:
                    replies[bank] = declined(order, str(error))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> FederationConfig:
    """A federation whose banks have trained once."""
    config = write_small_banks(tmp_path_factory.mktemp("banks"))
    outcome = drive(config)
    assert outcome is not None
    assert outcome.banks == NAMES
    return config


def test_a_bank_keeps_its_model_scores_and_figures(ended: FederationConfig) -> None:
    """In its own output folder; the digest is the model's."""
    folder = ended.output / RUN / "ash"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "model.safetensors",
        "test-scores.parquet",
        "summary.json",
        "disclosures.jsonl",
    }
    summary = json.loads((folder / "summary.json").read_bytes())
    state = BankState.from_bytes(
        (vault_of(ended, "ash").run_folder(RUN) / "state.safetensors").read_bytes(), "state"
    )
    assert summary["model_digest"] == digest(state.weights)
    assert summary["rounds"] == 2
    scores = pq.read_table(folder / "test-scores.parquet")
    assert scores.num_rows == summary["test_rows"] == 60


def test_keys_and_rows_are_gone_once_a_run_has_ended(ended: FederationConfig) -> None:
    """What is left of a run in the vault opens no sum and shows no borrower."""
    for bank in NAMES:
        folder = vault_of(ended, bank).run_folder(RUN)
        assert {path.name for path in folder.iterdir()} == {"state.safetensors", "lock"}
        state = BankState.from_bytes((folder / "state.safetensors").read_bytes(), "state")
        assert state.secure_sum == state.unmask_reply == b""
        assert state.slots.size == state.remainder.size == 0


def test_the_vault_is_its_owner_s_alone(tmp_path: Path) -> None:
    """Files 0600, folders 0700, while the secrets are there."""
    config = write_small_banks(tmp_path)
    drive(config, stop="shares, step 1")
    folder = vault_of(config, "ash").home
    assert (vault_of(config, "ash").run_folder(RUN) / "rows.parquet").exists()
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_all_that_left_is_in_the_disclosure_log(tmp_path: Path) -> None:
    """Every reply with its kind and size, also in the copy that goes with the run."""
    config = write_small_banks(tmp_path)
    orders: list[tuple[str, bytes]] = []
    drive(config, orders=orders)
    entries = ChainFile(vault_of(config, "cedar").disclosures_path(RUN)).entries
    asked = [
        Order.FromString(order).WhichOneof("body") for bank, order in orders if bank == "cedar"
    ]
    kinds = {"join": "joined", "setup": "ready", "contribute": "contributed", "unmask": "unmasked"}
    wanted = [kinds[str(kind)] for kind in asked]
    wanted[-1] = "finished"
    assert [entry.body["kind"] for entry in entries] == wanted
    copy = config.output / RUN / "cedar" / "disclosures.jsonl"
    assert copy.read_bytes() == vault_of(config, "cedar").disclosures_path(RUN).read_bytes()


def test_an_exact_run_is_in_the_ledger(ended: FederationConfig) -> None:
    """Once."""
    spent = vault_of(ended, "elm").expenditures(RECORD, "elm:*")
    assert [one.event for one in spent] == [Exact()]


@pytest.mark.parametrize("dies_in", ["enter_event", "write_private", "disclosure_log"])
def test_a_bank_that_dies_between_two_lines_has_disclosed_nothing_unlogged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    """Ledger, then checkpoint, then log, then the reply: the order is worked on at most once."""
    config = write_small_banks(tmp_path)
    orders: list[tuple[str, bytes]] = []
    drive(config, orders=orders, stop="contribution, step 0")
    order = next(data for bank, data in reversed(orders) if bank == "ash")
    assert Order.FromString(order).HasField("contribute")
    vault = vault_of(config, "ash")

    class Died(BaseException):
        """The process is gone."""

    def die(*arguments: object, **others: object) -> object:
        raise Died

    owner = horizontal_training if dies_in == "write_private" else Vault
    with monkeypatch.context() as patched:
        patched.setattr(owner, dies_in, die)
        with pytest.raises(Died):
            BankTraining(job_of(config, "ash")).answer(order)
    assert len(ChainFile(vault.disclosures_path(RUN)).entries) == 2
    if dies_in == "disclosure_log":  # the checkpoint knows: another contribution is refused
        with pytest.raises(ProtocolError, match="contributed to step 0"):
            BankTraining(job_of(config, "ash")).answer(order)
    else:
        BankTraining(job_of(config, "ash")).answer(order)
        assert len(ChainFile(vault.disclosures_path(RUN)).entries) == 3
    assert len(vault.expenditures(RECORD, "ash:*")) == (2 if dies_in == "write_private" else 1)


def _hold(path: str, seconds: float, ready: Any) -> None:
    with one_at_a_time(Path(path)):
        ready.set()
        time.sleep(seconds)


def test_two_orders_at_once_are_worked_on_one_after_the_other(tmp_path: Path) -> None:
    """Another process of the same bank, slow with an earlier order, is waited for."""
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    path = tmp_path / "vault" / "lock"
    process = context.Process(target=_hold, args=(str(path), 0.3, ready))
    process.start()
    assert ready.wait(10)
    done = threading.Event()

    def second() -> None:
        with one_at_a_time(path):
            done.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert process.is_alive()
    assert not done.is_set()
    process.join(10)
    thread.join(10)
    assert done.is_set()


def test_a_budget_that_is_too_small_is_refused_with_numbers(tmp_path: Path) -> None:
    """Before a row was summed: the ledgers stay empty."""
    privacy = "\n[privacy]\nrecord_epsilon = 8.0\ndelta = 1e-3\nepsilon_budget = 2.0\n"
    config = write_small_banks(tmp_path, privacy=privacy)
    with pytest.raises(PartyFailure, match=r"8.*2|2.*8"):
        drive(config)
    for bank in NAMES:
        assert not vault_of(config, bank).ledger_path.exists()


def test_the_run_s_settings_never_ask_for_less_privacy_than_a_file(tmp_path: Path) -> None:
    """Neither a larger ε nor a larger δ, and none at all even less."""
    config = write_small_banks(tmp_path, privacy="\n[privacy]\nrecord_epsilon = 3.0\n")
    manifest = config.manifest_of("ash")
    for asked in ({"record_epsilon": 4.0}, {"record_epsilon": None}, {"record_delta": 0.5}):
        with pytest.raises(InputError, match="this run asks for"):
            horizontal_plan(config, manifest, asked)
    assert horizontal_plan(config, manifest, {"record_epsilon": 2.0}).is_private


def test_orders_with_other_settings_than_at_the_start_are_refused(tmp_path: Path) -> None:
    """A coordinator that started with privacy can't go on without."""
    config = write_small_banks(tmp_path)
    asked = {"record_epsilon": 8.0, "record_delta": 1e-3}
    orders: list[tuple[str, bytes]] = []
    drive(config, asked, orders, stop="shares, step 0")
    order = next(data for bank, data in reversed(orders) if bank == "ash")
    with pytest.raises(InputError, match="another plan"):
        BankTraining(job_of(config, "ash")).answer(order)


def test_damaged_files_of_a_run_are_one_sentence(tmp_path: Path) -> None:
    """The checkpoint, and the copy of the rows."""
    config = write_small_banks(tmp_path)
    orders: list[tuple[str, bytes]] = []
    drive(config, orders=orders, stop="contribution, step 0")
    order = Order(protocol_version=SPOKEN, run=RUN, bank="ash", join={}).SerializeToString()
    folder = vault_of(config, "ash").run_folder(RUN)
    rows = folder / "rows.parquet"
    rows.write_bytes(rows.read_bytes()[:-100])
    afresh = Order(protocol_version=SPOKEN, run=RUN, bank="ash", join={"afresh": True})
    with pytest.raises(InputError, match=r"rows.parquet: not the rows"):
        BankTraining(job_of(config, "ash")).answer(afresh.SerializeToString())
    state = folder / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"state.safetensors: not the checkpoint"):
        BankTraining(job_of(config, "ash")).answer(order)


def test_a_manifest_that_changed_is_refused(tmp_path: Path) -> None:
    """The run goes on with what it began with, or not at all."""
    config = write_small_banks(tmp_path)
    drive(config, stop="contribution, step 0")
    manifest = tmp_path / "ash" / "manifest.toml"
    manifest.write_text(manifest.read_text().replace('unit = "EUR"', 'unit = "USD"'))
    order = Order(protocol_version=SPOKEN, run=RUN, bank="ash", join={}).SerializeToString()
    with pytest.raises(InputError, match="another plan"):
        BankTraining(job_of(config, "ash")).answer(order)
