"""The commands of a party: init, disclosures, ledger, shapes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import veilscore
from clients.federation_file import read_federation
from clients.vault import Vault
from federation.privacy import (
    CLIENT,
    LABEL,
    RECORD,
    DistributedGaussian,
    Exact,
    GaussianRelease,
    RandomisedResponse,
    SampledGaussian,
)
from tests.clients.example_runs import run_all

NOISY = {"name": "noisy", "label_epsilon": 1.0, "noisy_rounds": 1}


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Run the command line; returns its exit status and what it said on stdout and stderr."""
    status = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["veilscore", *map(str, arguments)])
        try:
            veilscore.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `veilscore init` writes, and one run of it."""
    folder = tmp_path_factory.mktemp("cli") / "mine"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["veilscore", "init", str(folder)])
        with pytest.raises(SystemExit) as ended:
            veilscore.main()
    assert not ended.value.code
    run_all(read_federation(folder / "federation.toml"), "run-1", [{"max_rounds": 1}, NOISY])
    return folder


def test_init_says_how_to_go_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The command that it prints names the file that it wrote."""
    status, out, err = run(capsys, "init", tmp_path / "new")
    assert (status, err) == (0, "")
    assert f"veilscore train --config {tmp_path / 'new' / 'federation.toml'}" in out
    assert (tmp_path / "new" / "federation.toml").is_file()
    status, out, err = run(capsys, "init", tmp_path / "new")
    assert (status, out) == (2, "")
    assert err == (
        f"veilscore: {tmp_path / 'new'}: is not empty; name a folder that is new or empty\n"
    )


def test_disclosures_for_people_and_machines(
    capsys: pytest.CaptureFixture[str], federation: Path
) -> None:
    """All parties or one; text or JSON."""
    folder = federation / "runs" / "run-1"
    status, text, err = run(capsys, "disclosures", folder)
    assert (status, err) == (0, "")
    assert text.count("the chain is intact") == 2
    status, lines, _ = run(capsys, "disclosures", folder, "--party", "platform", "--json")
    messages = [json.loads(line) for line in lines.splitlines()]
    assert status == 0
    assert {message["from"] for message in messages} == {"platform"}
    assert len(messages) == text.count(" to bank ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["disclosures", "{}/nowhere"], "holds no disclosure log; name a run's folder"),
        (["disclosures", "{}/runs/run-1", "--party", "shop"], "has no party 'shop'; it has bank"),
        (["ledger", "{}/bank/nowhere.toml"], "there is no such file; name the party's"),
        (["shapes", "{}/runs/run-1/bank/model-none.json"], "there is no model part; train first"),
        (["shapes", "{}/federation.toml"], "not an additive model part"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    capsys: pytest.CaptureFixture[str], federation: Path, arguments: list[str], sentence: str
) -> None:
    """Status 2, nothing on stdout."""
    status, out, err = run(capsys, *(argument.format(federation) for argument in arguments))
    assert (status, out) == (2, "")
    assert err.startswith("veilscore: ")
    assert err.count("\n") == 1
    assert sentence in err


def test_the_ledger_lists_every_release(
    capsys: pytest.CaptureFixture[str], federation: Path
) -> None:
    """Exact ones and noisy ones, each with its unit; as text and as JSON."""
    status, text, _ = run(capsys, "ledger", federation / "bank" / "manifest.toml")
    assert status == 0
    first, second, together = text.splitlines()
    assert " 1 exact release: " in first
    assert " 1 release with discrete Gaussian noise (ρ = " in second
    assert text.count("per one borrower's label: ") == 2
    assert together.startswith("All of bank:")
    assert "no ε bounds what was given away about one borrower's label by 1 release" in together
    _, lines, _ = run(capsys, "ledger", federation / "bank" / "manifest.toml", "--json")
    *entries, total = map(json.loads, lines.splitlines())
    assert [entry["run"] for entry in entries] == ["run-1", "run-1"]
    assert (total["events"], total["epsilon"]) == (2, None)


def test_the_ledger_adds_up_each_unit_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Three units, two data sets: a sum each, at the smallest δ of its entries."""
    manifest = tmp_path / "manifest.toml"
    manifest.touch()
    vault = Vault(tmp_path / "vault")
    vault.enter_event(GaussianRelease(0.01), LABEL, "bank:late", "r1", "sums", None, 1e-5)
    vault.enter_event(RandomisedResponse(0.5), LABEL, "bank:late", "r2", "labels", None, 1e-6)
    vault.enter_event(Exact(), LABEL, "bank:other", "r2", "sums", None, 1e-5)
    vault.enter_event(SampledGaussian(4.0, 0.01, 20), RECORD, "bank:*", "r3", "dp", None, 1e-5)
    vault.enter_event(SampledGaussian(4.0, 0.01, 20), RECORD, "bank:*", "r3", "dp", None, 1e-5)
    shares = DistributedGaussian(100.0, 200.0, 3, 50)
    vault.enter_event(shares, CLIENT, "bank:*", "r3", "update", None, 1e-5)
    _, lines, _ = run(capsys, "ledger", manifest, "--json")
    totals = [entry for entry in map(json.loads, lines.splitlines()) if "epsilon" in entry]
    assert [(one["unit"], one["dataset"], one["events"]) for one in totals] == [
        (LABEL, "bank:late", 2),
        (LABEL, "bank:other", 1),
        (RECORD, "bank:*", 2),
        (CLIENT, "bank:*", 1),
    ]
    assert [one["delta"] for one in totals] == [1e-6, 1e-5, 1e-5, 1e-5]
    history = vault.history(LABEL, "bank:late")
    assert totals[0]["epsilon"] == history.epsilon(1e-6)
    assert totals[1]["epsilon"] is None
    status, text, _ = run(capsys, "ledger", manifest)
    assert status == 0
    assert "All of bank:*: ε = " in text
    assert "for 40 steps of DP-SGD (noise multiplier 4, sampling rate 0.01)." in text


def test_an_empty_ledger_is_said_to_be_empty(
    capsys: pytest.CaptureFixture[str], federation: Path
) -> None:
    """The platform holds no labels."""
    manifest = federation / "platform" / "manifest.toml"
    assert run(capsys, "ledger", manifest)[1].startswith("The ledger is empty")
    assert run(capsys, "ledger", manifest, "--json")[1] == ""


def test_a_tampered_ledger_is_refused(
    capsys: pytest.CaptureFixture[str], federation: Path, tmp_path: Path
) -> None:
    """A line that was taken out shows."""
    path = Vault(tmp_path / "vault").ledger_path
    path.parent.mkdir()
    (tmp_path / "manifest.toml").touch()
    path.write_text(
        "".join((federation / "bank/vault/ledger.jsonl").read_text().splitlines(True)[1:])
    )
    status, out, err = run(capsys, "ledger", tmp_path / "manifest.toml")
    assert (status, out) == (2, "")
    assert "ledger.jsonl, line 1: the entry was altered or moved" in err


def test_shapes_are_drawn_for_their_owner(
    capsys: pytest.CaptureFixture[str], federation: Path, tmp_path: Path
) -> None:
    """One page, for the owner's eyes, without a network."""
    part = federation / "runs" / "run-1" / "platform" / "model-exact.json"
    status, out, _ = run(capsys, "shapes", part, "--output", tmp_path / "page.html")
    assert status == 0
    assert out == f"Wrote {tmp_path / 'page.html'}\n"
    page = (tmp_path / "page.html").read_text()
    assert "share returned" in page
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o600
