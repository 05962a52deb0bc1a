"""Banks that drop out, send rubbish or lie: left out by name, and the run goes on exactly."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from federation.errors import PartyFailure
from federation.horizontal.messages import encode_reply
from federation.horizontal.server import Limits
from federation.neural.schema import NumericInput
from federation.proto.horizontal_pb2 import Finished, NeedEveryone, Order, Reply
from tests.federation.horizontal.banks import (
    FIVE,
    SCHEMA,
    Answer,
    Drive,
    Tamper,
    at,
    changed,
    plan_of,
    rows_of,
    silent,
    step_of,
    too_late,
)

torch.set_num_threads(1)
FOUR = ("ash", "birch", "cedar", "elm")


@pytest.mark.parametrize("kind", ["contribute", "unmask"])
@pytest.mark.parametrize("how", [silent, too_late])
def test_a_bank_that_misses_a_step_is_back_in_the_next(
    kind: str, how: Callable[[Answer], None]
) -> None:
    """Before its contribution or between that and its shares; the sum is exact either way."""
    drive = Drive(tamper=at("dogwood", kind, 1, how))
    outcome = drive.finish()
    assert outcome.banks == FIVE
    assert outcome.silent == {"dogwood": 1}
    drive.check_same(outcome)
    drive.check_sums()
    without = FOUR if kind == "contribute" else FIVE
    assert [tuple(total.survivors) for total in drive.totals] == [FIVE, without, FIVE, FIVE, FIVE]


def test_a_dead_bank_is_waited_for_once() -> None:
    """Steps go on without waiting, and at the end the others hold the model."""

    def dead(name: str, order: Order, answer: Answer) -> bytes | None:
        died = name == "dogwood" and order.contribute.step + order.unmask.step >= 1
        return None if died else answer()

    drive = Drive(plan_of(rounds=4), tamper=dead)
    outcome = drive.finish()
    assert outcome.banks == FOUR
    assert outcome.rounds == 4
    assert outcome.excluded == {"dogwood": "did not come to the end"}
    waited = [names for kind, _, names, waited in drive.asked if "dogwood" in waited]
    assert len(waited) == 1 + 1 + 2 + 1 + 1  # to join, to prepare, the statistics, dead, the end
    drive.check_sums()


def test_a_bank_is_waited_for_again_where_it_is_needed() -> None:
    """Two silent of five are one too many: the step fails, and the next one waits for both."""

    def lost(name: str, order: Order, answer: Answer) -> bytes | None:
        return None if step_of(order) == ("contribute", 2) and name < "cedar" else answer()

    drive = Drive(tamper=lost)
    outcome = drive.finish()
    assert outcome.banks == FIVE
    assert outcome.excluded == {}
    again = [waited for kind, step, _, waited in drive.asked if (kind, step) == ("contribute", 3)]
    assert again == [frozenset(FIVE)]
    drive.check_same(outcome)
    drive.check_sums()


def test_a_step_that_is_tried_again_sends_the_same() -> None:
    """Nothing is computed twice, and what did not fit an update is counted once."""

    def lost(name: str, order: Order, answer: Answer) -> bytes | None:
        return None if step_of(order) == ("contribute", 2) and name < "cedar" else answer()

    drive = Drive(tamper=lost)
    drive.finish()
    for bank in ("cedar", "dogwood", "elm"):
        assert (drive.slots[2, bank] == drive.slots[3, bank]).all()
    undisturbed = Drive()
    undisturbed.finish()
    assert drive.state("ash").weights.tobytes() == undisturbed.state("ash").weights.tobytes()


def test_what_a_late_bank_had_left_over_stays_its_own() -> None:
    """Its contribution is in no sum, so what rounding took off it is not owed to anybody."""
    drive = Drive(tamper=at("dogwood", "contribute", 2, too_late))
    drive.run(stop=lambda kept: len(kept.totals) == 2)
    before = drive.state("dogwood").next_remainder
    drive = Drive(tamper=at("dogwood", "contribute", 2, too_late))
    drive.run(stop=lambda kept: len(kept.totals) == 4)
    state = drive.state("dogwood")
    assert state.rounds == 2
    assert (state.remainder == before).all()
    assert before.any()


def garbage(reply: Reply) -> None:
    """Bytes that are no ciphertext."""
    reply.contributed.contribution.ciphertext = b"\x07" * 99


def noise(reply: Reply) -> None:
    """A ciphertext's length of anything."""
    size = len(reply.contributed.contribution.ciphertext)
    reply.contributed.contribution.ciphertext = np.random.default_rng(0).bytes(size)


def longer(reply: Reply) -> None:
    """The right number of slots said, the ciphertext of twice as many."""
    reply.contributed.contribution.ciphertext *= 2


