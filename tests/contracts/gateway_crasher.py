"""A process that submits one payment and is killed (SIGKILL) at a step, or goes on to the end."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from eth_account import Account

from contracts.gateway.connection import Chain
from contracts.gateway.deposit_token import DepositToken
from contracts.gateway.fees import Policy
from contracts.gateway.keystore import Signer
from contracts.gateway.transactions import Sender
from contracts.units import Address, TokenMinor


def pay(url: str, seed: int, folder: str, token: str, to: str, reference: str, last: str) -> None:
    """Pay 100 and stop for ever at the step `last`."""
    signer = Signer(Account.from_key(random.Random(seed).randbytes(32)))

    def step(name: str) -> None:
        if name == last:
            os.kill(os.getpid(), signal.SIGKILL)

    chain = Chain.open(url, timeout=5)
    journal = Path(folder) / f"{signer.address}.journal"
    sender = Sender(chain, signer, journal, Policy(deadline=10, poll=0.02), step)
    call = DepositToken(chain, Address(token)).transfer(Address(to), TokenMinor(100))
    sender.submit(call, reference)


def process(
    url: str, seed: int, folder: Path, token: str, to: str, reference: str, last: str
) -> ForkServerProcess:
    """Start `pay` in a process of its own, forked from one that has imported what it needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.contracts.gateway_crasher"])
    arguments = (url, seed, str(folder), token, to, reference, last)
    started = context.Process(target=pay, args=arguments)
    started.start()
    return started
