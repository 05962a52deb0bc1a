"""The chained log of a service: what was appended is there, and whatever was changed shows."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.vault.chain_file import ChainFile
from clients.vault.chain_log import ChainLog
from clients.vault.chain_reading import read_log, rotated_files
from federation.errors import InputError
from federation.record_chain import Entry


def filled(path: Path, count: int, **options: int) -> None:
    """A closed log of so many entries."""
    log = ChainLog(path, **options)
    for number in range(count):
        log.append({"number": number})
    log.close()


def numbers(path: Path) -> list[int]:
    """What the log's own entries leave of it."""
    return [entry.body["number"] for entry in read_log(path) if "number" in entry.body]


def test_entries_are_read_back_and_go_on(tmp_path: Path) -> None:
    """Over several openings, in the format of every record chain; the folder is private."""
    path = tmp_path / "vault" / "answers.jsonl"
    seen: list[Entry] = []
    filled(path, 3)
    log = ChainLog(path, on_entry=seen.append)
    assert [entry.body["number"] for entry in seen] == [0, 1, 2]
    entry = log.append({"number": 3, "note": "ε"})
    assert (entry.index, log.head.length, log.head.digest) == (3, 4, entry.digest)
    log.close()
    assert numbers(path) == [0, 1, 2, 3]
    assert ChainFile(path).head == log.head
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(ValueError, match="is closed"):
        log.append({})
    log.close()


