"""Benchmark of the secure sum: one encrypted and masked round against a plain one."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from federation.aggregation import SecureSumClient, SecureSumServer, VectorLayout, sum_cipher
from federation.aggregation.masks import apply_masks
from federation.proto.secure_sum_pb2 import Contribution, MaskedTotal

Vector = npt.NDArray[np.float64]
Update = npt.NDArray[np.float32]
RUN = "bench"
TRAINING_SECONDS = 1.0
STANDARD_DEVIATION = 0.02
# One value in a hundred is drawn five times as wide: updates have tails.
TAIL_SHARE, TAIL_FACTOR = 0.01, 5.0
# The range of quantisation, in root mean squares of an update; tails reach about 20.
RANGE_IN_RMS = 24.0


def bench_aggregation(
    params: int, clients: int, scheme: str = "bfv", repeats: int = 3
) -> dict[str, int | float | str]:
    """One round of `clients` clients that sum updates of `params` parameters, all in one process.

    Everything is timed for one client, since clients work at the same time on machines of their
    own, and for the server, which adds all of them. Nothing is overlapped, no time on the network
    is counted, and each figure is the median over the repeats.

    Args:
        params: parameters of the model.
        clients: in the sum; nobody drops out.
        scheme: 'bfv' or 'ckks'.
        repeats: rounds measured (one more goes before them, unmeasured).

    Returns:
        encrypt_ms: one client: quantising, packing, its remainder, masks, encryption, and the
            message as bytes. mask_ms: the masks alone, which encrypt_ms contains.
        add_ms: the server: reading and checking all clients' messages and adding them.
        unmask_ms: one client's shares, and at the server rebuilding the seeds and expanding every
            client's own mask.
        decrypt_ms: one client: reading the total, decryption, unpacking, dequantising.
        bytes_per_param, download_bytes_per_param: whole messages of one client and of the total.
        seconds: the critical path of a round: 1 s of training, then encrypt, add, unmask, decrypt.
        seconds_plain: the same without protection: 1 s of training, one client's vector as bytes
            of 32-bit floats, the server reading and adding all of them, the sum as bytes and back.
        ratio: seconds / seconds_plain.
        max_abs_error, relative_error: of the opened sum against the sum of the updates in 64-bit
            floats; the relative one in the L2 norm. Clipping and rounding are in them; error
            feedback, which makes up for both in the next round, is not.
        clipped: values of all clients outside the range. params, clients, scheme.

        Not counted: what is done once a run (keys, SEAL's tables) or once a block of steps (mask
        keys and their shares).
    """
    round_ = _Round(params, clients, scheme)
    timings = [round_.measure(step) for step in range(repeats + 1)][1:]
    typical = {key: statistics.median(each[key] for each in timings) for key in timings[0]}
    protected = ("encrypt", "add", "unmask", "decrypt")
    seconds = TRAINING_SECONDS + sum(typical[key] for key in protected)
    seconds_plain = TRAINING_SECONDS + typical["plain"]
    return {
        **{f"{key}_ms": round(1e3 * typical[key], 2) for key in (*protected, "mask")},
        "bytes_per_param": round(round_.upload_bytes / params, 4),
        "download_bytes_per_param": round(round_.download_bytes / params, 4),
        "seconds_plain": round(seconds_plain, 4),
        "seconds": round(seconds, 4),
        "ratio": round(seconds / seconds_plain, 4),
        "max_abs_error": round_.max_abs_error,
        "relative_error": round_.relative_error,
        "clipped": round_.clipped,
        "params": params,
        "clients": clients,
        "scheme": scheme,
    }


@dataclass
class _Round:
    """Clients and a server, ready to sum."""

    params: int
    clients: int
    scheme: str
    upload_bytes: int = 0
    download_bytes: int = 0
    clipped: int = 0
    max_abs_error: float = 0.0
    relative_error: float = 0.0
    parties: dict[str, SecureSumClient] = field(default_factory=dict)

    STEPS = 16

    def __post_init__(self) -> None:
        """Keys, one block of prepared steps, and everybody's updates."""
        if self.params < 1 or self.clients < 2:
            raise ValueError("a sum has at least one parameter and two clients")
        names = [f"bank-{number:03d}" for number in range(self.clients)]
        self.parties = {name: SecureSumClient.start(name, RUN) for name in names}
        roster = {name: client.public_key for name, client in self.parties.items()}
        self.server = SecureSumServer.start(RUN, roster)
        for client in self.parties.values():
            client.agree(roster, minimum=2)
        parcel = self.parties[names[0]].make_key(self.scheme)
        self.server.take_key(parcel)
        for name in names[1:]:
            self.parties[name].take_key(parcel)
        for name, client in self.parties.items():
            self.server.take_preparation(name, client.prepare(0, self.STEPS, dropouts=0))
        for name, client in self.parties.items():
            client.take_preparations(self.server.preparations_for(name, 0))
        self.cipher = sum_cipher(self.scheme, self.clients)
        self.layout = VectorLayout(self.params, self.cipher.modulus, self.clients)
        generator = np.random.default_rng(0)
        self.updates = {name: _update(generator, self.params) for name in names}
        self.range = RANGE_IN_RMS * float(np.sqrt(np.mean(np.square(self.updates[names[0]]))))

    def measure(self, step: int) -> dict[str, float]:
        """Seconds of each part of one round."""
        names = list(self.parties)
        self.server.order(step, names, self.layout.slots)
        encrypt, self.clipped = [], 0
        uploads = {}
        for name, client in self.parties.items():
            started = time.perf_counter()
            quantised = self.layout.quantise(self.updates[name], -self.range, self.range)
            _remainder = self.updates[name] - quantised.encoded()
            packed = self.layout.pack(quantised.integers)
            uploads[name] = client.contribute(step, names, packed).SerializeToString()
            encrypt.append(time.perf_counter() - started)
            self.clipped += quantised.clipped
        started = time.perf_counter()
        shares = [client.unmask(step, names, names) for client in self.parties.values()]
        unmask = (time.perf_counter() - started) / self.clients
        by_name = dict(zip(names, shares, strict=True))
        started = time.perf_counter()
        self.server.correction(step, names, by_name)
        correction = time.perf_counter() - started
        started = time.perf_counter()
        messages = {name: Contribution.FromString(data) for name, data in uploads.items()}
        for name, message in messages.items():
            self.server.check(name, step, message)
        download = self.server.add(step, messages, by_name).SerializeToString()
        add = time.perf_counter() - started - correction
        started = time.perf_counter()
        total = MaskedTotal.FromString(download)
        slots = self.parties[names[-1]].open(step, total, self.layout.slots)
        sums = self.layout.unpack(slots, self.clients, step)
        opened = self.layout.dequantise(sums, -self.range, self.range, self.clients)
        decrypt = time.perf_counter() - started
        self.upload_bytes, self.download_bytes = len(uploads[names[0]]), len(download)
        self._compare(opened)
        return {
            "encrypt": statistics.median(encrypt),
            "mask": self._mask(),
            "add": add,
            "unmask": unmask + correction,
            "decrypt": decrypt,
            "plain": self._plain(),
        }

    def _mask(self) -> float:
        """Seconds of one client's masks: a pairwise one for each other client, and its own."""
        total = np.zeros(self.layout.slots, dtype=np.uint64)
        keys = [bytes([number % 256]) * 32 for number in range(self.clients)]
        started = time.perf_counter()
        apply_masks(total, keys, [])
        return time.perf_counter() - started

    def _plain(self) -> float:
        """Seconds of the plain round, without training."""
        uploads, encode = [], []
        for update in self.updates.values():
            started = time.perf_counter()
            uploads.append(Contribution(ciphertext=update.tobytes()).SerializeToString())
            encode.append(time.perf_counter() - started)
        started = time.perf_counter()
        total = np.zeros(self.params, dtype=np.float32)
        for upload in uploads:
            total += np.frombuffer(Contribution.FromString(upload).ciphertext, dtype="<f4")
        download = MaskedTotal(ciphertext=total.tobytes()).SerializeToString()
        opened = np.frombuffer(MaskedTotal.FromString(download).ciphertext, dtype="<f4")
        seconds = time.perf_counter() - started
        if opened.size != self.params:
            raise ValueError("the plain sum lost values")
        return statistics.median(encode) + seconds

    def _compare(self, opened: Vector) -> None:
        exact = np.zeros(self.params)
        for update in self.updates.values():
            exact += update
        error = opened - exact
        self.max_abs_error = float(np.abs(error).max())
        self.relative_error = float(np.linalg.norm(error) / np.linalg.norm(exact))


def _update(generator: np.random.Generator, params: int) -> Update:
    """A normal update with one value in a hundred from a wider normal (params,)."""
    values = generator.normal(0.0, STANDARD_DEVIATION, params)
    values[generator.random(params) < TAIL_SHARE] *= TAIL_FACTOR
    return values.astype(np.float32)
