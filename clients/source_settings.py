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

Or the features of suppliers that `contracts.features` computes from the index of receivables on
chain:

[source]
kind = "receivables"
url_env = "INDEX_DATABASE_URL"   # the index; or url, as above
as_of = 2026-01-31               # what came before midnight UTC counts; or "today"
borrowers = "accounts.csv"       # which accounts are whose; a borrower may have several rows
borrower_column = "borrower"     # these two are the defaults
account_column = "account"
chain_id = 31337                 # optional: refuses an index of another chain
token = "0x..."                  # which deposit token, where the index has claims in several
unknown_accounts = "refuse"      # accounts that the index never names; or "leave-out"

Or the features of lessees that `iot.features` computes from the archive of leased machines'
telemetry:

[source]
kind = "telemetry"
archive = "archive"              # the folder that the telemetry's roll-up fills
as_of = 2026-01-31               # what came before midnight UTC counts; or "today"
leases = "leases.csv"            # a row a lease; `clients.iot.leases` says which columns
lessee_column = "lessee"         # the default
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path

from clients.settings_file import Section

FILE_KEYS = ("path", "separator", "decimal", "encoding")
DATABASE_KEYS = ("url_env", "url", "table", "query")
_RECEIVABLES_ONLY = (
    *("as_of", "borrowers", "borrower_column", "account_column"),
    *("chain_id", "token", "unknown_accounts"),
)
_TELEMETRY_ONLY = ("archive", "leases", "lessee_column")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_PARAMETER = re.compile(r"[?&;][^=&;]*pass(word|wd)[^=&;]*=", re.IGNORECASE)


class SourceKind(StrEnum):
    """What holds a table."""

    CSV = "csv"
    PARQUET = "parquet"
    SQL = "sql"
    RECEIVABLES = "receivables"
    TELEMETRY = "telemetry"


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


class UnknownAccounts(StrEnum):
    """What becomes of a borrower whose account the index never names."""

    REFUSE = "refuse"  # nothing is loaded
    LEAVE_OUT = "leave-out"


@dataclass(frozen=True)
class ReceivablesSource:
    """Features of suppliers as of a date, from an index of receivables on chain.

    Attributes:
        database: where the index lies; of it only the URL's place is used.
        as_of: the date; None is the day of the run, in UTC.
        borrowers: the table of borrowers and their accounts.
        borrower_column, account_column: its columns.
        chain_id: the chain that the index must be of, or None.
        token: the address of the deposit token, or None where there is but one.
        unknown_accounts: whether they are refused.
    """

    database: DatabaseSource
    as_of: date | None
    borrowers: FileSource
    borrower_column: str
    account_column: str
    chain_id: int | None
    token: str | None
    unknown_accounts: UnknownAccounts

    @property
    def path(self) -> Path:
        """The manifest."""
        return self.database.path

    @property
    def place(self) -> str:
        """What errors name."""
        return f"{self.path}, receivables"

    @property
    def where(self) -> str:
        """The table of the manifest."""
        return self.database.where


@dataclass(frozen=True)
class TelemetrySource:
    """Features of lessees as of a date, from an archive of their machines' telemetry.

    Attributes:
        path: the manifest.
        section: its table that declares it ('source').
        archive: the folder.
        as_of: the date; None is the day of the run, in UTC.
        leases: the table of leases.
        lessee_column: its column of the lessee's id.
    """

    path: Path
    section: str
    archive: Path
    as_of: date | None
    leases: FileSource
    lessee_column: str

    @property
    def place(self) -> str:
        """What errors name."""
        return f"{self.path}, telemetry"

    @property
    def where(self) -> str:
        """The table of the manifest."""
        return f"{self.path}: [{self.section}]"


Source = FileSource | DatabaseSource | ReceivablesSource | TelemetrySource


def is_source(section: Section) -> bool:
    """Say whether a section names a table at all."""
    return any(key in section for key in ("kind", "path", *DATABASE_KEYS))


def allow_source_keys(section: Section) -> None:
    """Refuse keys that are for no kind of source; the others `read_source` judges by the kind."""
    meant: tuple[str, ...] = ()
    if section.values.get("kind") == SourceKind.RECEIVABLES:
        meant = _RECEIVABLES_ONLY
    elif section.values.get("kind") == SourceKind.TELEMETRY:
        meant = ("as_of", *_TELEMETRY_ONLY)
    known = dict.fromkeys((*_RECEIVABLES_ONLY, *_TELEMETRY_ONLY))
    more = (key for key in known if key in meant or key in section)
    section.allow("kind", *FILE_KEYS, *DATABASE_KEYS, *more)


def read_source(section: Section, manifest: Path) -> Source:
    """Read where a table lies and how it is written; unknown keys are the caller's to refuse.

    Args:
        section: [source], or [consent].
        manifest: the file it stands in; paths are relative to its folder.

    Raises:
        InputError: a key is missing, of another type, or contradicts another.
    """
    kind = section.choice("kind", SourceKind) if "kind" in section else None
    _refuse_foreign_keys(section, kind)
    if kind is SourceKind.SQL:
        return _database(section, manifest)
    if kind is SourceKind.RECEIVABLES:
        return _receivables(section, manifest)
    if kind is SourceKind.TELEMETRY:
        return _telemetry(section, manifest)
    return _file(section, manifest.parent, kind)


