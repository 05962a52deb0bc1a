"""The federation file: which parties train together, how they align, and how rows are split.

    [federation]
    alignment = "inner"              # or "label-left": keep all borrowers of the label party
    output = "runs"
    note = "SME loans 2019-2024"     # where the data comes from; stands in every report
    simulated = false                # true: every report says that the data is simulated

    [parties.bank]
    role = "label"
    manifest = "bank/manifest.toml"  # read by this party only

    [parties.platform]
    role = "feature"
    manifest = "platform/manifest.toml"

    [split]
    test_share = 0.2
    validation_share = 0.2           # of the rows that are not test rows
    seed = 42

Every party may hold this file; it says nothing about anybody's columns. A manifest is opened by
its own party alone, so reading this file opens none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from clients.manifest import PartyManifest, PartyRole, party_name, read_manifest, require_party
from clients.settings_file import Section, read_toml, suggest
from federation.alignment import AlignmentMode
from federation.errors import InputError

Scalar = str | int | float | bool | tuple[float, ...]


@dataclass(frozen=True)
class PartyEntry:
    """A party of the federation: its name, its role, and where its manifest lies."""

    name: str
    role: PartyRole
    manifest: Path


@dataclass(frozen=True)
class SplitSettings:
    """How the label party splits the aligned borrowers.

    Attributes:
        test_share: share of the rows kept for the test.
        validation_share: share of the remaining rows on which the penalty is chosen.
        seed: seed of the split.
        column: a column of the label party's table whose values (train, validation, test) fix
            the split instead of `test_share`; None: split by shares.
    """

    test_share: float = 0.2
    validation_share: float = 0.2
    seed: int = 42
    column: str | None = None


@dataclass(frozen=True)
class FederationConfig:
    """All that a federation file says, checked; `path` is the file itself.

    `parties` begins with the label party; `model` and `privacy` hold the scalars of their tables
    as they stand in the file, for the room that knows what they mean.
    """

    path: Path
    alignment: AlignmentMode
    output: Path
    parties: tuple[PartyEntry, ...]
    split: SplitSettings
    model: Mapping[str, Scalar]
    privacy: Mapping[str, Scalar]
    note: str = ""
    simulated: bool = False

    @property
    def label_party(self) -> PartyEntry:
        """The party that holds the outcomes."""
        return self.parties[0]

    @property
    def feature_parties(self) -> tuple[PartyEntry, ...]:
        """The parties that hold features only, in the file's order."""
        return self.parties[1:]

    def party(self, name: str) -> PartyEntry:
        """Return the party of this name."""
        for entry in self.parties:
            if entry.name == name:
                return entry
        raise InputError(
            f"{self.path}: there is no party '{name}'; "
            f"{suggest(name, (entry.name for entry in self.parties))}"
        )

    def with_output(self, output: Path) -> FederationConfig:
        """The same federation, its runs written elsewhere."""
        return replace(self, output=output)

    def manifest_of(self, name: str) -> PartyManifest:
        """Open the manifest of one party, and check that it is that party's.

        Raises:
            InputError: there is no such party, or its manifest is wrong or another party's.
        """
        entry = self.party(name)
        manifest = read_manifest(entry.manifest)
        require_party(manifest, entry.name, entry.role, self.path)
        return manifest


def read_federation(path: Path | str) -> FederationConfig:
    """Read and check a federation file; no manifest is opened.

    Raises:
        InputError: the file is missing or not TOML, a key is unknown, missing or of another
            type, or there is not exactly one label party with at least one feature party.
    """
    path = Path(path)
    top = read_toml(path, "federation file")
    top.allow("federation", "parties", "split", "model", "privacy")
    federation = top.section("federation")
    federation.allow("alignment", "output", "note", "simulated")
    return FederationConfig(
        path=path,
        alignment=federation.choice("alignment", AlignmentMode, AlignmentMode.INNER),
        output=path.parent / federation.text("output", "runs"),
        parties=_parties(
            top.required_section("parties", '[parties.bank] with role = "label"'), path.parent
        ),
        split=_split(top.section("split")),
        model=_scalars(top.section("model")),
        privacy=_scalars(top.section("privacy")),
        note=federation.optional_text("note", example="SME loans 2019-2024") or "",
        simulated=federation.flag("simulated", False),
    )


def _parties(section: Section, folder: Path) -> tuple[PartyEntry, ...]:
    """Read the parties, the label party first."""
    entries: list[PartyEntry] = []
    for name in section.values:
        party = section.section(name)
        party.allow("role", "manifest")
        entries.append(
            PartyEntry(
                party_name(section, name) if name else party_name(section, "-"),
                party.choice("role", PartyRole),
                folder / party.text("manifest", example=f"{name}/manifest.toml"),
            )
        )
    label_parties = [entry for entry in entries if entry.role is PartyRole.LABEL]
    feature_parties = [entry for entry in entries if entry.role is PartyRole.FEATURE]
    if len(label_parties) != 1:
        raise section.error(
            f'has {len(label_parties)} parties with role = "label"; exactly one holds the outcomes'
        )
    if not feature_parties:
        raise section.error('has no party with role = "feature"; there must be at least one')
    manifests = [entry.manifest for entry in entries]
    for entry in entries:
        if manifests.count(entry.manifest) > 1:
            raise section.error(
                f"gives the manifest of '{entry.name}' to another party too; each has its own"
            )
    return (*label_parties, *feature_parties)


def _split(section: Section) -> SplitSettings:
    """Read how rows are split."""
    section.allow("test_share", "validation_share", "seed", "column")
    if "column" in section and "test_share" in section:
        raise section.error("has both 'column' and 'test_share'; the test rows come from one")
    default = SplitSettings()
    return SplitSettings(
        test_share=section.share("test_share", default.test_share),
        validation_share=section.share("validation_share", default.validation_share),
        seed=section.whole_number("seed", default.seed),
        column=section.optional_text("column", example="split"),
    )


def _scalars(section: Section) -> Mapping[str, Scalar]:
    """Return a table's scalars (and lists of numbers) as they stand."""
    found: dict[str, Scalar] = {}
    for key, value in section.values.items():
        if isinstance(value, list) and value and all(type(item) in (int, float) for item in value):
            found[key] = tuple(map(float, value))
            continue
        if not isinstance(value, str | int | float):
            raise section.error(
                f"has '{key}' as a list, table or date; it must be one value, or a list of numbers"
            )
        found[key] = value
    return found
