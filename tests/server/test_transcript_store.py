"""The coordinator's own record of a horizontal run."""

from __future__ import annotations

from pathlib import Path

import pytest

from federation.errors import InputError
from federation.horizontal.server import Transcript
from federation.proto.secure_sum_pb2 import MaskedTotal
from server.coordinator.transcript_store import TranscriptStore

TRANSCRIPT = Transcript(
    "run-1",
    {"ash": b"a" * 32, "elm": b"e" * 32},
    b"sums",
    tuple(MaskedTotal(run="run-1", step=step, ciphertext=b"c" * 99) for step in range(3)),
    4,
    {"elm": "declined: no"},
    64,
    ("update", 1, ("ash", "birch")),
)


def test_a_transcript_comes_back_as_it_was(tmp_path: Path) -> None:
    """In another process, total by total."""
    store = TranscriptStore(tmp_path / "coordinator")
    for totals in range(4):
        store.keep(
            Transcript(**{**vars(TRANSCRIPT), "totals": TRANSCRIPT.totals[:totals]})  # type: ignore[arg-type]
        )
    assert TranscriptStore(tmp_path / "coordinator").read("run-1") == TRANSCRIPT


def test_a_store_that_read_goes_on_writing(tmp_path: Path) -> None:
    """Totals that are there already are not written again; the sums are."""
    TranscriptStore(tmp_path).keep(TRANSCRIPT)
    first = (tmp_path / "total-00000.bin").stat().st_mtime_ns
    store = TranscriptStore(tmp_path)
    kept = store.read("run-1")
    more = MaskedTotal(run="run-1", step=9)
    changed = Transcript(**{**vars(kept), "totals": (*kept.totals, more), "secure_sum": b"new"})  # type: ignore[arg-type]
    store.keep(changed)
    assert TranscriptStore(tmp_path).read("run-1") == changed
    assert (tmp_path / "total-00000.bin").stat().st_mtime_ns == first
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "secure-sum.bin",
        *(f"total-{number:05d}.bin" for number in range(4)),
        "transcript.json",
    ]


def test_a_total_that_no_transcript_names_does_not_count(tmp_path: Path) -> None:
    """The process died between the two files."""
    TranscriptStore(tmp_path).keep(TRANSCRIPT)
    (tmp_path / "total-00003.bin").write_bytes(b"\xff half a file")
    assert TranscriptStore(tmp_path).read("run-1") == TRANSCRIPT


def test_no_transcript_is_one_sentence(tmp_path: Path) -> None:
    """It says where it was looked for."""
    with pytest.raises(InputError, match="is not there or lacks the file transcript.json"):
        TranscriptStore(tmp_path / "nowhere").read("run-1")
    TranscriptStore(tmp_path).keep(TRANSCRIPT)
    (tmp_path / "total-00001.bin").unlink()
    with pytest.raises(InputError, match="lacks the file total-00001.bin"):
        TranscriptStore(tmp_path).read("run-1")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("transcript.json", b""),
        ("transcript.json", b"[]"),
        ("transcript.json", b'{"format": "veilscore transcript 1", "run": "run-1"}'),
        ("transcript.json", b"\xff\xfe\x00"),
        ("total-00001.bin", b"\xff\xff\xff"),
    ],
)
def test_a_damaged_transcript_is_one_sentence(tmp_path: Path, file: str, content: bytes) -> None:
    """Cut off, or of something else."""
    TranscriptStore(tmp_path).keep(TRANSCRIPT)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(InputError, match="is damaged or of another run"):
        TranscriptStore(tmp_path).read("run-1")


def test_the_transcript_of_another_run_is_refused(tmp_path: Path) -> None:
    """Run ids are compared."""
    TranscriptStore(tmp_path).keep(TRANSCRIPT)
    with pytest.raises(InputError, match="of another run"):
        TranscriptStore(tmp_path).read("run-2")
