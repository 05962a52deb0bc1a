"""Where a table lies: [source] of a manifest, and [consent] where consents lie apart.

A file, a folder of files, or a database:

[source]
path = "borrowers.csv"           # CSV or Parquet, relative to the manifest

[source]
path = "borrowers"               # a folder of .parquet files, 'region=north' folders among them;
                                 # or a pattern: "borrowers/2026-*.parquet"

[source]
kind = "sql"                     # PostgreSQL or SQLite; opened for reading only
url_env = "BANK_DATABASE_URL"    # the environment variable that holds the database's URL
table = "borrowers"              # or "schema.borrowers"; or instead: query = "select ..."

A URL may stand in the manifest itself, url = "sqlite:///loans.db" (relative to the manifest), as
long as it holds no password. The extra 'sql' brings what a database needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from clients.settings_file import Section

FILE_KEYS = ("path", "separator", "decimal", "encoding")
DATABASE_KEYS = ("url_env", "url", "table", "query")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_PARAMETER = re.compile(r"[?&;][^=&;]*pass(word|wd)[^=&;]*=", re.IGNORECASE)


class SourceKind(StrEnum):
    """What holds a table."""

    CSV = "csv"
    PARQUET = "parquet"
    SQL = "sql"


@dataclass(frozen=True)
class FileSource:
    """A table on disk.

    Attributes:
        path: a CSV or Parquet file; for Parquet also a folder of files or a pattern ('*', '**').
        kind: CSV or PARQUET.
        separator, decimal, encoding: how a CSV file is written; Parquet needs none of them.
    """

    path: Path
    kind: SourceKind
    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"

    @property
    def place(self) -> str:
        """What errors name."""
        return str(self.path)


@dataclass(frozen=True)
class DatabaseSource:
    """A table or query of a database. It holds no password: that stays in the environment.

    Attributes:
        path: the manifest, which errors name since a URL must not be shown.
        section: the manifest's table that declares it ('source').
        url_env: the environment variable that holds the URL, or None where `url` is given.
        url: a URL without a password, or None.
        table: the table's name, with its schema where it has one; None where `query` is given.
        query: a SELECT, or None.
    """

    path: Path
    section: str
    url_env: str | None
    url: str | None
    table: str | None
    query: str | None

    @property
    def place(self) -> str:
        """What errors name."""
        return f"{self.path}, {self.what}"

    @property
    def what(self) -> str:
        """The table, or the query's key."""
        return f"table '{self.table}'" if self.table else f"'query' of [{self.section}]"

    @property
    def where(self) -> str:
        """The table of the manifest."""
        return f"{self.path}: [{self.section}]"

    @property
    def url_place(self) -> str:
        """Where the URL stands, for sentences that must not show it."""
        return f"the environment variable '{self.url_env}'" if self.url_env else "'url'"


Source = FileSource | DatabaseSource


def is_source(section: Section) -> bool:
    """Say whether a section names a table at all."""
    return any(key in section for key in ("kind", "path", *DATABASE_KEYS))


def read_source(section: Section, manifest: Path) -> Source:
    """Read where a table lies and how it is written; unknown keys are the caller's to refuse.

    Args:
        section: [source], or [consent].
        manifest: the file it stands in; paths are relative to its folder.

    Raises:
        InputError: a key is missing, of another type, or contradicts another.
    """
    kind = section.choice("kind", SourceKind) if "kind" in section else None
    foreign = FILE_KEYS if kind is SourceKind.SQL else DATABASE_KEYS
    for key in foreign:
        if key in section:
            wanted = f'is for a file, but kind is "{kind}"'
            if kind is not SourceKind.SQL:
                wanted = 'is for a database; write kind = "sql" beside it'
            raise section.error(f"has '{key}', which {wanted}, or remove it")
    if kind is SourceKind.SQL:
        return _database(section, manifest)
    return _file(section, manifest.parent, kind)


def _file(section: Section, folder: Path, kind: SourceKind | None) -> FileSource:
    path = folder / section.text("path", example="borrowers.csv")
    if kind is None:
        # A name without an ending is a folder's.
        kinds = {".csv": SourceKind.CSV, ".parquet": SourceKind.PARQUET, "": SourceKind.PARQUET}
        ending = path.suffix.lower()
        if ending not in kinds:
            raise section.error(
                f"has 'path' as a file of type '{ending}'; it must end in .csv or .parquet, be a "
                'folder of Parquet files, or have kind = "csv" or "parquet" beside it'
            )
        kind = kinds[ending]
    separator = section.text("separator", ",") if section.values.get("separator") != "\t" else "\t"
    decimal = section.text("decimal", ".")
    if len(separator) != 1 or not separator.isascii():
        raise section.error(f"has 'separator' as '{separator}'; it must be one sign, such as ;")
    if decimal not in (".", ","):
        raise section.error(f"has 'decimal' as '{decimal}'; it must be '.' or ','")
    if decimal == separator:
        raise section.error("has one sign as both 'separator' and 'decimal'; they must differ")
    encoding = section.text("encoding", "utf-8", example="utf-8")
    try:
        "".encode(encoding)
    except LookupError:
        raise section.error(
            f"has 'encoding' as '{encoding}', which is unknown; write, for example, "
            "'utf-8' or 'latin-1'"
        ) from None
    return FileSource(path, kind, separator, decimal, encoding)


def _database(section: Section, manifest: Path) -> DatabaseSource:
    url_env = section.optional_text("url_env", example="BANK_DATABASE_URL")
    url = section.optional_text("url", example="sqlite:///loans.db")
    table = section.optional_text("table", example="borrowers")
    query = section.optional_text("query", example="select ...")
    for one, other, values, right in (
        ("url_env", "url", (url_env, url), 'url_env = "BANK_DATABASE_URL"'),
        ("table", "query", (table, query), 'table = "borrowers"'),
    ):
        given = sum(value is not None for value in values)
        if given != 1:
            found = f"both '{one}' and '{other}'" if given else f"neither '{one}' nor '{other}'"
            raise section.error(f"has {found}; write exactly one of them, for example: {right}")
    if url_env is not None and not _VARIABLE.fullmatch(url_env):
        # What stands here may be the URL itself, so it is not repeated.
        raise section.error(
            "has 'url_env' as something else than a variable's name; write the name only, "
            'such as url_env = "BANK_DATABASE_URL", and set the variable to the URL'
        )
    if url is not None and holds_password(url):
        raise section.error(
            "has a password in 'url'; take it out of this file: put the URL into an environment "
            'variable and write its name, url_env = "BANK_DATABASE_URL"'
        )
    return DatabaseSource(manifest, section.heading, url_env, url, table, query)


def holds_password(url: str) -> bool:
    """Say whether a database's URL holds a password, or may hold one."""
    scheme, _, rest = url.partition("://")
    if _SECRET_PARAMETER.search(url):
        return True
    if scheme.startswith("sqlite"):
        return False
    # Up to the last '@': a password may hold '@' or '/' where it should have been quoted.
    return ":" in rest.rpartition("@")[0]
