"""The example fleet through the command line, as the telemetry's README shows it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.iot.mosquitto_broker import needs_mosquitto

PATIENCE = 60.0


def veilscore(*words: str | int | Path, status: int = 0) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "veilscore", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == status, ended.stderr
    return ended.stdout + ended.stderr


@needs_mosquitto
@pytest.mark.slow
def test_a_fleet_comes_up_and_is_billed(tmp_path: Path) -> None:
    folder = tmp_path / "yard"
    veilscore("iot", "simulate-fleet", folder, "--machines", 3, "--days", 2)
    up = subprocess.Popen(
        [sys.executable, "-m", "veilscore", "iot", "up", str(folder), "--quiet"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + PATIENCE
        while "messages sent" not in (said := _played(folder)):
            assert time.monotonic() < until, said
            time.sleep(0.5)
        up.send_signal(signal.SIGINT)
        told, _ = up.communicate(timeout=PATIENCE)
    finally:
        if up.poll() is None:
            # Not killed: it has a broker of its own to stop.
            up.terminate()
            up.wait(PATIENCE)
    assert up.returncode == 0
    assert "stored and acknowledged" in told
    figures = json.loads(veilscore("iot", "status", folder, "--json"))
    assert figures["devices"] == figures["heard"] == 3
    # Two days of a message a minute, twice sent or not.
    assert figures["samples"] == 3 * 2 * 24 * 60
    assert figures["refused"] == {}
    assert "has no time" not in veilscore("iot", "rent", "ledger", folder)


def _played(folder: Path) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "veilscore", "iot", "play-fleet", str(folder)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return ended.stdout + ended.stderr


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    said = veilscore("iot", "simulate-fleet", tmp_path, status=2)
    assert "is not empty" in said
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("command", [["up"], ["status"], ["alerts", "list"], ["rent", "ledger"]])
def test_a_folder_without_settings_is_one_sentence(tmp_path: Path, command: list[str]) -> None:
    said = veilscore("iot", *command, tmp_path, status=2)
    assert "telemetry.toml' can't be read" in said
    assert said.count("\n") == 1
