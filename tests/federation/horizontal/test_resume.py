"""A coordinator that was stopped goes on from what it wrote down, wherever that was."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from federation.errors import PartyFailure
from federation.horizontal.server import Limits, Transcript
from federation.proto.horizontal_pb2 import Order
from tests.federation.horizontal.banks import (
    FIVE,
    Answer,
    Drive,
    at,
    plan_of,
    silent,
    step_of,
)

torch.set_num_threads(1)


def stopped(asks: int) -> tuple[Drive, Transcript]:
    """A run whose coordinator ends with the replies to so many asks, and does nothing with them.

    They are: 1 to join, 2 and 3 to set up, then two a step and one for the end.
    """
    drive = Drive(plan_of(rounds=2))
    assert drive.run(asks=asks) is None
    assert drive.transcript is not None
    return drive, drive.transcript


def test_a_run_can_be_stopped_anywhere_and_ends_with_the_same_model() -> None:
    """Contributed, unmasked, finished: nothing is lost, and no update is counted twice."""
    undisturbed = Drive(plan_of(rounds=2))
    expected = undisturbed.finish()
    for asks in range(4, 13):
        drive, transcript = stopped(asks)
        outcome = drive.finish(transcript=transcript)
        assert outcome.banks == FIVE
        assert outcome.model_digest == expected.model_digest
        assert outcome.excluded == {}
        drive.check_same(outcome)
        drive.check_sums()
        for bank in FIVE:
            assert len(drive.spent[bank]) == 2  # one a unit of privacy


def test_a_run_that_had_ended_ends_again() -> None:
    """Whoever resumes it gets the same outcome, and asks for no contribution."""
    drive = Drive(plan_of(rounds=1))
    first = drive.finish()
    drive.asked.clear()
    again = drive.finish(transcript=drive.transcript)
    assert (again.banks, again.model_digest) == (first.banks, first.model_digest)
    assert [kind for kind, *_ in drive.asked] == ["join", "contribute"]


def test_a_bank_that_is_behind_gets_what_it_lacks() -> None:
    """It was away when the others took the last total."""
    drive = Drive(plan_of(rounds=2), tamper=at("dogwood", "contribute", 2, silent))
    drive.run(asks=8)
    assert (drive.state("dogwood").opened, drive.state("elm").opened) == (0, 1)
    outcome = drive.finish(transcript=drive.transcript)
    assert outcome.banks == FIVE
    drive.check_same(outcome)


def test_a_bank_that_is_ahead_of_the_transcript_is_left_out() -> None:
    """The transcript was put back to an earlier state: its steps are used up."""
    drive, transcript = stopped(9)
    with pytest.raises(PartyFailure, match="is ahead of the coordinator's transcript"):
        drive.finish(transcript=dataclasses.replace(transcript, totals=()))


def test_a_bank_that_lost_its_vault_is_left_out() -> None:
    """Its masks and keys are gone; the others go on."""
    drive, transcript = stopped(8)
    del drive.states["dogwood"]
    outcome = drive.finish(transcript=transcript)
    assert outcome.excluded == {"dogwood": "has lost its keys of this run"}
    drive.check_same(outcome)


def test_a_bank_that_does_not_come_back_is_left_out() -> None:
    """By name; the others go on, and nothing is sent to it."""
    drive, transcript = stopped(8)
    drive.asked.clear()
    outcome = drive.finish(transcript=transcript, banks=[name for name in FIVE if name != "elm"])
    assert outcome.excluded == {"elm": "did not come back"}
    assert not any("elm" in names for _, _, names, _ in drive.asked)
    drive.check_same(outcome)


def test_a_sum_that_was_unmasked_and_lost_is_made_again_of_the_same_banks_only() -> None:
    """The coordinator ended with the shares in its hands; another sum would show the difference."""

    def missed(name: str, order: Order, answer: Answer) -> bytes | None:
        return None if (name, *step_of(order)) == ("elm", "contribute", 1) else answer()

    drive = Drive(plan_of(rounds=2), tamper=missed)
    drive.run(asks=7)
    assert drive.state("cedar").released == list(FIVE[:4])
    outcome = drive.finish(transcript=drive.transcript)
    assert outcome.banks == FIVE  # elm comes back for the next round
    assert [len(total.survivors) for total in drive.totals] == [5, 4, 5, 5]
    drive.check_sums()

    drive = Drive(plan_of(rounds=2), tamper=missed)
    drive.run(asks=7)
    with pytest.raises(PartyFailure, match="can't be tried again without ash"):
        drive.finish(transcript=drive.transcript, banks=FIVE[1:])


def test_masks_that_banks_have_prepared_are_not_asked_for_twice() -> None:
    """The coordinator ended while a second block was being prepared."""
    drive = Drive(plan_of(rounds=2), limits=Limits(3, 1, block_steps=2))
    drive.run(asks=8)
    assert drive.asked[-1][0] == "setup"
    outcome = drive.finish(transcript=drive.transcript)
    assert outcome.banks == FIVE
    assert outcome.excluded == {}
    drive.check_sums()
