"""`veilscore models` and `veilscore alerts`, as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clients.vault import save_served_model
from federation.errors import InputError
from server.desk.alerts.cli import alerts_app
from server.desk.alerts.rules import AlertRules
from server.desk.alerts.store import AlertStore
from server.desk.registry.cli import models_app
from server.desk.registry.database import Database
from tests.server.desk.alert_cases import incoming
from tests.server.desk.databases import SIGNER, STRANGER, by_hand, made, sqlite_address

WHY = ["--why", "a test"]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A desk's folder with signed models beside it, named by the environment."""
    (tmp_path / "desk.toml").write_text(f'[registry]\nsigners = ["{SIGNER.public.text}"]\n')
    for number in (1, 2, 3):
        save_served_model(tmp_path / f"{number}.json", made(number).served, SIGNER)
    monkeypatch.setenv("VEILSCORE_DESK", str(tmp_path))
    return tmp_path


def run(app: Any, *arguments: str, status: int = 0) -> str:
    """What a command prints."""
    result = CliRunner().invoke(app, list(arguments))
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.stdout


def objects(app: Any, *arguments: str, status: int = 0) -> list[dict[str, Any]]:
    """What it prints with --json."""
    lines = run(app, *arguments, "--json", status=status).splitlines()
    return [json.loads(line) for line in lines]


def test_from_the_first_model_to_a_rollback(desk: Path) -> None:
    """One command each."""
    assert "no models yet" in run(models_app, "list")
    for number in (1, 2, 3):
        [added] = objects(models_app, "add", str(desk / f"{number}.json"), *WHY)
        assert (added["model"], added["stage"]) == (f"default:{number}", "staging")
    assert "'default:1' is in production" in run(models_app, "promote", "default:1", *WHY)
    assert "'default:1' is archived" in run(models_app, "promote", "default:2", *WHY)
    told = run(models_app, "challenge", "default:3", "--share", "0.1", *WHY)
    assert "'default:3' answers 10.0000% of the borrowers" in told
    parts = {row["model"]: (row["part"], row["share"]) for row in objects(models_app, "list")}
    assert parts == {
        "default:1": ("", None),
        "default:2": ("champion", None),
        "default:3": ("challenger", 0.1),
    }
    run(models_app, "challenge", "default:3", "--share", "0", *WHY)
    run(models_app, "shadow", "default:3", *WHY)
    assert "shadow" in run(models_app, "list")
    run(models_app, "shadow", "default:3", "--end", *WHY)
    run(models_app, "archive", "default:3", *WHY)
    assert objects(models_app, "rollback", *WHY) == [
        {"production": "default:1", "archived": "default:2"}
    ]
    [report] = objects(models_app, "verify")
    assert (report["events"], report["models"], report["findings"]) == (11, 3, [])


def test_show_tells_the_history(desk: Path) -> None:
    """With variants, signer, who and why."""
    run(models_app, "add", str(desk / "1.json"), "--why", "after the review of May")
    told = run(models_app, "show", "default:1")
    assert "after the review of May" in told
    assert SIGNER.public.fingerprint in told
    assert "exact~bank (with no other party)" in told
    [shown] = objects(models_app, "show", "default:1")
    assert [variant["parties"] for variant in shown["variants"]] == [["platform"], []]
    assert [change["why"] for change in shown["history"]] == ["after the review of May"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["add", "no-such.json", *WHY], "cannot be read"),
        (["promote", "default:7", *WHY], "has no model 'default:7'"),
        (["show", "default:7"], "has no model 'default:7'"),
        (["show", "seven"], "its line and version"),
        (["rollback", *WHY], "no other model in production before"),
        (["rollback", "No Line", *WHY], "a model line's name"),
        (["promote", "default:1", "--why", ""], "the reason"),
        (["list", "--desk", "nowhere"], "there is no such file"),
    ],
)
def test_what_an_operator_got_wrong(desk: Path, arguments: list[str], sentence: str) -> None:
    """One sentence."""
    with pytest.raises(InputError, match=sentence):
        run(models_app, *arguments)


def test_a_reason_is_needed(desk: Path) -> None:
    """For whatever changes something."""
    for command in ("promote", "archive", "shadow"):
        assert CliRunner().invoke(models_app, [command, "default:1"]).exit_code == 2
    assert CliRunner().invoke(models_app, ["rollback"]).exit_code == 2


def test_a_stranger_s_model_is_not_added(desk: Path) -> None:
    """Whatever its file is called."""
    save_served_model(desk / "4.json", made(4).served, STRANGER)
    with pytest.raises(InputError, match="signed with the key"):
        run(models_app, "add", str(desk / "4.json"), *WHY)


def test_verify_ends_with_status_1_where_something_is_wrong(desk: Path) -> None:
    """And says what."""
    run(models_app, "add", str(desk / "1.json"), *WHY)
    by_hand(sqlite_address(desk), "update desk_models set stage = 'archived'")
    assert "WRONG: model 'default:1'" in run(models_app, "verify", status=1)
    assert len(objects(models_app, "verify", status=1)[0]["findings"]) == 1


@pytest.fixture
def alerted(desk: Path) -> Path:
    """A desk with two alerts."""
    database = Database(sqlite_address(desk))
    AlertStore(database, AlertRules()).store(
        [incoming(subject="tractor 7"), incoming(id="a2", borrower="b2")]
    )
    database.close()
    return desk


def test_alerts_are_listed_reviewed_and_resolved(alerted: Path) -> None:
    """By the source's name and id."""
    assert {row["id"] for row in objects(alerts_app, "list")} == {"a1", "a2"}
    told = run(alerts_app, "list", "--borrower", "b0001")
    assert "device-moved" in told
    assert "tractor 7" in told
    assert "a2" not in told
    assert [row["overdue"] for row in objects(alerts_app, "reviews")] == [False, False]
    run(alerts_app, "resolve", "lessor", "a1", "--only", "limit-review", "--why", "limit halved")
    assert [row["id"] for row in objects(alerts_app, "reviews")] == ["a2"]
    assert "due 20" in run(alerts_app, "reviews")
    [done] = objects(alerts_app, "resolve", "lessor", "a2", "--why", "a false alarm")
    assert (done["state"], done["resolution"]) == ("resolved", "a false alarm")
    assert "no limit review is owed" in run(alerts_app, "reviews")
    assert [row["id"] for row in objects(alerts_app, "list", "--open")] == ["a1"]
    with pytest.raises(InputError, match="no alert of this source and id"):
        run(alerts_app, "resolve", "lessor", "a9", "--why", "a false alarm")


def test_rules_that_are_wrong_stop_the_command(alerted: Path) -> None:
    """Naming file and table."""
    with (alerted / "desk.toml").open("a") as file:
        file.write("[alerts]\nreview_days = 0\n")
    with pytest.raises(InputError, match=r"desk.toml: \[alerts\]: has 'review_days' wrong"):
        run(alerts_app, "list")