def more_slots(reply: Reply) -> None:
    """Another length than the other banks'."""
    reply.contributed.contribution.slots += 1


def other_key(reply: Reply) -> None:
    """Under a key of another run."""
    reply.contributed.contribution.key_id = bytes(16)


def other_step(reply: Reply) -> None:
    """For an earlier step."""
    reply.contributed.contribution.step -= 1


def lie(reply: Reply) -> None:
    """Says it starts from another model."""
    reply.contributed.model_digest = "0" * 64


def other_round(reply: Reply) -> None:
    """Says it is in another round."""
    reply.contributed.round += 1


def without_body(reply: Reply) -> None:
    """Nothing in it."""
    reply.ClearField("contributed")


def as_another(reply: Reply) -> None:
    """In another bank's name."""
    reply.bank = "elm"


def at_the_end(reply: Reply) -> None:
    """Says that training is over."""
    reply.finished.CopyFrom(Finished(model_digest="0" * 64, rounds=1))


def wants_all(reply: Reply) -> None:
    """Says that all banks must take part, who all do."""
    reply.need_everyone.CopyFrom(NeedEveryone(step=2, phase="update"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (garbage, "a ciphertext of 99 bytes"),
        (noise, "a coefficient beyond the modulus"),
        (longer, "a ciphertext of "),
        (more_slots, "another model"),
        (other_key, "another key than this run's"),
        (other_step, "a vector of step 1 to step 2"),
        (lie, "another model"),
        (other_round, "another model"),
        (without_body, "no content"),
        (as_another, "sent a reply of 'elm'"),
        (at_the_end, "another stage of the run"),
        (wants_all, "another stage of the run"),
    ],
)
def test_a_bad_contribution_is_left_out_by_name(
    change: Callable[[Reply], None], reason: str
) -> None:
    """The reason says what was wrong, and the step is summed without it."""
    drive = Drive(tamper=at("dogwood", "contribute", 2, changed(change)))
    outcome = drive.finish()
    assert outcome.banks == FOUR
    assert outcome.rounds == 3
    assert list(outcome.excluded) == ["dogwood"]
    assert reason in outcome.excluded["dogwood"]
    drive.check_same(outcome)
    drive.check_sums()


def test_bytes_that_are_no_reply_are_left_out_by_name() -> None:
    """Whether empty or random."""
    for data in (b"", b"\xff" * 40):
        outcome = Drive(tamper=at("dogwood", "contribute", 1, lambda _, data=data: data)).finish()
        assert outcome.banks == FOUR
        assert "dogwood" in outcome.excluded["dogwood"]


def test_a_reply_that_comes_again_is_left_out_by_name() -> None:
    """As it was, or in the frame of a new reply."""
    kept: list[bytes] = []

    def replay(name: str, order: Order, answer: Answer) -> bytes | None:
        reply = answer()
        if name == "dogwood" and step_of(order) == ("contribute", 1):
            kept.append(reply)
        if name == "dogwood" and step_of(order) == ("contribute", 2):
            return kept[0]
        return reply

    outcome = Drive(tamper=replay).finish()
    assert "again; the reply to order" in outcome.excluded["dogwood"]

    def reframe(name: str, order: Order, answer: Answer) -> bytes | None:
        reply = replay(name, order, answer)
        if name == "dogwood" and step_of(order) == ("contribute", 2) and reply:
            old = Reply.FromString(reply).contributed
            old.step = old.contribution.step = 2
            old.round, old.phase = 1, "update"
            old.model_digest = drive.bound[2, "cedar"].decode()
            return encode_reply(order, old)
        return reply

    kept.clear()
    drive = Drive(tamper=reframe)
    outcome = drive.finish()
    assert "dogwood" in outcome.excluded["dogwood"]
    assert outcome.banks == FOUR
    drive.check_sums()


def test_a_bank_with_a_cipher_of_another_size_or_scheme_is_left_out() -> None:
    """Its contribution is made with other parameters than the run's."""
    from federation.aggregation.sum_ciphers import sum_cipher

    for scheme, clients in (("ckks", 5), ("bfv", 200)):
        cipher = sum_cipher(scheme, clients)

        def other(reply: Reply, cipher: object = cipher) -> None:
            contribution = reply.contributed.contribution
            values = np.zeros(contribution.slots, np.uint64)
            contribution.ciphertext = cipher.encrypt(cipher.new_key(), values)  # type: ignore[attr-defined]

        drive = Drive(
            plan_of(hidden=(500,), rounds=1), tamper=at("elm", "contribute", 1, changed(other))
        )
        outcome = drive.finish()
        assert outcome.banks == ("ash", "birch", "cedar", "dogwood")
        assert "elm" in outcome.excluded["elm"]
        drive.check_sums()


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (rows_of("dogwood", 5), "5"),
        (rows_of("dogwood", classes=1), "class"),
    ],
)
def test_rows_that_can_t_be_trained_on_stay_out(rows: object, reason: str) -> None:
    """The other banks train without."""
    drive = Drive(rows={"dogwood": rows})  # type: ignore[dict-item]
    outcome = drive.finish()
    assert outcome.banks == FOUR
    assert outcome.excluded["dogwood"].startswith("declined: ")
    assert reason in outcome.excluded["dogwood"]
    drive.check_sums()


