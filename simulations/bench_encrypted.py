"""Benchmark of encrypted scoring: one borrower and a batch, through gRPC over mutual TLS."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from clients.applicant import ApplicantClient
from federation.encrypted_scoring import (
    ApplicantKey,
    EncryptedModel,
    PublicKey,
    answer,
    from_logistic,
)

MODEL = "bench"


def bench_encrypted(
    features: int = 25, borrowers: int = 4096, singles: int = 200, batches: int = 10, seed: int = 1
) -> dict[str, int | float | str]:
    """Score borrowers of a logistic regression under encryption, client and desk in one process.

    Both sides share the machine's cores, as they take turns. End to end means: from features in the
    clear to scores in the clear, with encoding, encryption, mutual TLS over loopback, the desk, and
    decryption. The key's registration goes before and is told apart.

    Args:
        features: of the logistic regression.
        borrowers: of a batch.
        singles, batches: how many are measured.
        seed: of model and borrowers.

    Returns:
        single_ms, p50_ms: median of one borrower's score; p99_ms.
        batch_ms: median of a batch; batch_per_second: borrowers.
        encrypt_ms, desk_ms, decrypt_ms: parts of one borrower's score without the network, and with
            `batch_` before them, those of a batch.
        register_ms: terms, a fresh key and its registration.
        request_bytes, reply_bytes, batch_request_bytes, batch_reply_bytes: ciphertexts.
        wrong: scores that differ from those in the clear; must be 0.
    """
    model, table = _population(features, borrowers, seed)
    single = {name: values[0] for name, values in table.items()}
    figures: dict[str, int | float | str] = {
        "mode": "encrypted",
        "features": features,
        "borrowers": borrowers,
    }
    with _desk(model) as (address, files):
        started = time.perf_counter()
        client = ApplicantClient(address, **files)
        with client:
            first = client.score(single)
            figures["register_ms"] = round(1e3 * (time.perf_counter() - started), 2)
            one = _seconds(lambda: client.score(single), singles)
            many = _seconds(lambda: client.score_many(table), batches)
            scored = client.score_many(table)
            expected = client.terms.scores(model.sums(model.encoding.encode(table)))
    wrong = int((scored.points != expected.points).sum()) + int(first != expected[0])
    batch = statistics.median(many)
    figures |= {
        "single_ms": _ms(one),
        "p50_ms": _ms(one),
        "p99_ms": round(1e3 * float(np.quantile(one, 0.99)), 3),
        "batch_ms": _ms(many),
        "batch_per_second": round(borrowers / batch),
        "wrong": wrong,
    }
    figures |= _parts(model, {name: values[:1] for name, values in table.items()}, "", 30)
    return figures | _parts(model, table, "batch_", 5)


def _parts(
    model: EncryptedModel, table: Mapping[str, Any], prefix: str, repeats: int
) -> dict[str, int | float | str]:
    """What client and desk take apart from each other, and how long their messages are."""
    key_seed = bytes(64)
    key, public_key = ApplicantKey.generate(key_seed)
    registered = PublicKey.read(key_seed, public_key)
    scale_bits = model.budget.scale_bits
    borrowers = len(next(iter(table.values())))

    def encrypt() -> list[bytes]:
        return key.encrypt(model.encoding.encode(table), scale_bits)

    ciphertexts = encrypt()
    reply = answer(model, registered, ciphertexts, borrowers)
    work: dict[str, Callable[[], object]] = {
        "encrypt_ms": encrypt,
        "desk_ms": lambda: answer(model, registered, ciphertexts, borrowers),
        "decrypt_ms": lambda: key.decrypt(reply, borrowers, scale_bits),
    }
    parts: dict[str, int | float | str] = {
        prefix + name: _ms(_seconds(step, repeats)) for name, step in work.items()
    }
    return parts | {
        f"{prefix}request_bytes": sum(map(len, ciphertexts)),
        f"{prefix}reply_bytes": len(reply),
    }


def _population(
    features: int, borrowers: int, seed: int
) -> tuple[EncryptedModel, dict[str, np.ndarray[Any, np.dtype[np.float64]]]]:
    rng = np.random.default_rng(seed)
    names = [f"feature_{number}" for number in range(features)]
    means, scales = rng.normal(0, 5, features), rng.uniform(0.5, 5, features)
    weights = rng.normal(0, 0.4, features)
    model = from_logistic(names, means.tolist(), scales.tolist(), weights.tolist(), -1.5)
    values = rng.normal(means, scales, (borrowers, features))
    return model, {name: values[:, place] for place, name in enumerate(names)}


def _seconds(work: Callable[[], object], repeats: int) -> list[float]:
    work()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return taken


def _ms(seconds: list[float]) -> float:
    return round(1e3 * statistics.median(seconds), 3)


@contextmanager
def _desk(model: EncryptedModel) -> Iterator[tuple[str, dict[str, Any]]]:
    """A desk with mutual TLS and its own access rules: its address, and a caller's files."""
    from server.desk.access.gate import Gate
    from server.desk.access.issue import Authority
    from server.desk.encrypted import EncryptedLimits, encrypted_handlers, gate_check
    from server.desk.encrypted.service import SERVICE
    from server.desk.server import DeskServer, TlsFiles

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tls = TlsFiles.of(folder)
        authority = Authority.made(folder, "benchmark")
        authority.issue_server(["127.0.0.1"], tls.certificate, tls.key)
        files = {
            "certificate": folder / "applicant.pem",
            "key": folder / "applicant.key",
            "ca": tls.callers,
        }
        authority.issue_caller("applicant", files["certificate"], files["key"])
        (folder / "access.toml").write_text(
            '[callers.applicant]\ncertificate = "applicant"\nroles = ["encrypted"]\n'
        )
        unlimited = EncryptedLimits(borrowers_a_key=1 << 40, borrowers_a_caller=1 << 40)
        gate = Gate(folder / "access.toml")
        running: list[Any] = []
        ready = threading.Event()

        async def serve() -> None:
            handlers = encrypted_handlers({MODEL: model}, gate_check(gate), unlimited)
            server = DeskServer([handlers], [SERVICE], tls, "127.0.0.1:0")
            address, stop = await server.start(), asyncio.Event()
            running.extend([address, asyncio.get_running_loop(), stop])
            ready.set()
            await stop.wait()
            await server.drain(0)

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        try:
            if not ready.wait(30):
                raise RuntimeError("the benchmark's desk does not start")
            yield running[0], files
        finally:
            if running:
                running[1].call_soon_threadsafe(running[2].set)
            thread.join()
