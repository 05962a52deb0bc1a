"""A coordinator that does not keep to the protocol: what a bank does not give it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from federation.aggregation import SecureSumClient
from federation.aggregation.messages import checksum
from federation.errors import InputError, PartyFailure, ProtocolError, VeilscoreError
from federation.horizontal.client_state import BankState
from federation.horizontal.messages import PROTOCOL_VERSION, decode_order
from federation.horizontal.server import Limits
from federation.identity import Voucher
from federation.proto.horizontal_pb2 import Declined, Order, Reply
from federation.proto.secure_sum_pb2 import MaskedTotal
from tests.federation.horizontal.banks import FIVE, KEYS, PINS, RUN, Answer, Drive, plan_of, step_of

torch.set_num_threads(1)


def recorded(steps: int) -> tuple[Drive, dict[tuple[str, str, int], Order]]:
    """A run up to so many totals, and every order in it by bank, kind and step."""
    orders: dict[tuple[str, str, int], Order] = {}

    def note(name: str, order: Order, answer: Answer) -> bytes | None:
        orders[(name, *step_of(order))] = order
        return answer()

    drive = Drive(tamper=note)
    drive.run(stop=lambda kept: len(kept.totals) == steps)
    return drive, orders


def ask(drive: Drive, bank: str, order: Order) -> tuple[str, bytes]:
    """A bank's reply, its state kept as it would be."""
    machine = drive.bank(bank)
    reply = machine.answer(order.SerializeToString())
    drive.states[bank] = drive.state_of(machine).to_bytes()
    return reply


def changed(order: Order, **fields: Any) -> Order:
    """A copy of an order with other fields in its body."""
    copy = Order.FromString(order.SerializeToString())
    body = getattr(copy, str(copy.WhichOneof("body")))
    for name, value in fields.items():
        if isinstance(value, list):
            del getattr(body, name)[:]
            getattr(body, name).extend(value)
        else:
            setattr(body, name, value)
    return copy


def test_a_run_key_that_its_bank_did_not_sign_is_refused() -> None:
    """With keys of its own in the middle the coordinator would hold the run's encryption key."""
    declined: list[Declined] = []

    def swap(name: str, order: Order, answer: Answer) -> bytes | None:
        if (name, order.WhichOneof("body")) == ("cedar", "setup") and not declined:
            other = Order.FromString(order.SerializeToString())
            other.setup.public_keys["elm"] = SecureSumClient.start("elm", RUN).public_key
            unsigned = Order.FromString(order.SerializeToString())
            unsigned.setup.signatures.pop("ash")
            for changed_order in (other, unsigned):
                kind, reply = drive.bank("cedar").answer(changed_order.SerializeToString())
                assert kind == "declined"
                declined.append(Reply.FromString(reply).declined)
        return answer()

    drive = Drive(tamper=swap)
    drive.run(stop=lambda kept: len(kept.totals) == 1)
    assert [one.blames for one in declined] == ["elm", "ash"]
    assert "the run key of elm was not signed" in declined[0].reason


def test_a_bank_helps_with_one_sum_of_a_round_only() -> None:
    """The sum of other banks' contributions to the same round would show the difference."""
    drive, orders = recorded(2)  # step 1 was unmasked for all five, and its total not yet sent
    contribute = orders["cedar", "contribute", 1]
    ask(drive, "cedar", changed(contribute, step=2, totals=[]))
    unmask = orders["cedar", "unmask", 1]
    with pytest.raises(ProtocolError, match="does not help to open another"):
        ask(drive, "cedar", changed(unmask, step=2, survivors=["ash", "birch", "cedar", "elm"]))
    kind, _ = ask(drive, "cedar", changed(unmask, step=2))  # the same banks: the same sum
    assert kind == "unmasked"
    assert (drive.slots[1, "cedar"] == drive.state("cedar").slots).all()


def test_both_kinds_of_shares_of_one_step_are_never_given() -> None:
    """Asked again in other words, a bank refuses; in the same words, it says the same."""
    drive, orders = recorded(2)
    unmask = orders["cedar", "unmask", 1]
    first = ask(drive, "cedar", unmask)
    assert ask(drive, "cedar", unmask) == first
    for survivors in (list(FIVE[1:]), list(FIVE[:4]), list(FIVE[:2])):
        with pytest.raises(ProtocolError):
            ask(drive, "cedar", changed(unmask, survivors=survivors))
    with pytest.raises(ProtocolError, match="is over"):  # its total was opened at step 1
        ask(drive, "cedar", orders["cedar", "unmask", 0])


def test_a_step_takes_one_contribution() -> None:
    """Also with other participants, and also for a bank that was restarted."""
    drive, orders = recorded(2)
    contribute = orders["cedar", "contribute", 1]
    for order in (contribute, changed(contribute, participants=list(FIVE[1:]))):
        with pytest.raises(ProtocolError, match="contributed to step 1"):
            ask(drive, "cedar", order)