def test_another_schema_or_setting_is_left_out_by_name() -> None:
    """Digests of the plans are compared before anything else is sent."""
    unit = dataclasses.replace(
        SCHEMA, numeric=(NumericInput("income", "USD", 0.0, 10_000.0), *SCHEMA.numeric[1:])
    )
    for plan in (plan_of(schema=unit), plan_of(learning_rate=0.2), plan_of(scheme="ckks")):
        drive = Drive(plans={"dogwood": plan})
        outcome = drive.finish()
        assert outcome.banks == FOUR
        assert set(outcome.excluded) == {"dogwood"}
        assert outcome.excluded["dogwood"].startswith("has another plan or schema (federation file")


def test_without_a_majority_there_is_no_run() -> None:
    """Two plans with two banks each: one sentence says what to compare."""
    other = plan_of(FIVE[:4], minimum_banks=2, learning_rate=0.2)
    drive = Drive(
        plan_of(FIVE[:4], minimum_banks=2), plans={"ash": other, "birch": other}, limits=Limits(2)
    )
    with pytest.raises(PartyFailure, match="no majority"):
        drive.finish()


def test_training_that_diverges_at_one_bank_leaves_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN is never encoded."""
    from federation.horizontal import contribution

    train = contribution.train_locally
    calls = iter(range(1000))

    def diverging(*arguments: object) -> object:
        update = train(*arguments)  # type: ignore[arg-type]
        if next(calls) == 8:  # the fourth bank's second round
            return dataclasses.replace(update, delta=update.delta * np.float32("nan"))
        return update

    monkeypatch.setattr(contribution, "train_locally", diverging)
    drive = Drive()
    outcome = drive.finish()
    assert outcome.banks == FOUR
    assert outcome.excluded["dogwood"].startswith("declined: ")
    drive.check_sums()


def test_fewer_than_the_minimum_is_one_sentence() -> None:
    """Who is missing and why, whether at the start or in a step."""

    def dead(first: int) -> Tamper:
        def tamper(name: str, order: Order, answer: Answer) -> bytes | None:
            step = max(order.contribute.step, order.unmask.step)
            return None if name > "birch" and step >= first else answer()

        return tamper

    with pytest.raises(PartyFailure, match=r"are left and at least 3 .*did not answer in time"):
        Drive(tamper=dead(0)).finish()
    with pytest.raises(PartyFailure, match=r"steps in a row could not be summed|are left"):
        Drive(tamper=dead(1)).finish()


def out_of_range(reply_step: int, bank: str) -> Tamper:
    """A bank that encodes what no honest one can: its slots, and the largest there are."""
    from federation.aggregation import SecureSumClient
    from federation.aggregation.messages import checksum

    def tamper(name: str, order: Order, answer: Answer) -> bytes | None:
        reply = answer()
        if name != bank or order.contribute.step < reply_step or not order.HasField("contribute"):
            return reply
        message = Reply.FromString(reply)
        contribution = message.contributed.contribution
        if not contribution.slots:
            return reply
        client = SecureSumClient.from_bytes(tamper.drive.state(name).secure_sum)  # type: ignore[attr-defined]
        cipher = client.cipher
        extra = np.full(contribution.slots, cipher.modulus - 1, np.uint64)
        summed = cipher.add([contribution.ciphertext], extra)
        words = np.frombuffer(summed, "<u8").tobytes()
        contribution.ciphertext = words
        contribution.checksum = checksum(contribution, words)
        return message.SerializeToString()

    return tamper


def test_a_sum_that_can_t_be_used_is_discarded_and_tried_again() -> None:
    """Once: all banks go on from the same model, with the same banks' contributions."""
    bad = out_of_range(2, "dogwood")

    def once(name: str, order: Order, answer: Answer) -> bytes | None:
        if step_of(order) == ("contribute", 2):
            return bad(name, order, answer)
        if step_of(order) == ("contribute", 3) and name == "elm":
            return None  # what is tried again needs the same banks: one more step
        return answer()

    drive = Drive(tamper=once)
    bad.drive = drive  # type: ignore[attr-defined]
    outcome = drive.finish()
    assert outcome.banks == FIVE
    assert outcome.rounds == 3
    assert any(note.stage == "discarded" for note in drive.notes)
    assert [total.step for total in drive.totals] == [0, 1, 2, 4, 5, 6]
    drive.check_same(outcome)
    undisturbed = Drive()
    undisturbed.finish()
    assert drive.state("ash").weights.tobytes() == undisturbed.state("ash").weights.tobytes()


