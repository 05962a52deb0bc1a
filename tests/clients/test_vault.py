"""The vault: private on disk, chained, and a budget that two runs at once can't overspend."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from clients.vault import ChainFile, Vault, load_part, save_part, store, write_private
from clients.vault.chain_file import written_end
from federation.additive.model_part import ModelPart
from federation.errors import InputError
from federation.privacy.events import (
    LABEL,
    RECORD,
    Exact,
    GaussianRelease,
    RandomisedResponse,
)
from federation.privacy.zcdp import epsilon_of
from federation.record_chain import Head
from federation.session.machine import Sent

DELTA = 1e-5
RELEASE = GaussianRelease(0.01)
WHAT = "noisy sums to platform"
PART = ModelPart("bank", "s1", "exact", -1.5, (), (), (), ())


def mode(path: Path) -> int:
    """Permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """A vault whose directory does not exist yet."""
    return Vault(tmp_path / "bank" / "vault")


def test_nothing_is_made_before_something_is_written(vault: Vault) -> None:
    """Looking at an empty history leaves no trace."""
    assert vault.history(LABEL, "labels").events == ()
    assert not vault.home.exists()


def test_everything_is_private_to_its_owner(vault: Vault) -> None:
    """Directories 0700, those above too, and files 0600, under a lax umask as well."""
    before = os.umask(0o000)
    try:
        vault.disclosure_log("run-1", "s1").enter(Sent(0, "platform", "plan", 100))
        vault.enter_event(RELEASE, LABEL, "labels", "run-1", WHAT, None, DELTA)
        save_part(vault.home / "parts" / "deep" / "model.json", PART)
    finally:
        os.umask(before)
    for path in vault.home.rglob("*"):
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path
    assert mode(vault.home) == mode(vault.home.parent) == 0o700


def test_the_history_spans_runs_and_processes(vault: Vault) -> None:
    """Each release is on the disk; another vault object reads the same history."""
    for run in ("run-1", "run-2", "run-3"):
        vault.enter_event(RELEASE, LABEL, "labels", run, WHAT, 5.0, DELTA)
    vault.enter_event(Exact(), LABEL, "other labels", "run-4", "exact", None, DELTA)
    vault.enter_event(Exact(), RECORD, "labels", "run-4", "of another unit", None, DELTA)
    again = Vault(vault.home)
    spent = again.expenditures(LABEL, "labels")
    assert [one.run for one in spent] == ["run-1", "run-2", "run-3"]
    assert again.history(LABEL, "labels").epsilon(DELTA) == pytest.approx(epsilon_of(0.03, DELTA))


def test_a_release_over_the_budget_enters_nothing(vault: Vault) -> None:
    """Hard stop: the ledger's bytes are the same before and after."""
    budget = epsilon_of(0.025, DELTA)
    for _ in range(2):
        vault.enter_event(RELEASE, LABEL, "labels", "run-1", WHAT, budget, DELTA)
    before = vault.ledger_path.read_bytes()
    for event in (RELEASE, Exact(), RandomisedResponse(1.0)):
        with pytest.raises(
            InputError, match=r"privacy.epsilon.budget is .* is spent, and this run"
        ):
            vault.enter_event(event, LABEL, "labels", "run-2", "more", budget, DELTA)
    assert vault.ledger_path.read_bytes() == before
    assert len(vault.expenditures(LABEL, "labels")) == 2


