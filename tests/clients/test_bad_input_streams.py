"""Wrong keys and a database that goes away, with parties in processes over the real relay.

One sentence that says whose fault it is and what would be right, in a bounded time; no model, no
ledger entry, nothing half-written; who has no part in it goes on undisturbed.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pyarrow.csv as pa_csv
import pytest

from clients.example import write_example
from clients.federation_file import read_federation
from clients.pins import pins_of
from clients.vault import party_key
from federation.identity import PartyKey
from server.coordinator.relay import Relay
from tests.clients.party_processes import (
    Gate,
    ending_of,
    party_processes,
    written_below,
)
from tests.clients.postgres_server import PASSWORD, QUOTED_PASSWORD, PostgresServer

RESULTS = ("runs/", "model", "ledger", "scores", "kept")
VARIABLE = "PLATFORM_DATABASE_URL"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example; all parties' files lie in it."""
    return write_example(tmp_path / "example").parent


def pinning(folder: Path, name: str, **keys: str) -> Path:
    """A copy of the federation file with these parties' keys in it."""
    text = (folder / "federation.toml").read_text()
    for party, key in keys.items():
        heading = f"[parties.{party}]\n"
        assert heading in text
        text = text.replace(heading, f'{heading}key = "{key}"\n')
    path = folder / name
    path.write_text(text)
    return path


def key_of(folder: Path, party: str) -> str:
    """The line that a party's peers pin."""
    return party_key(folder / party / "vault").public.text


def relay_for(folder: Path, run: str, **settings: object) -> Relay:
    """The relay of a run of the example's parties."""
    pins = pins_of(read_federation(folder / "federation.toml"))
    return Relay(f"{run}-session", pins, join_seconds=60, **settings)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("who", ["bank", "platform"])
def test_a_file_that_pins_another_key_for_the_peer(folder: Path, who: str) -> None:
    """Both are at the relay; their handshake does not open, and both hear which keys to compare."""
    peer = "platform" if who == "bank" else "bank"
    wrong = PartyKey(PartyKey.new_seed()).public.text
    right = pinning(folder, "right.toml", bank=key_of(folder, "bank"))
    files = {who: pinning(folder, "wrong.toml", **{peer: wrong}), peer: right}
    started = time.monotonic()
    with relay_for(folder, "run-1") as relay, party_processes(files, "run-1", relay) as parties:
        ending = ending_of(relay)
        said = {party: process.said() for party, process in parties.items()}
    assert time.monotonic() - started < 60
    # The platform is the first to open anything, whoever's file is wrong.
    assert ending.startswith("platform: bank's handshake does not open with the key that platform")
    assert ending.endswith("compare both with `veilscore keys`")
    assert "\n" not in ending
    assert said["bank"] == f"PartyFailure: {ending}"
    assert said["platform"] == f"ProtocolError: {ending.removeprefix('platform: ')}"
    assert not written_below(folder, RESULTS)


def in_database(folder: Path, server: PostgresServer) -> None:
    """Move the platform's table into a database."""
    table = folder / "platform" / "merchants.csv"
    server.write("merchants", pa_csv.read_csv(table))
    table.unlink()
    manifest = folder / "platform" / "manifest.toml"
    text = manifest.read_text()
    assert 'path = "merchants.csv"' in text
    source = f'kind = "sql"\nurl_env = "{VARIABLE}"\ntable = "merchants"'
    manifest.write_text(text.replace('path = "merchants.csv"', source))


@pytest.mark.slow
def test_a_database_that_goes_away_in_the_middle(
    folder: Path, tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bank hears that the platform's input is not in order, the platform what it is."""
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    in_database(folder, postgres)
    monkeypatch.setenv(VARIABLE, postgres.url)
    here, there = Gate.closed(), Gate.closed()
    files = dict.fromkeys(("bank", "platform"), folder / "federation.toml")
    others = dict.fromkeys(("bank", "platform"), other / "federation.toml")
    with (
        relay_for(folder, "run-1") as relay,
        relay_for(other, "run-2") as other_relay,
        party_processes(files, "run-1", relay, {"platform": here}) as parties,
        party_processes(others, "run-2", other_relay, {"platform": there}) as other_parties,
    ):
        here.wait_at(parties["platform"])
        there.wait_at(other_parties["platform"])
        postgres.stop()
        try:
            here.go.set()
            ending = ending_of(relay)
            said = {party: process.said() for party, process in parties.items()}
        finally:
            postgres.start()
        # The other session was under way all the time.
        there.go.set()
        assert ending_of(other_relay) == ""
        assert [process.said() for process in other_parties.values()] == ["", ""]
    assert ending == "platform: its own input is not in order; its log says what and where"
    assert said["bank"] == f"PartyFailure: {ending}"
    assert said["platform"].startswith("InputError: ")
    assert (
        f"the database of the environment variable '{VARIABLE}' went away after"
        in (said["platform"])
    )
    for text in (*said.values(), ending):
        assert PASSWORD not in text
        assert QUOTED_PASSWORD not in text
        assert "\n" not in text
    assert not written_below(folder, RESULTS)
    assert written_below(other, ["model-exact.json"]) == [
        "runs/run-2/bank/model-exact.json",
        "runs/run-2/platform/model-exact.json",
    ]
