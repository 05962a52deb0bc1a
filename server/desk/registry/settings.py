"""Where the registry's database is, and whose signatures count: [registry] of desk.toml.

[registry]
url = "sqlite:///registry.db"     # relative to desk.toml; a URL here must hold no password
url_env = "DESK_DATABASE_URL"     # or: the environment variable that holds the URL
signers = ["veilscore-key-1:…"]   # whose models are served; else the key of label_party_vault
line = "default"                  # the line that answers where a request names no model
poll_seconds = 1.0                # how often the desk looks for changes
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clients.vault import party_key
from clients.vault.party_key_file import PARTY_KEY
from federation.errors import InputError
from federation.identity import PartyPublicKey
from server.desk.registry.names import DEFAULT_LINE, check_line

SETTINGS_FILE = "desk.toml"
DEFAULT_URL = "sqlite:///registry.db"
MOST_POLL_SECONDS = 3600.0
_KEYS = ("url", "url_env", "signers", "line", "poll_seconds")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_PARAMETER = re.compile(r"[?&;][^=&;]*pass(word|wd)[^=&;]*=", re.IGNORECASE)


@dataclass(frozen=True)
class DatabaseAddress:
    """Where a database is.

    Attributes:
        url: of SQLAlchemy's form; it may hold a password, so it is shown nowhere.
        place: what errors say instead.
        folder: that a relative SQLite path starts from.
    """

    url: str = field(repr=False)
    place: str
    folder: Path


@dataclass(frozen=True)
class RegistrySettings:
    """[registry] of desk.toml.

    Attributes:
        database: the registry's, and the alerts'.
        signers: public keys whose signatures count.
        line: answers where a request names no model.
        poll_seconds: between two looks for changes.
    """

    database: DatabaseAddress
    signers: tuple[PartyPublicKey, ...]
    line: str = DEFAULT_LINE
    poll_seconds: float = 1.0


def database_address(values: Mapping[str, object], where: str, folder: Path) -> DatabaseAddress:
    """Read 'url' or 'url_env' of a settings table.

    Raises:
        InputError: both are given, the variable is not set, or the file holds a password.
    """
    url, variable = values.get("url"), values.get("url_env")
    if url is not None and variable is not None:
        raise InputError(f"{where}: has both 'url' and 'url_env'; write one of them")
    if variable is not None:
        # What stands here may be the URL itself, so it is not repeated.
        if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
            raise InputError(
                f"{where}: has 'url_env' as something else than a variable's name; write the name "
                'only, url_env = "DESK_DATABASE_URL", and set the variable to the URL'
            )
        place = f"the environment variable '{variable}'"
        text = os.environ.get(variable, "").strip()
        if not text:
            raise InputError(
                f"{where}: takes the database's URL from {place}, which is not set here; set it, "
                "for example to postgresql://user:password@host/database"
            )
        return DatabaseAddress(text, place, folder)
    written = DEFAULT_URL if url is None else url
    if not isinstance(written, str) or not written.strip():
        raise InputError(f"{where}: has 'url' as no text; write, for example, \"{DEFAULT_URL}\"")
    if _holds_password(written):
        raise InputError(
            f"{where}: has a password in 'url'; put the URL into an environment variable and "
            'write its name, url_env = "DESK_DATABASE_URL"'
        )
    return DatabaseAddress(written, f"'url' of {where}", folder)


def registry_settings(
    values: Mapping[str, object], where: str, folder: Path, vault: Path | None
) -> RegistrySettings:
    """Read the [registry] table.

    Args:
        values: the table; may be empty.
        where: the file and the table, for errors.
        folder: of desk.toml.
        vault: the label party's, whose key counts where no signers are listed; or None.

    Raises:
        InputError: a key is unknown or of another type, or no signer is known.
    """
    for key in values:
        if key not in _KEYS:
            raise InputError(f"{where}: has an unknown key '{key}'; known are {', '.join(_KEYS)}")
    seconds = values.get("poll_seconds", 1.0)
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not 0 < seconds <= MOST_POLL_SECONDS
    ):
        raise InputError(
            f"{where}: has 'poll_seconds' wrong; it must be a number above 0, at most "
            f"{MOST_POLL_SECONDS:g}"
        )
    line = values.get("line", DEFAULT_LINE)
    if not isinstance(line, str):
        raise InputError(f"{where}: has 'line' as no text; write, for example, \"default\"")
    try:
        check_line(line)
    except InputError as error:
        raise InputError(f"{where}: has 'line' wrong; {error}") from None
    return RegistrySettings(
        database=database_address(values, where, folder),
        signers=_signers(values.get("signers", []), where, vault),
        line=line,
        poll_seconds=float(seconds),
    )


def read_desk_folder(folder: Path) -> RegistrySettings:
    """The registry's settings of a desk's folder, for commands.

    Raises:
        InputError: there is no desk.toml, or it is not right.
    """
    path = folder / SETTINGS_FILE
    content = read_settings_file(path)
    vault = table(content, "desk", path).get("label_party_vault")
    if vault is not None and not isinstance(vault, str):
        raise InputError(f"{path}: [desk] has 'label_party_vault' as no text; write a folder")
    return registry_settings(
        table(content, "registry", path),
        f"{path}: [registry]",
        folder,
        None if vault is None else folder / vault,
    )


def read_settings_file(path: Path) -> Mapping[str, object]:
    """A desk's settings file whole.

    Raises:
        InputError: it is missing, unreadable or no TOML.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise InputError(
            f"{path}: there is no such file; name the desk's folder with --desk (`veilscore serve` "
            "makes one)"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: is not valid TOML: {error}") from None


def table(content: Mapping[str, object], name: str, path: Path) -> Mapping[str, object]:
    """A table of a settings file, empty where it is not there.

    Raises:
        InputError: it is something else than a table.
    """
    value = content.get(name, {})
    if not isinstance(value, dict):
        raise InputError(f"{path}: has '{name}' as no table; write [{name}]")
    return value


def _signers(value: object, where: str, vault: Path | None) -> tuple[PartyPublicKey, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise InputError(
            f"{where}: has 'signers' as no list of keys; write the lines that `veilscore keys` "
            'prints, signers = ["veilscore-key-1:…"]'
        )
    if value:
        return tuple(PartyPublicKey.from_text(text, f"{where}, signers") for text in value)
    # Looked for first: reading a key that is not there would make one, which nobody signed with.
    if vault is None or not (vault / PARTY_KEY).is_file():
        raise InputError(
            f"{where}: it is not known whose models are served; list keys, signers = "
            '["veilscore-key-1:…"], or name the label party\'s vault, [desk] label_party_vault'
        )
    return (party_key(vault).public,)


def _holds_password(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    if _SECRET_PARAMETER.search(url):
        return True
    # Up to the last '@': a password may hold '@' or '/' where it should have been quoted.
    return not scheme.startswith("sqlite") and ":" in rest.rpartition("@")[0]
