"""Five small banks and a coordinator in one process, with everything that can go wrong on the way.

Banks and coordinator are the real ones. Every order finds its bank as it comes out of its vault: as
bytes. Whoever drives a run can drop, delay, repeat and change what is sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from federation.aggregation import SecureSumClient
from federation.errors import VeilscoreError
from federation.horizontal.client import HorizontalBank
from federation.horizontal.client_state import BankState
from federation.horizontal.messages import declined
from federation.horizontal.plan import HorizontalPlan
from federation.horizontal.rows import BankRows
from federation.horizontal.server import Ask, Keep, Limits, Note, Outcome, Transcript, coordinate
from federation.identity import PartyKey, Voucher
from federation.neural.schema import (
    CategoricalInput,
    InputSchema,
    NumericInput,
    SequenceInput,
)
from federation.neural.settings import NeuralSettings
from federation.privacy import Event, Unit
from federation.proto.horizontal_pb2 import Order, Reply
from federation.proto.secure_sum_pb2 import MaskedTotal
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec

FIVE = ("ash", "birch", "cedar", "dogwood", "elm")
RUN = "run-1"
# Of the names, so that processes that import this module each for itself agree on them.
KEYS = {name: PartyKey(hashlib.sha256(name.encode()).digest()) for name in FIVE}
PINS = {name: key.public for name, key in KEYS.items()}
BLOCK = 12  # steps whose masks are prepared at once: more cost time, and fewer a second block
SCHEMA = InputSchema(
    (
        NumericInput("income", "EUR", 0.0, 10_000.0),
        NumericInput("age", "years", 18.0, 100.0),
        NumericInput("may", "months", -2.0, 9.0),
        NumericInput("june", "months", -2.0, 9.0),
    ),
    (CategoricalInput("school", ("1", "2", "3")),),
    (SequenceInput("status", ("may", "june")),),
)


def plan_of(banks: Sequence[str] = FIVE, **values: Any) -> HorizontalPlan:
    """A plan for a small network; keywords of the plan, or of its settings."""
    settings: dict[str, Any] = {
        "hidden": (5,),
        "embedding_size": 2,
        "batch_size": 50,
        "rounds": 3,
        "local_epochs": 1.0,
        "server_learning_rate": 1.0,
        "server_momentum": 0.0,
        "patience": 0,
        "seed": 3,
    }
    names = set(NeuralSettings.__dataclass_fields__)
    settings |= {key: value for key, value in values.items() if key in names}
    others = {key: value for key, value in values.items() if key not in names}
    schema = others.pop("schema", SCHEMA)
    return HorizontalPlan(tuple(banks), schema, NeuralSettings(**settings), **others)


def rows_of(bank: str, rows: int = 300, classes: int = 2) -> BankRows:
    """A bank's borrowers: whoever earns little and pays late defaults more often."""
    rng = np.random.default_rng([*bank.encode()])
    late = rng.integers(-2, 9, (rows, 2)).astype(np.float64)
    income = rng.gamma(2.0, 1500.0, rows).clip(0, 10_000)
    odds = 0.5 * late.sum(1) - income / 1500.0
    labels = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.uint8)
    if classes == 1:
        labels[:] = 0
    every = np.ones(rows, np.bool_)
    columns = {
        name: FeatureColumn(FeatureSpec(name, FeatureKind.NUMERIC), values, every)
        for name, values in {
            "income": income,
            "age": rng.integers(18, 80, rows).astype(np.float64),
            "may": late[:, 0],
            "june": late[:, 1],
        }.items()
    }
    schools = np.array([None, "1", "2", "3"], dtype=object)[rng.integers(0, 4, rows)]
    spec = FeatureSpec("school", FeatureKind.CATEGORICAL)
    columns["school"] = FeatureColumn(spec, schools, every)
    parts = rng.choice(np.array([0, 1, 2], np.uint8), rows, p=[0.6, 0.2, 0.2])
    return BankRows(columns, labels, parts)


Answer = Callable[[], bytes]
Tamper = Callable[[str, Order, Answer], bytes | None]


