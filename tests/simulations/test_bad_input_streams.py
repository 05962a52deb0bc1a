"""What a person got wrong with keys, through the whole command: one sentence, nothing written."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.example import write_example
from clients.vault import party_key
from federation.identity import PartyKey
from tests.clients.example_runs import files_below
from tests.simulations.test_bad_input import refused, train

KEYS = {"bank/vault/party.key", "platform/vault/party.key"}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with both parties' keys made; copied for every test."""
    folder = write_example(tmp_path_factory.mktemp("example")).parent
    for party in ("bank", "platform"):
        party_key(folder / party / "vault")
    return folder


@pytest.fixture
def folder(example: Path, tmp_path: Path) -> Path:
    """A federation of one's own."""
    return Path(shutil.copytree(example, tmp_path / "federation"))


def pin(folder: Path, party: str, line: str) -> None:
    """Put a key for a party into the federation file."""
    path, heading = folder / "federation.toml", f"[parties.{party}]\n"
    path.write_text(path.read_text().replace(heading, f'{heading}key = "{line}"\n'))


def mistyped(folder: Path) -> None:
    """One letter of the platform's line is another."""
    line = party_key(folder / "platform" / "vault").public.text
    pin(folder, "platform", line[:40] + ("A" if line[40] != "A" else "B") + line[41:])


def cut(folder: Path) -> None:
    """The line's end was not copied."""
    pin(folder, "platform", party_key(folder / "platform" / "vault").public.text[:-6])


def read_by_others(folder: Path) -> None:
    """Anybody on the machine may read the secret half."""
    (folder / "platform" / "vault" / "party.key").chmod(0o644)


def cut_secret(folder: Path) -> None:
    """A copy that was not finished."""
    path = folder / "bank" / "vault" / "party.key"
    path.write_bytes(path.read_bytes()[:31])


def the_banks_for_both(folder: Path) -> None:
    """The bank's own line under the platform's name."""
    pin(folder, "platform", party_key(folder / "bank" / "vault").public.text)


def elsewhere(folder: Path) -> None:
    """The platform is on another machine, and nobody has asked it for its key."""
    shutil.rmtree(folder / "platform")


BAD_KEYS = {
    mistyped: "federation.toml: [parties.platform] 'key': is no party key; the line that",
    cut: "federation.toml: [parties.platform] 'key': is no party key; the line that",
    read_by_others: "platform/vault/party.key: may be read by others than its owner (mode 644)",
    cut_secret: "bank/vault/party.key: is no party key (31 bytes, 32 are right); put back",
    the_banks_for_both: "bank and platform have the same party key; each party makes its own",
    elsewhere: "federation.toml: [parties.platform] has no 'key', and its manifest is not on this",
}


@pytest.mark.parametrize("damage", BAD_KEYS, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("command", [("train", "--config"), ("keys",)], ids=["train", "keys"])
def test_keys_that_are_not_right_are_refused_before_anything_starts(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    command: tuple[str, ...],
) -> None:
    """By `veilscore train`, and by `veilscore keys` over the same file."""
    damage(folder)
    before, modules = files_below(folder), set(sys.modules)
    said = refused(capsys, *command, str(folder / "federation.toml"))
    if not (damage is elsewhere and command[0] == "train"):
        assert BAD_KEYS[damage] in said
    started = {name.partition(".")[0] for name in set(sys.modules) - modules}
    assert "ray" not in started
    assert files_below(folder) == before


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.toml", None, "none.toml: there is no such file; name a manifest or a federation"),
        ("text.toml", "no table", "text.toml: the manifest or federation file is not valid TOML"),
        ("party.toml", "party = 1", "party.toml: has 'party' as a number; it must be a table"),
        ("other.toml", "[tool]", "other.toml: has an unknown table 'tool'"),
        ("bytes.toml", b"\xff\xfe", "bytes.toml: the manifest or federation file is not UTF-8"),
    ],
)
def test_keys_of_a_file_that_is_neither(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str | bytes | None,
    sentence: str,
) -> None:
    if content is not None:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
    before = files_below(tmp_path)
    assert sentence in refused(capsys, "keys", str(tmp_path / name))
    assert files_below(tmp_path) == before


@pytest.mark.slow
def test_a_pinned_key_that_is_not_the_platforms_ends_the_whole_command(folder: Path) -> None:
    """Through Flower and Ray: the platform finds it out; no run's folder, no ledger."""
    other = PartyKey(PartyKey.new_seed()).public
    own = party_key(folder / "platform" / "vault").public
    pin(folder, "platform", other.text)
    before, config = files_below(folder), folder / "federation.toml"
    ended = train("--quiet", "--config", config)
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr == (
        f"veilscore: platform: {config}: [parties.platform] pins the key {other.fingerprint}, but "
        f"its own vault holds {own.fingerprint}; put in the line that `veilscore keys` prints\n"
    )
    assert files_below(folder) == before
