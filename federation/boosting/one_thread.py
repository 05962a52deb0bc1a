"""Small matrix products on one thread.

A level's products with secrets take a millisecond. BLAS splits them over all cores and waits in a
loop for the last one: where the other party, or anything else, runs on the same machine, that
takes several times as long and as much of the processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS takes one thread in this context, in the whole process; costs 30 µs."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    """What is loaded when it is first needed."""
    return ThreadpoolController()
