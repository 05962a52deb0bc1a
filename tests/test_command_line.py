"""The command line as a whole: its help, what it imports for it, its exit statuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

import veilscore

ROOT = Path(veilscore.__file__).parent
HEAVY = ("torch", "flwr", "ray", "tenseal", "matplotlib", "sklearn", "xgboost", "pyarrow", "grpc")


def commands() -> list[tuple[str, ...]]:
    """Every command, groups among them, as it is typed."""
    found: list[tuple[str, ...]] = []

    def walk(command: object, path: tuple[str, ...]) -> None:
        found.append(path)
        for name, below in getattr(command, "commands", {}).items():
            walk(below, (*path, name))

    walk(typer.main.get_command(veilscore.app), ())
    return found


COMMANDS = commands()


def test_the_commands_are_those_of_the_rooms() -> None:
    """What a newcomer reads about exists."""
    assert {
        ("demo",),
        ("train",),
        ("init",),
        ("disclosures",),
        ("ledger",),
        ("bench", "additive"),
        ("bench", "alignment"),
    } <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "veilscore")
def test_help_says_what_a_command_does_and_takes(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """A sentence of its own, and every option with its help."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["veilscore", *command, "--help"])
        patch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            veilscore.main()
    assert not ended.value.code
    said = capsys.readouterr().out
    assert said.startswith(f"Usage: {' '.join(('veilscore', *command))} ")
    assert "\\" not in said
    node = typer.main.get_command(veilscore.app)
    for name in command:
        node = node.commands[name]  # type: ignore[attr-defined]
    assert node.help
    assert " ".join(node.help.split())[:40] in " ".join(said.split())
    for parameter in node.params:
        if parameter.param_type_name == "option":
            assert parameter.opts[0] in said
            assert parameter.help, f"{parameter.opts[0]} has no help"


def test_help_imports_nothing_heavy() -> None:
    """Help of every command, in one process: no learning library, no Flower, no plotting."""
    script = f"""
import sys, veilscore
for command in {COMMANDS!r}:
    sys.argv = ["veilscore", *command, "--help"]
    try:
        veilscore.main()
    except SystemExit as ended:
        assert not ended.code
found = sorted(name for name in {HEAVY!r} if name in sys.modules)
print("HEAVY", found)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=60,
        check=True,
    )
    assert ended.stdout.splitlines()[-1] == "HEAVY []"
    assert ended.stderr == ""


def command_line(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    return subprocess.run(
        [sys.executable, str(ROOT / "veilscore.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments", [("trian",), ("train", "--model", "x"), ("train", "--fast"), ("bench", "x")]
)
def test_a_command_that_is_not_understood_ends_with_status_2(arguments: tuple[str, ...]) -> None:
    """Usage on stderr, no traceback."""
    ended = command_line(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Usage: " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_a_person_got_wrong_is_one_sentence_on_stderr(tmp_path: Path) -> None:
    """From a real process: status 2."""
    ended = command_line("train", "--config", str(tmp_path / "federation.toml"))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"veilscore: {tmp_path}/federation.toml: there is no such file; a federation file (TOML) "
        "must lie here\n"
    )


def _listen_to_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_ends_with_status_130(tmp_path: Path) -> None:
    """No traceback for whoever presses Ctrl-C."""
    fifo = tmp_path / "federation.toml"
    os.mkfifo(fifo)  # reading it takes as long as we like
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "veilscore.py"), "train", "--config", str(fifo)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs ignore it, and so would what they start.
        preexec_fn=_listen_to_interrupts,
    )
    descriptor = os.open(fifo, os.O_WRONLY)  # returns when the command has begun to read
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        # One that comes between the opening and the reading is seen after the reading only.
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    os.close(descriptor)
    stdout, stderr = process.communicate(timeout=10)
    assert (process.returncode, stdout) == (130, "")
    assert "Traceback" not in stderr