@dataclass
class Drive:
    """One run.

    Attributes:
        plan: the banks' own; `plans` has those of banks that differ.
        rows: of banks that have other rows than `rows_of` makes.
        limits: the coordinator's; those of the plan if not given.
        tamper: called with a bank, an order that is on its way to it, and what makes the bank
            answer; returns what the coordinator gets, None for nothing in time.
        states: each bank's checkpoint.
        slots: what each bank encoded for each step, in plain.
        bound: what it bound it to.
        spent, planned: privacy events by bank.
        asked, traffic: every order's field, step and banks; all bytes that the coordinator saw.
        notes, transcript: what the coordinator said, and last wrote down.
    """

    plan: HorizontalPlan = field(default_factory=plan_of)
    plans: dict[str, HorizontalPlan] = field(default_factory=dict)
    rows: dict[str, BankRows] = field(default_factory=dict)
    limits: Limits | None = None
    tamper: Tamper = lambda bank, order, answer: answer()
    refuse: Callable[[list[tuple[Event, Unit]]], None] = lambda planned: None
    states: dict[str, bytes] = field(default_factory=dict)
    slots: dict[tuple[int, str], npt.NDArray[np.uint64]] = field(default_factory=dict)
    bound: dict[tuple[int, str], bytes] = field(default_factory=dict)
    spent: dict[str, list[tuple[Event, Unit, str]]] = field(default_factory=dict)
    asked: list[tuple[str, int, tuple[str, ...], frozenset[str]]] = field(default_factory=list)
    traffic: list[bytes] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    transcript: Transcript | None = None

    def bank(self, name: str) -> HorizontalBank:
        """A bank as it comes out of its vault."""
        data = self.states.get(name)
        return HorizontalBank(
            self.plans.get(name, self.plan),
            name,
            RUN,
            lambda: self.rows.get(name) or rows_of(name),
            None if data is None else BankState.from_bytes(data, "state"),
            lambda *event: self.spent.setdefault(name, []).append(event),
            lambda planned: self.refuse(planned),
            voucher=Voucher(name, KEYS[name], PINS),
        )

    def answer(self, name: str, order: bytes) -> bytes:
        """The bank's reply to an order; errors as its process tells them."""
        bank = self.bank(name)
        try:
            kind, reply = bank.answer(order)
        except VeilscoreError as error:
            return declined(order, str(error))
        state = self.state_of(bank)
        self.states[name] = state.to_bytes()
        if kind == "contributed":
            self.note_contribution(name, reply, state.slots.copy())
        return reply

    def note_contribution(self, name: str, reply: bytes, slots: npt.NDArray[np.uint64]) -> None:
        """Remember what a bank encoded in plain, and what it was bound to."""
        contributed = Reply.FromString(reply).contributed
        self.slots[contributed.step, name] = slots
        self.bound[contributed.step, name] = contributed.model_digest.encode()

    @staticmethod
    def state_of(bank: HorizontalBank) -> BankState:
        """The state that a bank has after an order."""
        assert bank.state is not None
        return bank.state

    def state(self, name: str) -> BankState:
        """A bank's checkpoint."""
        return BankState.from_bytes(self.states[name], "state")

    def run(
        self,
        *,
        transcript: Transcript | None = None,
        stop: Callable[[Transcript], bool] = lambda transcript: False,
        asks: int = 10_000,
        banks: Sequence[str] = (),
        sample: Callable[[list[str], int], list[str]] | None = None,
    ) -> Outcome | None:
        """To the end, or until the coordinator ends (None).

        It ends when `stop` says so of what it last wrote down, or with the replies to so many asks
        in its hands.
        """
        limits = self.limits or Limits(
            self.plan.minimum_banks, self.plan.dropouts, block_steps=BLOCK
        )
        role = coordinate(RUN, banks or self.plan.banks, limits, transcript, sample)
        replies: Mapping[str, bytes] | None = None
        while True:
            try:
                step = role.send(replies) if replies is not None else next(role)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome
            replies = {}
            if isinstance(step, Ask):
                replies = self._deliver(step)
                asks -= 1
                if asks == 0:
                    return None
            elif isinstance(step, Note):
                self.notes.append(step)
            elif isinstance(step, Keep):
                self.transcript = step.transcript
                if stop(step.transcript):
                    return None

    def finish(self, **arguments: Any) -> Outcome:
        """Run to the end."""
        outcome = self.run(**arguments)
        assert outcome is not None
        return outcome

    def _deliver(self, step: Ask) -> dict[str, bytes]:
        replies: dict[str, bytes] = {}
        kinds = set()
        number = -1
        for name, data in step.orders.items():
            order = Order.FromString(data)
            kind = str(order.WhichOneof("body"))
            kinds.add(kind)
            number = getattr(getattr(order, kind), "step", -1)
            reply = self.tamper(name, order, lambda name=name, data=data: self.answer(name, data))  # type: ignore[misc]
            self.traffic.append(data)
            if reply is not None:
                replies[name] = reply
                self.traffic.append(reply)
        assert len(kinds) == 1
        self.asked.append((kinds.pop(), number, tuple(step.orders), step.awaited))
        return replies

    @property
    def totals(self) -> tuple[MaskedTotal, ...]:
        """All that the coordinator has summed."""
        assert self.transcript is not None
        return self.transcript.totals

    def opened(self, total: MaskedTotal, bank: str = "cedar") -> npt.NDArray[np.uint64]:
        """What a bank makes of a total that is bound to what its survivors' vectors are."""
        client = SecureSumClient.from_bytes(self.state(bank).secure_sum)
        client.bind(self.bound[total.step, total.survivors[0]])
        return client.open(total.step, total, total.slots)

    def check_sums(self) -> None:
        """Every total is exactly the sum of what its survivors encoded."""
        for total in self.totals:
            modulus = SecureSumClient.from_bytes(self.state("cedar").secure_sum).cipher.modulus
            plain = sum(self.slots[total.step, bank] for bank in total.survivors)
            assert (self.opened(total) == plain % np.uint64(modulus)).all()

    def check_same(self, outcome: Outcome) -> None:
        """Banks that finished hold the same weights, bit for bit."""
        weights = {self.state(bank).weights.tobytes() for bank in outcome.banks}
        assert len(weights) == 1


def step_of(order: Order) -> tuple[str, int]:
    """An order's kind and step."""
    kind = str(order.WhichOneof("body"))
    return kind, getattr(getattr(order, kind), "step", -1)


def at(bank: str, kind: str, step: int, change: Callable[[Answer], bytes | None]) -> Tamper:
    """Tamper with one bank's reply to one order."""

    def tamper(name: str, order: Order, answer: Answer) -> bytes | None:
        return change(answer) if (name, *step_of(order)) == (bank, kind, step) else answer()

    return tamper


def silent(answer: Answer) -> None:
    """The bank never gets the order."""


def too_late(answer: Answer) -> None:
    """The bank works on the order, and its reply comes after the time."""
    answer()


def changed(change: Callable[[Reply], Any]) -> Callable[[Answer], bytes]:
    """The bank's reply, changed."""

    def reply(answer: Answer) -> bytes:
        message = Reply.FromString(answer())
        change(message)
        return message.SerializeToString()

    return reply
