"""`veilscore party serve` and `party log` as processes: two partners, a bank, and bad input."""

from __future__ import annotations

import asyncio
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clients.answering.model_parts import variant_parties
from clients.answering.settings import ServingSettings, read_serving
from clients.federation_file import read_federation
from federation.errors import InputError
from federation.scoring import variant_name
from federation.scoring.contribution import combine
from tests.clients.answering_sides import Bank, offline_points, variant_of

PARTIES = ("platform", "telecom")
# As a person's shell has it: Flower, which other tests import, tells gRPC how much to say.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}


@pytest.fixture
def federation(trained_three: Path, tmp_path: Path) -> Path:
    """A copy of one's own."""
    shutil.copytree(trained_three.parent, tmp_path / "all", symlinks=True)
    return tmp_path / "all" / trained_three.name


def arguments(federation: Path, party: str, *more: str) -> list[str]:
    """The command that a partner runs."""
    manifest = federation.parent / party / "manifest.toml"
    run = federation.parent / "runs" / "r1"
    return ["party", "serve", str(manifest), "--config", str(federation), "--run", str(run), *more]


def command(words: list[str]) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "veilscore", *words],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def served(federation: Path, party: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A partner's process, and the address that it prints."""
    words = arguments(federation, party, "--listen", "127.0.0.1:0")
    process = subprocess.Popen(
        [sys.executable, "-m", "veilscore", *words],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 60)[0]
        lines = [process.stdout.readline()]
        assert lines[0].startswith(f"{party} answers on "), (lines, process.poll())
        while not lines[-1].startswith("  at most "):
            lines.append(process.stdout.readline())
            assert lines[-1]
        (other,) = {*PARTIES} - {party}
        assert any(f"session r1-session, masked with {other}" in line for line in lines)
        yield process, lines[0].split(" answers on ")[1].split(",")[0]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


@pytest.mark.slow
def test_two_partners_answer_a_bank(federation: Path) -> None:
    """Points as offline; a table read again at SIGHUP; an orderly end; a log that says it all."""
    bank = Bank(federation)
    exact = variant_of(federation, "exact", PARTIES, "r1")
    offline = {p: offline_points(federation, p, "exact", "r1") for p in PARTIES}
    shared = sorted(set(offline["platform"]) & set(offline["telecom"]))
    table = federation.parent / "telecom" / "customers.csv"
    with served(federation, "platform") as (_, one), served(federation, "telecom") as (second, two):
        addresses = {"platform": one, "telecom": two}
        answers = asyncio.run(bank.ask(addresses, exact, shared))
        expected = [sum(of[name] for of in offline.values()) for name in shared]
        assert combine(answers).tolist() == expected
        lines = table.read_text().splitlines()
        gone = shared[0]
        table.write_text("\n".join(x for x in lines if not x.startswith(f"{gone},")) + "\n")
        second.send_signal(signal.SIGHUP)
        until = time.monotonic() + 30
        while asyncio.run(bank.ask(addresses, exact, [gone]))[1].known[0]:
            assert time.monotonic() < until
            time.sleep(0.05)
        second.send_signal(signal.SIGTERM)
        _, errors = second.communicate(timeout=30)
        assert (second.returncode, errors) == (0, "")
    manifest = str(federation.parent / "telecom" / "manifest.toml")
    listed = command(["party", "log", manifest, "--json"])
    bodies = [json.loads(line) for line in listed.stdout.splitlines()]
    assert sum(body["borrowers"] for body in bodies) >= len(shared) + 1
    assert {body["to"] for body in bodies} == {"bank"}
    log = federation.parent / "telecom" / "vault" / "answers" / "answers.jsonl"
    log.write_text(log.read_text().replace('"requests":1', '"requests":0', 1))
    for words in (["party", "log", manifest], arguments(federation, "telecom")):
        found = command(words)
        assert found.returncode == 2
        assert "the entry " in found.stderr


def refusal(federation: Path, party: str, *more: str) -> str:
    """The one sentence with which the command ends."""
    ended = command(arguments(federation, party, *more))
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.count("\n") == 1
    return ended.stderr


def test_bad_input_is_one_sentence(federation: Path) -> None:
    """A taken port, which needs a process to find out."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        sentence = refusal(federation, "platform", "--listen", f"127.0.0.1:{port}")
        assert f"can't listen on '127.0.0.1:{port}'" in sentence


def job_refused(
    federation: Path, party: str = "platform", run: str = "r1", listen: str | None = None
) -> str:
    """The sentence with which a job is refused before any table is read."""
    from clients.answering.app import answer_job

    folder = federation.parent
    with pytest.raises(InputError) as caught:
        answer_job(folder / party / "manifest.toml", federation, [folder / "runs" / run], listen)
    return str(caught.value)


def test_what_can_not_be_served_is_refused(federation: Path) -> None:
    """Files that are missing, of another party or federation, or no points."""
    folder = federation.parent
    parts = folder / "runs" / "r1" / "platform"
    assert "there is no such folder" in job_refused(federation, run="r2")
    assert "the label party asks" in job_refused(federation, "bank")
    assert "host and port are right" in job_refused(federation, listen="7443")
    kept = (parts / "model-exact.json").read_text()
    other = (folder / "runs/r1/telecom/model-exact.json").read_text()
    (parts / "model-exact.json").write_text(other)
    assert "is the model part of 'telecom', not of 'platform'" in job_refused(federation)
    (parts / "model-exact.json").write_text(kept.replace("r1-session", "r2-session"))
    assert "parts of several sessions (r1-session, r2-session)" in job_refused(federation)
    (parts / "model-exact.json").write_text("{")
    assert "not an additive model part" in job_refused(federation)
    (parts / "model-exact.json").write_text(kept)
    (parts / "model-other.json").write_text(kept)
    assert "its name must be model-exact.json" in job_refused(federation)
    (parts / "model-other.json").unlink()
    name = "exact~lessor+platform"
    strange = kept.replace('"training":"exact"', f'"training":"{name}"')
    (parts / f"model-{name}.json").write_text(strange)
    assert "but those of the federation file are platform, telecom" in job_refused(federation)
    for path in parts.glob("model-*.json"):
        path.unlink()
    assert job_refused(federation).endswith("no model part to answer with; train first")
    (parts / "model-split.safetensors").write_bytes(b"")
    assert "takes embeddings of a split training" in job_refused(federation)


def test_a_wrong_federation_is_refused(federation: Path) -> None:
    """Another manifest than the file's, a party that it does not have, and keys it does not pin."""
    folder = federation.parent
    text = federation.read_text()
    shutil.copytree(folder / "platform", folder / "elsewhere")
    moved = text.replace('"platform/manifest.toml"', '"elsewhere/manifest.toml"')
    federation.write_text(moved)
    assert "name the federation file that this party belongs to" in job_refused(federation)
    federation.write_text(text.replace("[parties.platform]", "[parties.shop]"))
    assert "there is no party 'platform'" in job_refused(federation)
    federation.write_text(text)
    (folder / "bank" / "manifest.toml").unlink()
    assert "[parties.bank] has no 'key'" in job_refused(federation)


def test_a_variants_parties_stand_in_its_name() -> None:
    """As the training named it; a name without any has all."""
    parties = ("core", "lessor", "platform")
    assert variant_parties("exact", parties) == parties
    for some in (("core",), ("core", "platform")):
        assert variant_parties(variant_name("exact", some), parties) == some


def test_settings_of_serving(federation: Path) -> None:
    """Read from the manifest, which training reads too; defaults where nothing is said."""
    manifest = federation.parent / "platform" / "manifest.toml"
    text = manifest.read_text()
    assert read_serving(manifest) == ServingSettings()
    manifest.write_text(
        text + '\n[serving]\nlisten = "0.0.0.0:7"\nreasons = true\nalone = false\n'
        "cache_seconds = 5\nreload_seconds = 60\nrequests_per_second = 9\nborrowers_per_day = 8\n"
    )
    assert read_serving(manifest) == ServingSettings("0.0.0.0:7", True, False, 5, 60, 9, 8)
    read_federation(federation).manifest_of("platform")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("reason = true", "did you mean 'reasons'?"),
        ("reasons = 1", "it must be true or false"),
        ("cache_seconds = 100000", "it must be at most 3600"),
        ("requests_per_second = 0", "a whole number from 1 up"),
        ("borrowers_per_day = -1", "a whole number from 0 up"),
        ('listen = "here"', "host and port are right"),
        ('listen = "here:70000"', "host and port are right"),
        ("reload_seconds = 0", "with [consent] it must be above 0"),
    ],
)
def test_settings_that_are_refused(federation: Path, line: str, words: str) -> None:
    """One sentence that names the table."""
    manifest = federation.parent / "platform" / "manifest.toml"
    manifest.write_text(f"{manifest.read_text()}\n[serving]\n{line}\n")
    with pytest.raises(InputError) as caught:
        read_serving(manifest)
    assert words in str(caught.value)
    assert "[serving]" in str(caught.value)