def test_sums_that_can_never_be_used_end_the_run() -> None:
    """After three in a row, with a sentence."""
    bad = out_of_range(2, "dogwood")
    drive = Drive(tamper=bad)
    bad.drive = drive  # type: ignore[attr-defined]
    with pytest.raises(PartyFailure, match="3 sums in a row were of no use"):
        drive.finish()


def test_counts_that_can_t_be_used_cost_the_figures_not_the_model() -> None:
    """The run ends as it would have, without an evaluation."""
    bad = out_of_range(4, "dogwood")
    drive = Drive(tamper=bad)
    bad.drive = drive  # type: ignore[attr-defined]
    outcome = drive.finish()
    assert outcome.banks == FIVE
    assert drive.state("ash").evaluation == {}


def test_shares_that_are_none_leave_their_sender_out() -> None:
    """The sum is completed by the other banks' shares."""

    def broken(reply: Reply) -> None:
        for name in reply.unmasked.shares.self_mask_shares:
            reply.unmasked.shares.self_mask_shares[name] = b"no share"

    drive = Drive(tamper=at("dogwood", "unmask", 2, changed(broken)))
    outcome = drive.finish()
    assert outcome.banks == FOUR
    assert "dogwood" in outcome.excluded["dogwood"]
    drive.check_sums()


def test_shares_that_do_not_fit_leave_their_sender_out() -> None:
    """One wrong share of five is found out by the other four."""

    def wrong(reply: Reply) -> None:
        for name in reply.unmasked.shares.self_mask_shares:
            reply.unmasked.shares.self_mask_shares[name] = bytes(33)

    drive = Drive(tamper=at("dogwood", "unmask", 2, changed(wrong)))
    outcome = drive.finish()
    assert outcome.banks == FOUR
    assert "do not fit" in outcome.excluded["dogwood"]
    drive.check_sums()


def test_a_bank_whose_masks_open_nowhere_is_the_one_to_go() -> None:
    """Not the banks that say so: they are asked again."""

    def broken(reply: Reply) -> None:
        for name, sealed in reply.ready.preparation.sealed.items():
            reply.ready.preparation.sealed[name] = bytes(len(sealed))

    drive = Drive(tamper=at("dogwood", "setup", -1, changed(broken)))
    outcome = drive.finish()
    assert outcome.banks == FOUR
    assert "what dogwood sealed for" in outcome.excluded["dogwood"]
    drive.check_sums()


def test_a_key_that_opens_nowhere_leaves_its_maker_out() -> None:
    """The next bank by name makes another one."""

    def broken(reply: Reply) -> None:
        for name, wrapped in reply.ready.key.wrapped.items():
            reply.ready.key.wrapped[name] = bytes(len(wrapped))

    drive = Drive(tamper=at("ash", "setup", -1, changed(broken)))
    outcome = drive.finish()
    assert outcome.banks == FIVE[1:]
    assert "what ash sealed for" in outcome.excluded["ash"]
    drive.check_sums()


def test_a_bank_that_is_silent_over_the_keys_is_left_out() -> None:
    """And new keys are made without it."""
    for name in ("ash", "elm"):
        drive = Drive(tamper=at(name, "setup", -1, silent))
        outcome = drive.finish()
        assert name in outcome.excluded
        assert len(outcome.banks) == 4
        drive.check_sums()


def test_shares_that_came_too_late_are_asked_for_again() -> None:
    """Two of five are too few to do without; they say what they said before."""

    def late(name: str, order: Order, answer: Answer) -> bytes | None:
        reply = answer()
        first = step_of(order) == ("unmask", 1) and name not in seen
        seen.update([name] if step_of(order) == ("unmask", 1) else [])
        return None if first and name < "cedar" else reply

    seen: set[str] = set()
    drive = Drive(tamper=late)
    outcome = drive.finish()
    assert outcome.banks == FIVE
    asked = [names for kind, step, names, _ in drive.asked if (kind, step) == ("unmask", 1)]
    assert asked == [FIVE, ("ash", "birch")]
    assert outcome.steps == 5
    drive.check_sums()
