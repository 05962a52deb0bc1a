"""A party's manifest: what a party brings to a federation, in one TOML file that stays with it.

[party]
name = "bank"
role = "label"                   # "label": holds the outcomes; "feature": features only

[source]
path = "borrowers.csv"           # CSV or Parquet, relative to this file; a folder of Parquet files;
                                 # a database, or receivables on chain: see
                                 # `clients.source_settings`

[ids]
column = "borrower_id"
rule = "strip"                   # the same rule at every party of the federation

[label]                          # the label party only
column = "defaulted"
positive = 1

[features]
age = { kind = "numeric", unit = "years", minimum = 18, maximum = 120 }
region = "categorical"           # short for { kind = "categorical" }
tier = { kind = "categorical", categories = ["basic", "plus"] }   # all others count as one

[features.payments]              # a group: many columns declared alike
columns = ["paid_may", "paid_june"]
kind = "numeric"
sequence = true                  # months of one quantity, the oldest first
unit = "NTD"
missing = [-999]
label = "amount paid ({column})"
summaries = ["mean", "max", "min", "std"]   # of the group's columns, each one more feature

[boosting]                       # a feature party only: what boosted trainings may disclose of it
disclosure = "bins"              # "owner" (the default): trees grown at their owner;
                                 # "bins": sums and split bits from which bin codes can be rebuilt;
                                 # "order": the bin codes themselves
bins = 16                        # most bins of a feature that may become known
order_epsilon = 2.0              # bin codes only if perturbed, with this epsilon a code and session
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from clients.feature_declarations import read_features, read_sequences, read_series
from clients.series import MonthlySequence, Series
from clients.settings_file import Section, read_toml
from clients.source_settings import (
    DATABASE_KEYS,
    FILE_KEYS,
    Source,
    SourceKind,
    allow_source_keys,
    is_source,
    read_source,
)
from federation.boosting.acceptance import Acceptance
from federation.boosting.settings import MOST_BINS, Disclosure
from federation.errors import InputError
from federation.identifiers import IdentifierRule
from federation.schema import FeatureSpec

_PARTY_NAME_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


class PartyRole(StrEnum):
    """What a party holds."""

    LABEL = "label"  # the outcomes, and features of its own
    FEATURE = "feature"  # features only


@dataclass(frozen=True)
class LabelSettings:
    """The outcome column.

    Attributes:
        column: its name.
        positive: values that mean 'defaulted' (compared as stripped text; 1, 1.0 and '1' agree).
        negative: values that mean 'repaid'; empty: the one other value of the column.
    """

    column: str
    positive: tuple[str | float, ...]
    negative: tuple[str | float, ...] = ()


@dataclass(frozen=True)
class ConsentSettings:
    """Which borrowers agreed to what, until when.

    Attributes:
        purpose: the purpose of this federation; only consents for it count.
        file: the file or database of consents, or None where they stand in the party's own table.
        id_column: the borrower's id there.
        purpose_column: the purpose of a row's consent; None: all of them are for `purpose`.
        valid_until_column: a date (the consent holds through that day, UTC) or a date with time
            (UTC unless it has an offset).
        open_ended: a consent without an end is valid; otherwise it does not count.
    """

    purpose: str
    file: Source | None
    id_column: str
    purpose_column: str | None
    valid_until_column: str
    open_ended: bool = False


@dataclass(frozen=True)
class PartyManifest:
    """All that a party's manifest says, checked; `path` is the manifest itself.

    `sequences` are the groups that declare `sequence = true`, in the manifest's order; all have
    the same number of columns. `boosting` says what a feature party accepts to disclose in boosted
    trainings.
    """

    path: Path
    name: str
    role: PartyRole
    source: Source
    id_column: str
    id_rule: IdentifierRule
    label: LabelSettings | None
    consent: ConsentSettings | None
    features: tuple[FeatureSpec, ...]
    series: tuple[Series, ...] = ()
    sequences: tuple[MonthlySequence, ...] = ()
    boosting: Acceptance = field(default_factory=Acceptance)


def read_manifest(path: Path | str) -> PartyManifest:
    """Read and check a party's manifest; the tables it names are not opened.

    Raises:
        InputError: the file is missing or not TOML, a key is unknown, missing or of another
            type, or what the manifest says contradicts itself.
    """
    path = Path(path)
    top = read_toml(path, "party manifest")
    top.allow("party", "source", "ids", "label", "consent", "features", "serving", "boosting")
    party = top.required_section("party", 'name = "bank" and role = "label"')
    party.allow("name", "role")
    name = party_name(party, party.text("name", example="bank"))
    role = party.choice("role", PartyRole)
    source_section = top.required_section("source", 'path = "borrowers.csv"')
    allow_source_keys(source_section)
    ids = top.required_section("ids", 'column = "borrower_id"')
    ids.allow("column", "rule")
    manifest = PartyManifest(
        path=path,
        name=name,
        role=role,
        source=read_source(source_section, path),
        id_column=ids.text("column", example="borrower_id"),
        id_rule=ids.choice("rule", IdentifierRule, IdentifierRule.STRIP),
        label=_label(top, role),
        consent=_consent(top.section("consent"), path) if "consent" in top else None,
        features=read_features(top.section("features")),
        series=read_series(top.section("features")),
        sequences=read_sequences(top.section("features")),
        boosting=_boosting(top, role),
    )
    if role is PartyRole.FEATURE and not manifest.features:
        raise top.error(
            "declares no feature; a feature party needs at least one, "
            'for example: [features] turnover = "numeric"'
        )
    _refuse_double_use(top, manifest)
    return manifest


def party_name(section: Section, name: str) -> str:
    """Return a party's name if it can also be a folder's; otherwise refuse it."""
    if set(name) <= _PARTY_NAME_SIGNS and name[0] not in "-_" and len(name) <= 40:
        return name
    raise section.error(
        f"has the party name '{name}'; a name has up to 40 lower-case letters, digits, '-' and '_' "
        "and begins with a letter or digit"
    )


def _label(top: Section, role: PartyRole) -> LabelSettings | None:
    """Read the outcome column, which the label party must have and no other may."""
    if role is PartyRole.FEATURE:
        if "label" in top:
            raise top.error('has a table [label] at a party with role = "feature"; remove one')
        return None
    section = top.required_section("label", 'column = "defaulted" and positive = 1')
    section.allow("column", "positive", "negative")
    positive = section.scalars("positive", example='such as 1 or ["yes", "Y"]')
    negative = section.scalars("negative", example='such as 0 or ["no", "N"]')
    if not positive:
        raise section.error("lacks the key 'positive'; write the value of a default: positive = 1")
    if set(map(str, positive)) & set(map(str, negative)):
        raise section.error("has one value as both 'positive' and 'negative'; it must be one")
    return LabelSettings(section.text("column", example="defaulted"), positive, negative)


def _boosting(top: Section, role: PartyRole) -> Acceptance:
    """Read what a feature party accepts; the label party has nothing to accept."""
    if "boosting" in top and role is PartyRole.LABEL:
        raise top.error('has a table [boosting] at a party with role = "label"; remove one')
    section, default = top.section("boosting"), Acceptance()
    section.allow("disclosure", "bins", "order_epsilon")
    bins = section.whole_number("bins", default.bins, minimum=2)
    if bins > MOST_BINS:
        raise section.error(f"has 'bins' as '{bins}'; it must be a whole number up to {MOST_BINS}")
    disclosure = section.choice("disclosure", Disclosure, default.disclosure)
    epsilon = None
    if "order_epsilon" in section:
        epsilon = section.positive_number("order_epsilon", 1.0, at_most=100.0)
        if disclosure is not Disclosure.ORDER:
            raise section.error(
                f"has 'order_epsilon' beside disclosure = \"{disclosure}\"; it perturbs bin codes "
                'that are sent: set disclosure = "order", or leave it out'
            )
    return Acceptance(disclosure, bins, epsilon)


def _consent(section: Section, manifest: Path) -> ConsentSettings:
    """Read where consents stand and which purpose counts."""
    if section.values.get("kind") == SourceKind.RECEIVABLES:
        raise section.error(
            "has 'kind' as \"receivables\", which holds no consents; name a file or a table, or "
            "put the column of the consent's end beside the accounts"
        )
    if section.values.get("kind") == SourceKind.TELEMETRY:
        raise section.error(
            "has 'kind' as \"telemetry\", which holds no consents; name a file or a table, or "
            "put the column of the consent's end beside the leases"
        )
    own = ("purpose", "purpose_column", "valid_until_column", "open_ended")
    purpose = section.text("purpose", example="credit-scoring").strip()
    open_ended = section.flag("open_ended", False)
    if is_source(section):
        section.allow("kind", *FILE_KEYS, *DATABASE_KEYS, "id_column", *own)
        return ConsentSettings(
            purpose,
            read_source(section, manifest),
            section.text("id_column", "id"),
            section.text("purpose_column", "purpose"),
            section.text("valid_until_column", "valid_until"),
            open_ended,
        )
    section.allow("kind", "path", *DATABASE_KEYS, *own)
    if "valid_until_column" not in section:
        raise section.error(
            "says neither where a consent's end stands in the party's own table "
            '(valid_until_column = "consent_until") nor which file holds consents '
            '(path = "consents.csv")'
        )
    return ConsentSettings(
        purpose,
        None,
        "",
        section.optional_text("purpose_column", example="consent_purpose"),
        section.text("valid_until_column"),
        open_ended,
    )


def _refuse_double_use(top: Section, manifest: PartyManifest) -> None:
    """Refuse a column that serves as two things: an id or an outcome must never be a feature."""
    uses = {manifest.id_column: "the id"}
    extra = [(manifest.label.column, "the label")] if manifest.label else []
    if manifest.consent and manifest.consent.file is None:
        extra.append((manifest.consent.valid_until_column, "the end of the consent"))
        if manifest.consent.purpose_column:
            extra.append((manifest.consent.purpose_column, "the purpose of the consent"))
    for column, use in [*extra, *((spec.name, "a feature") for spec in manifest.features)]:
        if column in uses:
            raise top.error(
                f"uses the column '{column}' as {uses[column]} and as {use}; it can be one only"
            )
        uses[column] = use


def require_party(manifest: PartyManifest, name: str, role: PartyRole, declared_in: Path) -> None:
    """Refuse a manifest that is not the party that a federation file says it is."""
    if (manifest.name, manifest.role) != (name, role):
        raise InputError(
            f"{manifest.path}: [party] is '{manifest.name}' with role '{manifest.role}', but "
            f"{declared_in} names it '{name}' with role '{role}'; the two files must agree"
        )
