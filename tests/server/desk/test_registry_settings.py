"""Where the registry is and whose signatures count; a password shows nowhere."""

from __future__ import annotations

import logging
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from clients.vault import party_key
from federation.errors import InputError
from server.desk.registry.database import Database, DatabaseUnavailable
from server.desk.registry.registry import Registry
from server.desk.registry.settings import DatabaseAddress, read_desk_folder, registry_settings
from tests.clients.postgres_server import PASSWORD, QUOTED_PASSWORD, PostgresServer
from tests.server.desk.databases import SIGNER, STRANGER, postgres_address, sqlite_address

VARIABLE = "DESK_DATABASE_URL"


def desk_folder(folder: Path, registry: str = "", desk: str = "") -> Path:
    """A folder with a desk.toml."""
    (folder / "desk.toml").write_text(f"[desk]\n{desk}\n[registry]\n{registry}\n")
    return folder


def test_without_anything_it_is_a_file_beside_and_the_vaults_key_counts(tmp_path: Path) -> None:
    """The file is its owner's only."""
    key = party_key(tmp_path / "vault")
    settings = read_desk_folder(desk_folder(tmp_path, desk='label_party_vault = "vault"'))
    assert settings.signers == (key.public,)
    assert (settings.line, settings.poll_seconds) == ("default", 1.0)
    registry = Registry.open(settings)
    registry.close()
    assert stat.S_IMODE((tmp_path / "registry.db").stat().st_mode) == 0o600


def test_listed_signers_count_instead(tmp_path: Path) -> None:
    """All of them."""
    keys = [SIGNER.public.text, STRANGER.public.text]
    settings = read_desk_folder(desk_folder(tmp_path, f"signers = {keys}"))
    assert settings.signers == (SIGNER.public, STRANGER.public)


@pytest.mark.parametrize(
    ("registry", "sentence"),
    [
        ("", "not known whose models are served"),
        ('signers = "a"', "'signers' as no list of keys"),
        ('signers = ["a"]', "signers: is no party key"),
        ("sign = []", "unknown key 'sign'"),
        ('url = "sqlite:///a.db"\nurl_env = "B"', "both 'url' and 'url_env'"),
        ('url = ""', "'url' as no text"),
        ("url = 3", "'url' as no text"),
        ('url_env = "postgresql://a:b@c/d"', "something else than a variable's name"),
        ('url_env = "DESK_NOT_SET"', "is not set here"),
        ('url = "postgresql://a:hush@c/d"', "has a password in 'url'"),
        ('url = "postgresql://c/d?password=hush"', "has a password in 'url'"),
        ('line = "Über"', "a model line's name"),
        ("line = 1", "'line' as no text"),
        ("poll_seconds = 0", "'poll_seconds' wrong"),
        ("poll_seconds = true", "'poll_seconds' wrong"),
        ("poll_seconds = nan", "'poll_seconds' wrong"),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, registry: str, sentence: str) -> None:
    """One sentence that names the file and repeats no URL; no key is made."""
    folder = desk_folder(tmp_path, registry, 'label_party_vault = "vault"')
    with pytest.raises(InputError, match=sentence) as caught:
        read_desk_folder(folder)
    assert "hush" not in str(caught.value)
    assert "a:b" not in str(caught.value)
    assert not (tmp_path / "vault").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "no such file"), (b"\xff", "not UTF-8"), (b"[", "not valid TOML"),
     (b"registry = 1", "has 'registry' as no table"),
     (b"[desk]\nlabel_party_vault = 1", "'label_party_vault' as no text")],
)  # fmt: skip
def test_files_that_are_wrong(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    """One sentence."""
    if content is not None:
        (tmp_path / "desk.toml").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_desk_folder(tmp_path)


@pytest.mark.parametrize("url", ["mysql://secret/b", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_urls_of_no_known_database(tmp_path: Path, url: str) -> None:
    """One sentence without it."""
    with pytest.raises(InputError, match="holds no URL of a PostgreSQL or SQLite") as caught:
        Database(DatabaseAddress(url, "'url'", tmp_path))
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """One sentence, and the file as it was."""
    (tmp_path / "registry.db").write_bytes(b"a letter to grandma, long enough for a page " * 40)
    with pytest.raises(InputError, match="is not an SQLite database"):
        Registry(Database(sqlite_address(tmp_path)), [SIGNER.public])


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """One sentence."""
    (tmp_path / "registry.db").mkdir()
    with pytest.raises(InputError, match="cannot be opened or made"):
        Database(sqlite_address(tmp_path))


def secret_free(text: str, server: PostgresServer) -> bool:
    """Whether a text holds nothing of the URL."""
    return not any(s in text for s in (PASSWORD, QUOTED_PASSWORD, "tester", str(server.port)))


@pytest.mark.parametrize("wrong", ["password", "port", "database"])
def test_a_server_that_does_not_let_in(
    postgres: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    wrong: str,
) -> None:
    """Nothing of the URL is in the sentence, the settings' text or the log."""
    caplog.set_level(logging.DEBUG)
    url = {
        "password": postgres.url.replace(QUOTED_PASSWORD, QUOTED_PASSWORD + "x"),
        "port": postgres.url.replace(f":{postgres.port}", ":1"),
        "database": postgres.url + "x",
    }[wrong]
    monkeypatch.setenv(VARIABLE, url)
    settings = registry_settings(
        {"url_env": VARIABLE, "signers": [SIGNER.public.text]}, "here", tmp_path, None
    )
    assert url not in repr(settings)
    with pytest.raises(DatabaseUnavailable, match="cannot be reached or does not let") as caught:
        Registry.open(settings)
    assert secret_free(str(caught.value) + repr(settings) + caplog.text, postgres)


def test_a_user_without_rights(postgres: PostgresServer, tmp_path: Path) -> None:
    """One sentence."""
    address = postgres_address(postgres, tmp_path)
    Registry(Database(address), [SIGNER.public]).close()
    postgres.execute("drop role if exists guest; create role guest login password 'guest'")
    guest = postgres.url.replace(f"tester:{QUOTED_PASSWORD}", "guest:guest")
    database = Database(DatabaseAddress(guest, "'url'", tmp_path))
    with pytest.raises(InputError, match="its user lacks a right"):
        Registry(database, [SIGNER.public])
    database.close()


def test_help_loads_no_database() -> None:
    """Importing the commands is quick."""
    code = (
        "import server.desk.registry.cli, server.desk.alerts.cli, sys; "
        "sys.exit(any(name in sys.modules for name in ('sqlalchemy', 'grpc', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