def test_two_runs_at_once_cannot_overspend_the_budget(vault: Vault) -> None:
    """Twelve at once, room for three: three are entered, and the chain is whole."""
    budget = epsilon_of(0.035, DELTA)
    refused: list[InputError] = []
    gate = threading.Barrier(12)

    def enter() -> None:
        gate.wait()
        try:
            vault.enter_event(RELEASE, LABEL, "labels", "run-1", WHAT, budget, DELTA)
        except InputError as error:
            refused.append(error)

    threads = [threading.Thread(target=enter) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(vault.expenditures(LABEL, "labels")) == 3
    assert len(refused) == 9


def test_entries_that_another_run_makes_meanwhile_are_no_tampering(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the ledger and its end are read, nobody writes either."""
    vault.enter_event(RELEASE, LABEL, "labels", "run-1", WHAT, None, DELTA)
    others: list[threading.Thread] = []

    def enter_twice() -> None:
        for _ in range(2):
            Vault(vault.home).enter_event(RELEASE, LABEL, "labels", "run-2", WHAT, None, DELTA)

    def end_and_then_others(path: Path) -> Head | None:
        end = written_end(path)
        if not others:
            others.append(threading.Thread(target=enter_twice))
            others[0].start()
            others[0].join(0.3)
        return end

    monkeypatch.setattr(store, "written_end", end_and_then_others)
    assert len(vault.ledger()) == 1
    others[0].join()
    assert len(vault.ledger()) == 3


@pytest.mark.parametrize("line", range(4))
def test_tampering_with_the_ledger_stops_every_further_release(vault: Vault, line: int) -> None:
    """A release made smaller or dropped afterwards is found, and nothing is entered on top."""
    for run in range(4):
        vault.enter_event(RELEASE, LABEL, "labels", f"run-{run}", WHAT, None, DELTA)
    lines = vault.ledger_path.read_text("utf-8").splitlines(keepends=True)
    changed = [*lines[:line], lines[line].replace("0.01", "0.001"), *lines[line + 1 :]]
    for altered in (changed, lines[:line] + lines[line + 1 :]):
        vault.ledger_path.write_text("".join(altered), "utf-8")
        with pytest.raises(InputError, match=r"ledger\.jsonl, line \d: "):
            vault.enter_event(RELEASE, LABEL, "labels", "run-1", WHAT, None, DELTA)
        assert vault.ledger_path.read_text("utf-8") == "".join(altered)


def test_the_line_that_was_altered_or_dropped_is_named(vault: Vault) -> None:
    """The last line has no successor that would give it away: its digest is written beside."""
    for _ in range(3):
        vault.enter_event(RELEASE, LABEL, "labels", "run-1", WHAT, None, DELTA)
    lines = vault.ledger_path.read_text("utf-8").splitlines(keepends=True)
    smaller = lines[2].replace("0.01", "0.001")
    for altered, line, words in (
        ([*lines[:2], smaller], 3, "was altered"),
        (lines[:2], 3, "an entry was dropped; there were 3"),
        ([], 1, "an entry was dropped"),
    ):
        vault.ledger_path.write_text("".join(altered), "utf-8")
        with pytest.raises(InputError, match=rf"ledger\.jsonl, line {line}: .*{words}"):
            vault.history(LABEL, "labels")


def test_one_line_without_its_end_is_refused_too(vault: Vault) -> None:
    """Who takes the end away and all lines but the first is found out."""
    for _ in range(3):
        vault.enter_event(RELEASE, LABEL, "labels", "run-1", WHAT, None, DELTA)
    (vault.home / "ledger.head").unlink()
    first = vault.ledger_path.read_text().splitlines(keepends=True)[0]
    vault.ledger_path.write_text(first)
    with pytest.raises(InputError, match=r"line 1: the file ledger\.head beside it"):
        vault.ledger()


def test_an_end_that_was_taken_away_or_spoilt_is_refused(vault: Vault) -> None:
    """Without the written-down end a dropped line would not show."""
    for _ in range(3):
        vault.enter_event(RELEASE, LABEL, "labels", "run-1", WHAT, None, DELTA)
    end = vault.home / "ledger.head"
    for spoilt in (b"", b"[]", b'{"length": "x", "digest": ""}'):
        end.write_bytes(spoilt)
        with pytest.raises(InputError, match=r"ledger\.head: is not the written-down end"):
            vault.ledger()
    end.unlink()
    with pytest.raises(InputError, match=r"line 1: the file ledger\.head beside it"):
        vault.ledger()


def test_a_crash_between_entry_and_end_loses_nothing(vault: Vault) -> None:
    """The entry counts, and the next one goes on top of it."""
    ends = []
    for _ in range(2):
        vault.enter_event(RELEASE, LABEL, "labels", "run-1", WHAT, None, DELTA)
        ends.append((vault.home / "ledger.head").read_bytes())
    (vault.home / "ledger.head").write_bytes(ends[0])
    assert len(vault.ledger()) == 2
    vault.enter_event(RELEASE, LABEL, "labels", "run-1", WHAT, None, DELTA)
    assert len(vault.ledger()) == 3


def test_an_entry_of_a_later_version_is_never_left_out(vault: Vault) -> None:
    """An ε that skips what it can't read would be too small: refused, with the line."""
    vault.enter_event(RELEASE, LABEL, "labels", "run-1", WHAT, None, DELTA)
    body = dict(vault.ledger()[0].body)
    ChainFile(vault.ledger_path).append(body | {"event": {"mechanism": "laplace", "scale": 1}})
    with pytest.raises(InputError, match=r"line 2: the mechanism 'laplace' is not known"):
        vault.history(LABEL, "labels")


def test_a_line_that_was_cut_off_is_refused(vault: Vault) -> None:
    """A crash in the middle of a write, or an editor: the next entry must not be glued to it."""
    vault.enter_event(RELEASE, LABEL, "labels", "run-1", WHAT, None, DELTA)
    whole = vault.ledger_path.read_bytes()
    for cut in (1, 20):
        vault.ledger_path.write_bytes(whole[:-cut])
        with pytest.raises(InputError, match=r"ledger\.jsonl, line 1: the last line was cut off"):
            vault.history(LABEL, "labels")


def test_bytes_that_are_not_text_are_refused(vault: Vault) -> None:
    """The file is named, nothing crashes."""
    vault.home.mkdir(parents=True)
    vault.ledger_path.write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(InputError, match=r"ledger\.jsonl, line 1: not an entry"):
        vault.history(LABEL, "labels")


@pytest.mark.parametrize("text", ["a\u2028b", "a\x85b", "a\x0cb", "a\r\nb", "δ = ε\x1c"])
def test_line_ends_inside_an_entry_do_not_break_the_chain(tmp_path: Path, text: str) -> None:
    """Unicode knows more line ends than a file does."""
    path = tmp_path / "chain.jsonl"
    chain = ChainFile(path)
    chain.append({"what": text})
    chain.append({"what": "next"}, durable=False)
    again = ChainFile(path)
    assert [entry.body["what"] for entry in again.entries] == [text, "next"]
    assert again.head == chain.head


def test_the_disclosure_log_lists_what_left_before_it_leaves(vault: Vault) -> None:
    """Kind, bytes, recipient and run of every message; a later session of the run goes on."""
    log = vault.disclosure_log("run-1", "s1")
    log.enter(Sent(0, "platform", "plan", 321))
    log.enter(Sent(1, "platform", "query", 48_000))
    vault.disclosure_log("run-1", "s2").enter(Sent(0, "iot", "closing", 70))
    bodies = [entry.body for entry in ChainFile(log.path).entries]
    assert [(b["session"], b["to"], b["kind"], b["bytes"], b["sequence"]) for b in bodies] == [
        ("s1", "platform", "plan", 321, 0),
        ("s1", "platform", "query", 48_000, 1),
        ("s2", "iot", "closing", 70, 0),
    ]
    assert {b["run"] for b in bodies} == {"run-1"}
    assert all(b["time"].endswith("+00:00") for b in bodies)


@pytest.mark.parametrize("run", ["../ledger", "a/b", "", "..", ".hidden", "a\0b", "x" * 200])
def test_a_run_whose_name_is_no_file_name_is_refused(vault: Vault, run: str) -> None:
    """The name comes from the coordinator: it must not choose where this party writes."""
    with pytest.raises(InputError, match="is no name for a run"):
        vault.disclosure_log(run, "s1")


def test_a_model_part_is_saved_and_loaded(tmp_path: Path) -> None:
    """The same part; overwriting leaves no half file and no other file."""
    path = tmp_path / "parts" / "model.json"
    save_part(path, PART)
    save_part(path, PART)
    assert load_part(path) == PART
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "there is no model part; train first"),
        ("", "it is not JSON"),
        ("[1]", "it holds no object"),
        ("{}", "its format must be 'veilscore additive model part 1'"),
    ],
)
def test_what_is_not_a_model_part_is_refused(
    tmp_path: Path, content: str | None, sentence: str
) -> None:
    """The file is named."""
    path = tmp_path / "model.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=f"model.json: .*{sentence}"):
        load_part(path)


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    """Nothing half-written, nothing left beside."""
    target = tmp_path / "model.json"
    target.mkdir()
    with pytest.raises(OSError, match=r"model\.json"):
        write_private(target, b"new")
    assert list(tmp_path.iterdir()) == [target]