def test_the_roster_can_t_change_nor_new_keys_be_asked_for() -> None:
    """Once something was contributed; other names never."""
    drive, orders = recorded(1)
    setup = orders["cedar", "setup", -1]
    other = Order.FromString(setup.SerializeToString())
    key = SecureSumClient.start("elm", RUN).public_key
    other.setup.public_keys["elm"] = key
    other.setup.signatures["elm"] = Voucher("elm", KEYS["elm"], PINS).sign("run key", RUN, key)
    with pytest.raises(ProtocolError, match="can't change"):
        ask(drive, "cedar", other)
    other = Order.FromString(setup.SerializeToString())
    other.setup.public_keys["mallory"] = bytes(32)
    with pytest.raises(ProtocolError, match="mallory"):
        ask(drive, "cedar", other)
    before = SecureSumClient.from_bytes(drive.state("cedar").secure_sum).public_key
    join = Order.FromString(orders["cedar", "join", -1].SerializeToString())
    assert join.join.afresh
    ask(drive, "cedar", join)
    assert SecureSumClient.from_bytes(drive.state("cedar").secure_sum).public_key == before


def test_too_few_banks_are_never_summed() -> None:
    """Whatever the coordinator's own minimum is."""
    drive, orders = recorded(2)
    contribute = changed(orders["cedar", "contribute", 1], step=2, participants=["ash", "cedar"])
    with pytest.raises(ProtocolError, match="fewer than the 3"):
        ask(drive, "cedar", contribute)

    def lost(name: str, order: Order, answer: Answer) -> bytes | None:
        return None if step_of(order) == ("contribute", 1) and name > "birch" else answer()

    with pytest.raises(PartyFailure, match="fewer than the 3"):
        Drive(plan_of(dropouts=2), limits=Limits(2, dropouts=3), tamper=lost).finish()


def test_settings_can_t_change_under_way() -> None:
    """Not even at a bank that joined with privacy: every order is checked."""
    drive, orders = recorded(2)
    order = changed(orders["cedar", "contribute", 1], step=2)
    drive.plans["cedar"] = plan_of(record_epsilon=1.0)
    with pytest.raises(InputError, match="another plan"):
        ask(drive, "cedar", order)
    with pytest.raises(InputError, match="another plan"):
        ask(drive, "cedar", orders["cedar", "join", -1])


def test_a_total_that_is_kept_back_or_comes_early_changes_no_other_bank() -> None:
    """A bank without a total stays where it was, which the others' digests show."""

    def kept_back(name: str, order: Order, answer: Answer) -> bytes | None:
        if name == "cedar" and step_of(order) == ("contribute", 2):
            del order.contribute.totals[:]
            return drive.answer(name, order.SerializeToString())
        return answer()

    drive = Drive(tamper=kept_back)
    outcome = drive.finish()
    assert outcome.excluded == {"cedar": "has another model than the other banks"}

    drive, orders = recorded(3)
    early = Order.FromString(orders["cedar", "contribute", 2].SerializeToString())
    early.contribute.step = 1
    with pytest.raises(ProtocolError, match="total of step 1 came with step 1"):
        ask(drive, "cedar", early)


def test_totals_in_another_order_are_found_out() -> None:
    """The bank that opened the later one first has another model."""

    def swapped(name: str, order: Order, answer: Answer) -> bytes | None:
        if name == "cedar" and step_of(order) == ("contribute", 2):
            return None
        if name == "cedar" and step_of(order) == ("contribute", 3):
            totals = list(order.contribute.totals)
            assert len(totals) == 2
            del order.contribute.totals[:]
            order.contribute.totals.extend(reversed(totals))
            return drive.answer(name, order.SerializeToString())
        return answer()

    drive = Drive(tamper=swapped)
    assert "cedar" in drive.finish().excluded


def test_a_total_that_was_changed_is_found_out() -> None:
    """By its checksum."""
    drive, orders = recorded(2)
    assert drive.transcript is not None
    order = changed(orders["cedar", "contribute", 1], step=2)
    total = MaskedTotal.FromString(drive.transcript.totals[1].SerializeToString())
    data = bytearray(total.ciphertext)
    data[100] ^= 1
    total.ciphertext = bytes(data)
    order.contribute.totals.append(total)
    with pytest.raises(ProtocolError, match="damaged on the way"):
        ask(drive, "cedar", order)


