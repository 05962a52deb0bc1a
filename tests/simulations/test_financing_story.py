"""The story of one invoice, on both kinds of chain."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from federation.errors import InputError
from simulations import financing_story
from simulations.development_chain import anvil_path, development_chain
from simulations.financing_story import StoryFailed, tell
from veilscore import app

KINDS = ["eth-tester", "anvil"]


def needs(kind: str) -> None:
    """Skip where the kind of chain is not installed."""
    if kind == "anvil" and anvil_path() is None:
        pytest.skip("anvil is not installed; `npm ci` in contracts/solidity brings it")


@pytest.mark.parametrize("kind", KINDS)
def test_every_balance_is_right_at_every_step(kind: str) -> None:
    """The whole story holds, and money is neither made nor lost."""
    needs(kind)
    seen = []
    story = tell(kind, seen.append)
    assert story.chain == kind
    assert seen == story.steps
    assert story.checks > 100
    assert sum(story.balances.values()) == 700_000_00
    assert story.balances["pool"] == story.balances["registry"] == 0
    refused = [step.refused for step in story.steps if step.refused]
    assert refused == [
        "SignatureInvalid",
        "FingerprintTaken",
        "AdvanceOverCap",
        "AlreadyFinanced",
        "ERC721InsufficientApproval",
        "TooEarlyToDefault",
    ]
    # The bank's profit is the discount, the late fee and late interest; no more, no less.
    assert 0 < story.balances["bank"] - 500_000_00 < 1_000_00


@pytest.mark.slow
def test_a_wrong_balance_ends_the_story(monkeypatch: pytest.MonkeyPatch) -> None:
    """Books that expect another discount than the contract's are told apart by one minor unit."""
    monkeypatch.setattr(financing_story, "RATE", 600)
    monkeypatch.setattr(
        financing_story,
        "Attestation",
        lambda **fields: replace(_attestation(**fields), rate_bps=601),
    )
    with pytest.raises(StoryFailed, match=r"is \d+ on the chain; \d+ is right"):
        tell("eth-tester")


_attestation = financing_story.Attestation


def test_time_moves_and_chains_are_gone_after_use() -> None:
    """A chain's clock goes on by the days asked for."""
    with development_chain("eth-tester") as development:
        before = development.chain.header("latest").time
        development.move_time(86_400)
        passed = development.chain.header("latest").time - before
        assert 86_400 <= passed.total_seconds() <= 86_410


def test_an_unknown_chain_is_refused() -> None:
    """The sentence says which there are."""
    with pytest.raises(InputError, match="choose anvil or eth-tester"), development_chain("main"):
        pass


@pytest.mark.slow
def test_the_command_prints_one_json_object() -> None:
    """`--json` for machines: steps, balances, comparisons."""
    result = CliRunner().invoke(app, ["receivables", "--chain", "eth-tester", "--json"])
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["chain"] == "eth-tester"
    assert sum(record["balances_minor"].values()) == 700_000_00
    assert {step["refused"] for step in record["steps"]} >= {None, "FingerprintTaken"}
