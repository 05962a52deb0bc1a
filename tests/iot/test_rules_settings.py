"""The file of thresholds, and the book of rules made from it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

import iot.rules
from iot.rules.book import RuleBook, default_rules
from iot.rules.idle_machine import IdleMachine, IdleMachineSettings
from iot.rules.rule import Scene
from iot.rules.settings import RuleSettings, RuleSettingsInvalid, read_rule_settings
from iot.rules.tampered import Tampered, TamperedSettings
from iot.state.step import step_between
from iot.units import HOUR, Millis
from tests.iot.machine_days import LEASE, MODEL, edited, readings, with_fields

DEFAULTS = Path(iot.rules.__path__[0]) / "thresholds.toml"


def written(folder: Path, text: str) -> Path:
    path = folder / "thresholds.toml"
    path.write_text(text)
    return path


def test_the_file_with_the_reasons_holds_every_default() -> None:
    assert read_rule_settings(DEFAULTS) == RuleSettings()
    text = DEFAULTS.read_text()
    settings = RuleSettings()
    for rule in fields(settings):
        _, _, table = text.partition(f"[{rule.name}]\n")
        for key in fields(getattr(settings, rule.name)):
            assert f"\n{key.name} = " in "\n" + table.split("\n[")[0], f"{rule.name}.{key.name}"


def test_a_file_names_only_what_differs(tmp_path: Path) -> None:
    settings = read_rule_settings(written(tmp_path, "[idle_machine]\nopen_hours = 12\n"))
    assert settings.idle_machine.open_hours == 12
    assert settings.idle_machine.review_hours == 72
    assert settings.tank_balance == RuleSettings().tank_balance


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[idle_machin]\n", "unknown rule 'idle_machin'; known are idle_machine"),
        ("idle_machine = 3\n", "'idle_machine' must be a table"),
        ("[tampered]\nclear_hours = 1\n", "unknown key 'clear_hours' in '[tampered]'"),
        ("[tampered]\nclear_minutes = 3600000\n", "0 to 10,080, not 3.6e+06"),
        ("[tampered]\nclear_minutes = '60'\n", "'tampered.clear_minutes' must be a number"),
        ("[tampered]\nclear_minutes = true\n", "'tampered.clear_minutes' must be a number"),
        ("[tampered]\nclear_minutes = nan\n", "'tampered.clear_minutes' must be a number"),
        ("[engine_idling]\nopen_share = 80\n", "0.001 to 1, not 80"),
        ("[out_of_region]\nopen_fixes = 2.5\n", "must be a whole number of fixes"),
        ("[out_of_region]\nclear_m = 60\n", "'out_of_region.clear_m' must not exceed"),
        ("[teleport]\nopen_m = 100\n", "'teleport.open_m' must be at least 475"),
        ("[idle_machine\n", "is not readable TOML"),
        ("# " + "x" * 70_000, "is longer than 65,536 bytes"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_file_and_key(
    tmp_path: Path, text: str, says: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(RuleSettingsInvalid) as refused:
        read_rule_settings(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuleSettingsInvalid, match=r"none\.toml: cannot be read \(No such file"):
        read_rule_settings(tmp_path / "none.toml")


def test_the_book_has_a_rule_for_every_table_in_their_order() -> None:
    rules = default_rules(RuleSettings())
    assert [rule.name for rule in rules] == [table.name for table in fields(RuleSettings())]


def test_two_rules_of_one_name_are_refused() -> None:
    rule = Tampered(TamperedSettings())
    with pytest.raises(ValueError, match="same name"):
        RuleBook((rule, rule))


def test_the_book_gives_verdicts_and_the_soonest_time() -> None:
    book = RuleBook(default_rules(RuleSettings()))
    memories = book.fresh()
    assert book.due(memories) is None
    scene = Scene(LEASE, MODEL, 0.0)
    (sample,) = edited(readings(0.004), lambda one: with_fields(one, tampered=True, faults=("P1",)))
    verdicts = book.observe(memories, step_between(None, sample), scene)
    assert [one.rule for one in verdicts] == ["tampered", "fault_codes"]
    due = book.due(memories)
    assert due == sample.received + 6 * HOUR
    assert due is not None
    assert book.expire(memories, Millis(due - 1), sample, scene) == []
    assert [one.rule for one in book.expire(memories, due, sample, scene)] == ["silent_device"]


def test_stored_memories_come_back_and_changed_books_read_what_they_can() -> None:
    old = RuleBook((Tampered(TamperedSettings()), IdleMachine(IdleMachineSettings())))
    memories = old.fresh()
    memories[0].up = True
    memories[1].work = 7.5
    stored = old.store(memories)
    assert old.restore(stored) == memories
    book = RuleBook(default_rules(RuleSettings()))
    restored = dict(zip((rule.name for rule in book.rules), book.restore(stored), strict=True))
    assert restored["tampered"].up
    assert restored["idle_machine"].work == 7.5
    named = msgspec.msgpack.decode(stored)
    named["tampered"] = {"up": "formerly a word"}
    named["gone"] = {"x": 1}
    again = old.restore(msgspec.msgpack.encode(named))
    assert not again[0].up
    assert again[1].work == 7.5
    with pytest.raises(msgspec.MsgspecError):
        old.restore(b"\x93")