class Fork:
    """A coordinator that gives some banks another total, and hides it from its own checks.

    Args:
        step: of the total, to which something small is added in the middle of its range.
        group: of banks that get it.
    """

    def __init__(self, step: int, group: tuple[str, ...]) -> None:
        self.step = step
        self.group = group
        self.drive = Drive(tamper=self.tamper)
        self.claimed: dict[int, str] = {}

    def tamper(self, name: str, order: Order, answer: Answer) -> bytes | None:
        """Change the order, and say that all banks are where the first one is."""
        kind, step = step_of(order)
        for total in getattr(getattr(order, kind), "totals", ()):
            if name in self.group and total.step == self.step:
                self.shift(total)
        reply = Reply.FromString(self.drive.answer(name, order.SerializeToString()))
        if reply.HasField("contributed"):
            claimed = self.claimed.setdefault(step, reply.contributed.model_digest)
            reply.contributed.model_digest = claimed
        return reply.SerializeToString()

    def shift(self, total: MaskedTotal) -> None:
        """Add to the last slot, as anybody can."""
        cipher = SecureSumClient.from_bytes(self.drive.state("ash").secure_sum).cipher
        extra = np.zeros(total.slots, np.uint64)
        extra[-1] = 1000
        total.ciphertext = cipher.add([total.ciphertext], extra)
        total.checksum = checksum(total, total.ciphertext)


@pytest.mark.parametrize("group", [("elm",), ("dogwood", "elm"), FIVE[1:]])
@pytest.mark.parametrize("step", [0, 1])
def test_banks_that_were_given_different_totals_have_no_sum_again(
    step: int, group: tuple[str, ...]
) -> None:
    """Of the scaling or of an update: no bank goes on from there, and the run ends."""
    fork = Fork(step, group)
    with pytest.raises(PartyFailure, match=r"3 sums in a row were of no use.*gave them other"):
        fork.drive.finish()
    assert {fork.drive.state(bank).rounds for bank in FIVE} == {step}
    assert {fork.drive.state(bank).opened for bank in FIVE} == {step + 2}  # the third is refused
    contents = {(s.scaling, s.weights.tobytes()) for s in map(fork.drive.state, FIVE)}
    assert len(contents) == 2


def test_a_bank_that_was_given_another_total_takes_no_later_one() -> None:
    """Also where the coordinator leaves it out of the sums, and goes on with the other banks."""
    fork = Fork(1, ("elm",))

    def left_out(name: str, order: Order, answer: Answer) -> bytes | None:
        reply = fork.tamper(name, order, answer)
        return None if name == "elm" and step_of(order)[1] >= 2 else reply

    fork.drive.tamper = left_out
    outcome = fork.drive.finish()
    assert outcome.banks == FIVE[:4]
    assert outcome.rounds == 3
    fork.drive.check_same(outcome)
    fork.drive.check_sums()
    assert fork.drive.state("elm").rounds == 1
    assert fork.drive.state("elm").discarded == 2  # and at the third it gives up


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda order: setattr(order, "run", "run-2"), "in run 'run-2' came to"),
        (lambda order: setattr(order, "bank", "elm"), "an order for 'elm'"),
        (lambda order: setattr(order, "protocol_version", 9), "version 9"),
        (lambda order: order.ClearField("join"), "no content"),
    ],
)
def test_orders_that_are_not_for_this_bank_are_refused(change: Any, sentence: str) -> None:
    """Another run, bank, version, or none at all."""
    order = Order(protocol_version=PROTOCOL_VERSION, run=RUN, bank="ash", join={})
    change(order)
    with pytest.raises(ProtocolError, match=sentence):
        decode_order(order.SerializeToString(), RUN, "ash")
    with pytest.raises(ProtocolError, match="damaged"):
        decode_order(order.SerializeToString()[:-2] + b"\xff\xff\xff", RUN, "ash")


def test_orders_before_joining_are_refused() -> None:
    """There are no keys yet."""
    for body in ({"setup": {}}, {"contribute": {}}, {"unmask": {}}):
        order = Order(protocol_version=PROTOCOL_VERSION, run=RUN, bank="ash", **body)
        with pytest.raises(ProtocolError, match="has not joined"):
            Drive().bank("ash").answer(order.SerializeToString())


def test_a_damaged_checkpoint_is_one_sentence() -> None:
    """Cut off, changed, or of something else."""
    drive, _ = recorded(1)
    data = drive.states["ash"]
    for damaged in (
        b"",
        data[:50],
        data[: len(data) // 2],
        b"x" * 99,
        data[:8] + b"{}" + data[10:],
    ):
        with pytest.raises(InputError, match="not the checkpoint"):
            BankState.from_bytes(damaged, "state.safetensors")
    state = BankState.from_bytes(data, "state")
    state.secure_sum = state.secure_sum[:-7]
    drive.states["ash"] = state.to_bytes()
    order = Order(protocol_version=PROTOCOL_VERSION, run=RUN, bank="ash", join={})
    with pytest.raises(VeilscoreError, match="damaged"):
        drive.bank("ash").answer(order.SerializeToString())