def test_an_entry_survives_the_end_of_its_process(tmp_path: Path) -> None:
    """SIGKILL right after appending: the entry is there, and the log opens again."""
    path = tmp_path / "answers.jsonl"
    program = (
        "import sys, os, signal; from pathlib import Path; "
        "from clients.vault.chain_log import ChainLog; log = ChainLog(Path(sys.argv[1])); "
        "[log.append({'number': n}) for n in range(50)]; os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert numbers(path) == list(range(50))
    filled(path, 1)
    assert numbers(path) == [*range(50), 0]


def test_there_is_one_writer(tmp_path: Path) -> None:
    """A second one is refused while the first is there, in this process or another."""
    path = tmp_path / "answers.jsonl"
    log = ChainLog(path)
    with pytest.raises(InputError, match="another process writes this log"):
        ChainLog(path)
    log.append({"number": 1})
    assert numbers(path) == [1]  # reading needs no lock
    log.close()
    ChainLog(path).close()


def test_threads_may_append_at_once(tmp_path: Path) -> None:
    """Every entry is there once, and the chain holds."""
    path = tmp_path / "answers.jsonl"
    log = ChainLog(path, rotate_bytes=2000)

    def work(first: int) -> None:
        for number in range(first, first + 50):
            log.append({"number": number})
            if number % 10 == 0:
                log.sync()

    threads = [threading.Thread(target=work, args=(50 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert sorted(numbers(path)) == list(range(200))
    assert rotated_files(path)


def test_files_are_cut_at_a_size_and_chained(tmp_path: Path) -> None:
    """A new file begins with the old one's end, across openings."""
    path = tmp_path / "answers.jsonl"
    for turn in range(3):
        log = ChainLog(path, rotate_bytes=1000)
        for number in range(20):
            log.append({"number": 20 * turn + number})
        log.close()
    assert [one.name for one in rotated_files(path)] == [
        "answers.000001.jsonl",
        "answers.000002.jsonl",
        "answers.000003.jsonl",
    ]
    assert numbers(path) == list(range(60))
    assert [entry.index for entry in read_log(path)] == list(range(63))


def test_older_files_may_be_archived_but_none_between(tmp_path: Path) -> None:
    """What is left begins later, and says so by its index; a gap is an error."""
    path = tmp_path / "answers.jsonl"
    for _ in range(3):
        filled(path, 20, rotate_bytes=1000)
    first, second, third = rotated_files(path)
    kept = second.read_bytes()
    second.unlink()
    with pytest.raises(InputError, match=r"000003.jsonl, line 1: the entry does not follow"):
        list(read_log(path))
    second.write_bytes(kept)
    first.unlink()
    assert next(read_log(path)).index == 20
    for one in (second, third):
        one.unlink()
    filled(path, 1)
    assert numbers(path) == [0]


def changed(path: Path, line: int, old: str, new: str) -> None:
    """Alter one line."""
    lines = path.read_text().splitlines(keepends=True)
    assert old in lines[line]
    lines[line] = lines[line].replace(old, new)
    path.write_text("".join(lines))


@pytest.mark.parametrize("line", [0, 3, 9])
def test_an_altered_entry_is_found(tmp_path: Path, line: int) -> None:
    """At opening and at reading, the last one too."""
    path = tmp_path / "answers.jsonl"
    filled(path, 10)
    changed(path, line, f'"number":{line}', '"number":77')
    for use in (lambda: ChainLog(path), lambda: list(read_log(path))):
        with pytest.raises(InputError, match=f"line {min(line + 2, 10)}: the entry "):
            use()


@pytest.mark.parametrize("line", [0, 4, 9])
def test_a_dropped_entry_is_found(tmp_path: Path, line: int) -> None:
    """In the middle by the chain, at the end by the written-down end."""
    path = tmp_path / "answers.jsonl"
    filled(path, 10)
    lines = path.read_text().splitlines(keepends=True)
    del lines[line]
    path.write_text("".join(lines))
    for use in (lambda: ChainLog(path), lambda: list(read_log(path))):
        with pytest.raises(InputError, match="dropped"):
            use()


def test_a_log_without_its_written_down_end_is_refused(tmp_path: Path) -> None:
    """Or one whose end says nonsense, or whose file was taken away."""
    path = tmp_path / "answers.jsonl"
    filled(path, 2)
    head = path.with_suffix(".head")
    kept = head.read_bytes()
    head.write_text("[]")
    with pytest.raises(InputError, match="is not the written-down end"):
        ChainLog(path)
    head.unlink()
    with pytest.raises(InputError, match="was taken away"):
        ChainLog(path)
    head.write_bytes(kept)
    path.unlink()
    with pytest.raises(InputError, match="were dropped from its end"):
        ChainLog(path)
    assert not path.stat().st_size


@pytest.mark.parametrize(
    "rest", [b'{"body":{"num', b"\0" * 700, b"\0\0\n\0\n", b'{"body":', b"\xff\n"]
)
def test_a_torn_end_is_cut_off_and_kept_beside(tmp_path: Path, rest: bytes) -> None:
    """What a loss of power leaves; the log says so and goes on."""
    path = tmp_path / "answers.jsonl"
    filled(path, 3)
    with path.open("ab") as file:
        file.write(rest)
    with pytest.raises(InputError, match="the last line was cut off after"):
        list(read_log(path))
    log = ChainLog(path)
    log.append({"number": 3})
    log.close()
    assert numbers(path) == [0, 1, 2, 3]
    assert [entry.body["log"] for entry in read_log(path) if "log" in entry.body] == ["mended"]
    (torn,) = tmp_path.glob("answers.torn-*")
    assert torn.read_bytes() == rest


def test_a_tear_before_the_written_down_end_is_refused(tmp_path: Path) -> None:
    """A loss of power can't have taken what was on the disk."""
    path = tmp_path / "answers.jsonl"
    filled(path, 3)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="line 3: not an entry"):
        ChainLog(path)
    assert not list(tmp_path.glob("answers.torn-*"))


def test_garbage_with_whole_entries_after_it_is_refused(tmp_path: Path) -> None:
    """No loss of power does that: somebody changed the file."""
    path = tmp_path / "answers.jsonl"
    filled(path, 3)
    content = path.read_bytes()
    with path.open("ab") as file:
        file.write(b"rubbish\n" + content.splitlines(keepends=True)[-1])
    with pytest.raises(InputError, match="line 4: not an entry"):
        ChainLog(path)
    assert path.read_bytes().startswith(content + b"rubbish")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_change_of_a_byte_goes_unseen(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """One byte of a closed log altered, cut or added: reading it is refused."""
    path = tmp_path_factory.mktemp("log") / "answers.jsonl"
    filled(path, 4)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    how = data.draw(st.sampled_from(["alter", "cut", "add"]))
    if how == "alter":
        content[place] ^= data.draw(st.integers(1, 255))
    elif how == "cut":
        del content[place]
    else:
        content.insert(place, data.draw(st.integers(0, 255)))
    path.write_bytes(content)
    with pytest.raises(InputError):
        list(read_log(path))


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """The append fails, nothing of it stays, and the log goes on when there is room."""
    path = tmp_path / "answers.jsonl"
    program = """
import resource, sys
from pathlib import Path
import signal
from clients.vault.chain_log import ChainLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = ChainLog(Path(sys.argv[1]))
log.append({"number": 0})
size = Path(sys.argv[1]).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, resource.RLIM_INFINITY))
try:
    log.append({"number": 1})
except OSError as error:
    print(error.errno)
assert Path(sys.argv[1]).stat().st_size == size
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.append({"number": 2})
log.close()
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True
    )
    assert int(ended.stdout) == errno.ENOSPC
    assert numbers(path) == [0, 2]


def test_nothing_is_appended_while_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed sync stops the log until one succeeds: what can't be kept must not be entered."""
    log = ChainLog(tmp_path / "answers.jsonl")
    log.append({"number": 0})
    with monkeypatch.context() as broken:
        broken.setattr(
            os, "fsync", lambda file: (_ for _ in ()).throw(OSError(errno.EIO, "broken"))
        )
        with pytest.raises(OSError, match="broken"):
            log.sync()
        with pytest.raises(OSError, match="can't be brought to the disk"):
            log.append({"number": 1})
    log.sync()
    log.append({"number": 2})
    log.close()
    assert numbers(tmp_path / "answers.jsonl") == [0, 2]


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    """One sentence, and no thread is left."""
    (tmp_path / "file").write_text("")
    before = threading.active_count()
    with pytest.raises(InputError, match="can't be written"):
        ChainLog(tmp_path / "file" / "answers.jsonl")
    assert threading.active_count() == before


def test_there_is_nothing_to_read_where_nothing_was_answered(tmp_path: Path) -> None:
    """One sentence."""
    with pytest.raises(InputError, match="there is no log"):
        list(read_log(tmp_path / "answers.jsonl"))
