"""What a vault keeps between sessions."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from clients.vault.kept_files import KeptFiles


def test_what_was_kept_reads_back_until_taken(tmp_path: Path) -> None:
    store = KeptFiles(tmp_path)
    assert store.names("maps") == []
    assert store.read("maps", "a") is None
    store.write("maps", "a", b"\x00\n\xff")
    store.write("other", "a", b"2")
    assert KeptFiles(tmp_path).read("maps", "a") == b"\x00\n\xff"
    assert store.take("maps", "a") == b"\x00\n\xff"
    assert store.take("maps", "a") is None
    assert store.read("other", "a") == b"2"


def test_only_the_owner_reads_it_and_names_are_no_paths(tmp_path: Path) -> None:
    KeptFiles(tmp_path / "kept").write("maps", "../../escape\0", b"x")
    (path,) = (tmp_path / "kept" / "maps").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert KeptFiles(tmp_path / "kept").names("maps") == ["../../escape\0"]


def test_the_oldest_goes_and_the_latest_is_first(tmp_path: Path) -> None:
    store = KeptFiles(tmp_path, most=2)
    for number, name in enumerate(("a", "b", "c")):
        store.write("maps", name, b"x")
        for path in (tmp_path / "maps").iterdir():
            if path.read_bytes().startswith(name.encode()):
                os.utime(path, ns=(number, number))
    assert store.names("maps") == ["c", "b"]


@settings(max_examples=40, deadline=None)
@given(at=st.integers(0, 70), change=st.integers(1, 255))
def test_a_damaged_file_counts_as_gone(tmp_path_factory: object, at: int, change: int) -> None:
    folder = tmp_path_factory.mktemp("kept")  # type: ignore[attr-defined]
    store = KeptFiles(folder)
    store.write("maps", "a", b"some bytes")
    (path,) = (folder / "maps").iterdir()
    data = bytearray(path.read_bytes())
    data[at] ^= change
    path.write_bytes(bytes(data))
    assert store.read("maps", "a") is None


def test_what_was_kept_with_others_is_not_found(tmp_path: Path) -> None:
    """Another bank of the same name, with another key, gets nothing that was made with this one."""
    store = KeptFiles(tmp_path).among(b"bank one")
    store.write("maps", "a", b"1")
    other = store.among(b"bank two")
    assert (other.names("maps"), other.read("maps", "a"), other.take("maps", "a")) == (
        [],
        None,
        None,
    )
    other.write("maps", "a", b"2")
    assert (store.names("maps"), other.names("maps")) == (["a"], ["a"])
    assert (store.read("maps", "a"), other.read("maps", "a")) == (b"1", b"2")


def test_files_that_another_process_takes_meanwhile_are_left_out(tmp_path: Path) -> None:
    store = KeptFiles(tmp_path, most=2)
    for name in ("a", "b"):
        store.write("maps", name, b"x")
    # as a listing sees a file that is gone by the time it is looked at
    (tmp_path / "maps" / "gone.kept").symlink_to(tmp_path / "nowhere")
    assert sorted(store.names("maps")) == ["a", "b"]
    store.write("maps", "c", b"x")
    assert store.read("maps", "c") == b"x"


def _take(folder: Path) -> bool:
    return KeptFiles(folder).take("maps", "a") is not None


def test_of_processes_that_come_at_once_one_takes_it(tmp_path: Path) -> None:
    KeptFiles(tmp_path).write("maps", "a", b"x" * 1_000_000)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert sum(pool.map(_take, [tmp_path] * 16)) == 1
    assert list((tmp_path / "maps").iterdir()) == []
