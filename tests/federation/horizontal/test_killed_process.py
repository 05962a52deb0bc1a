"""Five banks in five processes, one of which is killed with an order in its hands."""

from __future__ import annotations

import multiprocessing
import os
import signal

import numpy as np
import pytest

from federation.proto.horizontal_pb2 import Order
from tests.federation.horizontal import bank_process
from tests.federation.horizontal.banks import FIVE, Answer, Drive, plan_of, step_of


@pytest.mark.slow
def test_a_round_goes_on_exactly_when_a_bank_is_killed_in_it() -> None:
    """SIGKILL after the order had come: the opened total is the sum of the other four."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([bank_process.__name__])  # torch is loaded once
    pipes, processes = {}, {}
    for bank in FIVE:
        pipes[bank], theirs = context.Pipe()
        processes[bank] = context.Process(
            target=bank_process.serve, args=(bank, theirs), daemon=True
        )
        processes[bank].start()
        theirs.close()
    drive = Drive(plan_of(rounds=2))

    def through_pipes(name: str, order: Order, answer: Answer) -> bytes | None:
        pipe = pipes[name]
        try:
            pipe.send_bytes(order.SerializeToString())
            assert pipe.poll(60)
            assert pipe.recv_bytes() == b"has come"
            if (name, *step_of(order)) == ("dogwood", "contribute", 1):
                os.kill(processes[name].pid or 0, signal.SIGKILL)
            assert pipe.poll(60)
            reply = pipe.recv_bytes()
            slots = np.frombuffer(pipe.recv_bytes(), np.uint64)
            drive.states[name] = pipe.recv_bytes()
        except (EOFError, OSError):
            return None
        if step_of(order)[0] == "contribute" and slots.size:
            drive.note_contribution(name, reply, slots)
        return reply

    drive.tamper = through_pipes
    try:
        outcome = drive.finish()
        processes["dogwood"].join(10)
        assert processes["dogwood"].exitcode == -signal.SIGKILL
    finally:
        for process in processes.values():
            process.kill()
            process.join(10)
    assert outcome.banks == ("ash", "birch", "cedar", "elm")
    assert outcome.rounds == 2
    assert list(outcome.excluded) == ["dogwood"]
    survivors = [tuple(total.survivors) for total in drive.totals]
    assert survivors == [FIVE, *[outcome.banks] * 3]
    drive.check_sums()
    drive.check_same(outcome)
