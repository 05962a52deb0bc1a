"""The coordinator's own record of a horizontal run: what a later process needs to go on with it.

A folder a run: `transcript.json`, the state of the sums, and a file a total. Nothing in it is
secret: public keys, and ciphertexts that the coordinator can't read.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from federation.errors import InputError
from federation.horizontal.server import Transcript
from federation.proto.secure_sum_pb2 import MaskedTotal

FORMAT = "veilscore transcript 2"
SUMS = "secure-sum.bin"


class TranscriptStore:
    """Keeps one run's transcript.

    Args:
        folder: of the run, the coordinator's own; made when something is first written.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing is read or written yet."""
        self._folder = folder
        self._written = 0
        self._sums = b""

    def keep(self, transcript: Transcript) -> None:
        """Write what is new; a total's file is complete before the transcript names it."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for number in range(self._written, len(transcript.totals)):
            _write(self._total(number), transcript.totals[number].SerializeToString())
        self._written = len(transcript.totals)
        if transcript.secure_sum != self._sums:
            _write(self._folder / SUMS, transcript.secure_sum)
            self._sums = transcript.secure_sum
        content = {
            "format": FORMAT,
            "run": transcript.run,
            "public_keys": {b: key.hex() for b, key in transcript.public_keys.items()},
            "signatures": {b: made.hex() for b, made in transcript.signatures.items()},
            "totals": len(transcript.totals),
            "next_step": transcript.next_step,
            "excluded": dict(transcript.excluded),
            "prepared_until": transcript.prepared_until,
            "released": transcript.released,
        }
        _write(self._folder / "transcript.json", json.dumps(content, indent=1).encode())

    def read(self, run: str) -> Transcript:
        """The transcript of a run that was stopped.

        Raises:
            InputError: there is none, or it is damaged.
        """
        path = self._folder / "transcript.json"
        try:
            content: dict[str, Any] = json.loads(path.read_bytes())
            if content["format"] != FORMAT or content["run"] != run:
                raise ValueError(content["format"])
            totals = []
            for number in range(int(content["totals"])):
                totals.append(MaskedTotal.FromString(self._total(number).read_bytes()))
            transcript = Transcript(
                run,
                {bank: bytes.fromhex(key) for bank, key in content["public_keys"].items()},
                (self._folder / SUMS).read_bytes(),
                tuple(totals),
                int(content["next_step"]),
                {str(bank): str(why) for bank, why in content["excluded"].items()},
                int(content["prepared_until"]),
                _released(*content["released"]),
                {bank: bytes.fromhex(made) for bank, made in content["signatures"].items()},
            )
        except FileNotFoundError as error:
            raise InputError(
                f"{self._folder}: the transcript of run '{run}' is not there or lacks the file "
                f"{Path(str(error.filename)).name}; start a new run"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError, DecodeError) as error:
            raise InputError(
                f"{path}: is damaged or of another run; without it run '{run}' can't go on: "
                "start a new one"
            ) from error
        self._written = len(totals)
        return transcript

    def _total(self, number: int) -> Path:
        return self._folder / f"total-{number:05d}.bin"


def _released(phase: str, number: int, banks: list[str]) -> tuple[str, int, tuple[str, ...]]:
    return str(phase), int(number), tuple(map(str, banks))


def _write(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