def _refuse_foreign_keys(section: Section, kind: SourceKind | None) -> None:
    """Refuse keys that are for a source of another kind."""
    url_keys, table_keys = DATABASE_KEYS[:2], DATABASE_KEYS[2:]
    foreign: dict[str, str] = {}
    if kind in (SourceKind.SQL, SourceKind.RECEIVABLES, SourceKind.TELEMETRY):
        foreign |= dict.fromkeys(FILE_KEYS, f'is for a file, but kind is "{kind}"')
    if kind is SourceKind.TELEMETRY:
        wanted = f'is for a database, but kind is "{kind}", which lies in a folder'
        foreign |= dict.fromkeys((*url_keys, *table_keys), wanted)
    elif kind not in (SourceKind.SQL, SourceKind.RECEIVABLES):
        database = 'is for a database; write kind = "sql" beside it'
        foreign |= dict.fromkeys((*url_keys, *table_keys), database)
    if kind is SourceKind.RECEIVABLES:
        wanted = f'is for a table, but kind is "{kind}", whose features have names of their own'
        foreign |= dict.fromkeys(table_keys, wanted)
    else:
        wanted = 'is for receivables on chain; write kind = "receivables" beside it'
        foreign |= dict.fromkeys(_RECEIVABLES_ONLY, wanted)
    if kind is SourceKind.TELEMETRY:
        del foreign["as_of"]
    else:
        wanted = 'is for telemetry; write kind = "telemetry" beside it'
        foreign |= dict.fromkeys(_TELEMETRY_ONLY, wanted)
    for key, wanted in foreign.items():
        if key in section:
            raise section.error(f"has '{key}', which {wanted}, or remove it")


def _kind_of_file(section: Section, key: str, path: Path) -> SourceKind:
    # A name without an ending is a folder's.
    kinds = {".csv": SourceKind.CSV, ".parquet": SourceKind.PARQUET, "": SourceKind.PARQUET}
    ending = path.suffix.lower()
    if ending in kinds:
        return kinds[ending]
    beside = ', or have kind = "csv" or "parquet" beside it' if key == "path" else ""
    comma = "," if beside else " or"
    raise section.error(
        f"has '{key}' as a file of type '{ending}'; it must end in .csv or .parquet{comma} be a "
        f"folder of Parquet files{beside}"
    )


def _file(section: Section, folder: Path, kind: SourceKind | None) -> FileSource:
    path = folder / section.text("path", example="borrowers.csv")
    if kind is None:
        kind = _kind_of_file(section, "path", path)
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


def _receivables(section: Section, manifest: Path) -> ReceivablesSource:
    borrowers = manifest.parent / section.text("borrowers", example="accounts.csv")
    kind = _kind_of_file(section, "borrowers", borrowers)
    url_env, url = _url(section)
    chain_id = section.whole_number("chain_id", 0, minimum=1) if "chain_id" in section else None
    columns = (
        section.text("borrower_column", "borrower"),
        section.text("account_column", "account"),
    )
    if columns[0] == columns[1]:
        raise section.error(
            f"has '{columns[0]}' as both 'borrower_column' and 'account_column'; they must differ"
        )
    return ReceivablesSource(
        # The first table that is read; what is missing is told of it.
        DatabaseSource(manifest, section.heading, url_env, url, "cursor", None),
        _as_of(section),
        FileSource(borrowers, kind),
        *columns,
        chain_id,
        section.optional_text("token", example="0x..."),
        section.choice("unknown_accounts", UnknownAccounts, UnknownAccounts.REFUSE),
    )


def _telemetry(section: Section, manifest: Path) -> TelemetrySource:
    leases = manifest.parent / section.text("leases", example="leases.csv")
    return TelemetrySource(
        manifest,
        section.heading,
        manifest.parent / section.text("archive", example="archive"),
        _as_of(section),
        FileSource(leases, _kind_of_file(section, "leases", leases)),
        section.text("lessee_column", "lessee"),
    )


def _as_of(section: Section) -> date | None:
    """The date; None is the day of the run."""
    value = section.values.get("as_of")
    if value == "today":
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and len(value) == len("2026-01-31"):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    found = "has 'as_of' as something else" if "as_of" in section else "lacks the key 'as_of'"
    raise section.error(f'{found}; write a date, as_of = 2026-01-31, or as_of = "today"')


def _database(section: Section, manifest: Path) -> DatabaseSource:
    url_env, url = _url(section)
    table = section.optional_text("table", example="borrowers")
    query = section.optional_text("query", example="select ...")
    _refuse_unless_one(section, ("table", "query"), (table, query), 'table = "borrowers"')
    return DatabaseSource(manifest, section.heading, url_env, url, table, query)


def _refuse_unless_one(
    section: Section, keys: tuple[str, str], values: tuple[str | None, str | None], right: str
) -> None:
    given = sum(value is not None for value in values)
    if given != 1:
        one, other = keys
        found = f"both '{one}' and '{other}'" if given else f"neither '{one}' nor '{other}'"
        raise section.error(f"has {found}; write exactly one of them, for example: {right}")


def _url(section: Section) -> tuple[str | None, str | None]:
    """Read the variable that holds a database's URL, or the URL itself; one of them is None."""
    url_env = section.optional_text("url_env", example="BANK_DATABASE_URL")
    url = section.optional_text("url", example="sqlite:///loans.db")
    right = 'url_env = "BANK_DATABASE_URL"'
    _refuse_unless_one(section, ("url_env", "url"), (url_env, url), right)
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
    return url_env, url


def holds_password(url: str) -> bool:
    """Say whether a database's URL holds a password, or may hold one."""
    scheme, _, rest = url.partition("://")
    if _SECRET_PARAMETER.search(url):
        return True
    if scheme.startswith("sqlite"):
        return False
    # Up to the last '@': a password may hold '@' or '/' where it should have been quoted.
    return ":" in rest.rpartition("@")[0]
