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
    key = "veilscore-key-1:..."      # its public key, pinned (see clients/pins.py)

    [split]
    test_share = 0.2
    validation_share = 0.2           # of the rows that are not test rows
    seed = 42

    [serving]
    fallbacks = "every"              # models for when a partner is silent: "every" set of partners,
                                     # "masked": sets of two or more, "alone": the bank alone

Several banks that train one model on rows of their own make a horizontal federation:

    [federation]
    topology = "horizontal"          # the default is "vertical", as above

    [parties.north]                  # two or more parties, all with role = "label"
    role = "label"
    manifest = "north/manifest.toml"

    [aggregation]                    # see clients/aggregation_settings.py
    minimum_clients = 3

Every bank then cuts its own rows as [split] says. Every party may hold this file; it says nothing
about anybody's columns. A manifest is opened by its own party alone, so reading this file opens
none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from clients.aggregation_settings import AggregationSettings, read_aggregation
from clients.manifest import PartyManifest, PartyRole, party_name, read_manifest, require_party
from clients.settings_file import Section, read_toml, suggest
from federation.alignment import AlignmentMode
from federation.errors import InputError
from federation.identity import PartyPublicKey
from federation.identity.party_key import TEXT_PREFIX
from federation.vertical.fallbacks import Fallbacks

Scalar = str | int | float | bool | tuple[float, ...]
# A bank that trains with nobody else needs no federation.
FEWEST_BANKS = 2


class Topology(StrEnum):
    """What the parties share: borrowers, or columns."""

    VERTICAL = "vertical"  # the same borrowers, other columns; one party holds the outcomes
    HORIZONTAL = "horizontal"  # other borrowers, the same columns; every party holds outcomes


@dataclass(frozen=True)
class PartyEntry:
    """A party of the federation: name, role, where its manifest lies, and its pinned key if any."""

    name: str
    role: PartyRole
    manifest: Path
    key: PartyPublicKey | None = None


@dataclass(frozen=True)
class SplitSettings:
    """How the label party splits the aligned borrowers; horizontally, every bank its own.

    Attributes:
        test_share: share of the rows kept for the test.
        validation_share: share of the remaining rows on which the penalty is chosen, or early
            stopping decided.
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

    `parties` begins with the label party; in a horizontal federation they are the banks in the
    file's order, and `aggregation` says how their updates are summed (None otherwise). `model` and
    `privacy` hold the scalars of their tables as they stand in the file, for the room that knows
    what they mean.
    `fallbacks` says which sets of feature parties get fits of their own.
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
    topology: Topology = Topology.VERTICAL
    aggregation: AggregationSettings | None = None
    fallbacks: Fallbacks = Fallbacks.EVERY

    @property
    def label_party(self) -> PartyEntry:
        """The one party that holds the outcomes, in a vertical federation.

        Raises:
            InputError: the federation is horizontal.
        """
        self.require(Topology.VERTICAL)
        return self.parties[0]

    @property
    def feature_parties(self) -> tuple[PartyEntry, ...]:
        """The parties that hold features only, in the file's order, in a vertical federation.

        Raises:
            InputError: the federation is horizontal.
        """
        self.require(Topology.VERTICAL)
        return self.parties[1:]

    def require(self, topology: Topology) -> None:
        """Refuse a federation of the other topology.

        Raises:
            InputError: names the file, and what its parties are.
        """
        if self.topology is topology:
            return
        parties = "every party holds outcomes of its own, so none is the label party"
        if self.topology is Topology.VERTICAL:
            parties = "one party holds the outcomes of borrowers that all share"
        raise InputError(
            f"{self.path}: [federation] has 'topology' as '{self.topology}', in which {parties}; "
            f'what was asked for needs a federation file with topology = "{topology}"'
        )

    def party(self, name: str) -> PartyEntry:
        """Return the party of this name."""
        for entry in self.parties:
            if entry.name == name:
                return entry
        raise InputError(
            f"{self.path}: there is no party '{name}'; "
            f"{suggest(name, (entry.name for entry in self.parties))}"
        )

    def with_keys(self, keys: Mapping[str, PartyPublicKey]) -> FederationConfig:
        """The same federation, with these keys for parties that the file pins none for."""
        parties = tuple(replace(p, key=p.key or keys.get(p.name)) for p in self.parties)
        return replace(self, parties=parties)

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
            type, there is not exactly one label party with at least one feature party, or, in
            a horizontal federation, there are not at least two label parties and no other.
    """
    path = Path(path)
    top = read_toml(path, "federation file")
    top.allow("federation", "parties", "split", "model", "privacy", "aggregation", "serving")
    federation = top.section("federation")
    federation.allow("topology", "alignment", "output", "note", "simulated")
    topology = federation.choice("topology", Topology, Topology.VERTICAL)
    parties = _parties(
        top.required_section("parties", '[parties.bank] with role = "label"'), path.parent, topology
    )
    aggregation = None
    if topology is Topology.HORIZONTAL:
        if "alignment" in federation:
            raise federation.error(
                "has 'alignment' although topology = \"horizontal\", in which no borrowers are "
                "aligned; remove one of the two"
            )
        aggregation = read_aggregation(top.section("aggregation"), len(parties))
        if "serving" in top:
            raise top.error(
                "has a table [serving], although banks that train one model together need no "
                "fallbacks; remove it"
            )
    elif "aggregation" in top:
        raise top.error(
            'has a table [aggregation], which only banks with topology = "horizontal" under '
            "[federation] need; remove it or set the topology"
        )
    return FederationConfig(
        path=path,
        alignment=federation.choice("alignment", AlignmentMode, AlignmentMode.INNER),
        output=path.parent / federation.text("output", "runs"),
        parties=parties,
        split=_split(top.section("split")),
        model=_scalars(top.section("model")),
        privacy=_scalars(top.section("privacy")),
        note=federation.optional_text("note", example="SME loans 2019-2024") or "",
        simulated=federation.flag("simulated", False),
        topology=topology,
        aggregation=aggregation,
        fallbacks=_fallbacks(top.section("serving")),
    )


def _fallbacks(section: Section) -> Fallbacks:
    section.allow("fallbacks")
    return section.choice("fallbacks", Fallbacks, Fallbacks.EVERY)


def _parties(section: Section, folder: Path, topology: Topology) -> tuple[PartyEntry, ...]:
    """Read the parties, the label party first (horizontally, all in the file's order)."""
    entries: list[PartyEntry] = []
    for name in section.values:
        party = section.section(name)
        party.allow("role", "manifest", "key")
        key = party.optional_text("key", example=f"{TEXT_PREFIX}...")
        entries.append(
            PartyEntry(
                party_name(section, name) if name else party_name(section, "-"),
                party.choice("role", PartyRole),
                folder / party.text("manifest", example=f"{name}/manifest.toml"),
                PartyPublicKey.from_text(key, f"{party.where} 'key'") if key else None,
            )
        )
    label_parties = [entry for entry in entries if entry.role is PartyRole.LABEL]
    feature_parties = [entry for entry in entries if entry.role is PartyRole.FEATURE]
    if topology is Topology.HORIZONTAL:
        _check_banks(section, label_parties, feature_parties)
    elif len(label_parties) != 1:
        raise section.error(
            f'has {len(label_parties)} parties with role = "label"; exactly one holds the outcomes'
            + _horizontal_hint(label_parties, feature_parties)
        )
    elif not feature_parties:
        raise section.error('has no party with role = "feature"; there must be at least one')
    manifests = [entry.manifest for entry in entries]
    for entry in entries:
        if manifests.count(entry.manifest) > 1:
            raise section.error(
                f"gives the manifest of '{entry.name}' to another party too; each has its own"
            )
    return (*label_parties, *feature_parties)


def _check_banks(
    section: Section, banks: list[PartyEntry], feature_parties: list[PartyEntry]
) -> None:
    """Refuse what is not two or more banks."""
    if feature_parties:
        raise section.error(
            f"has '{feature_parties[0].name}' with role = \"feature\" although topology = "
            '"horizontal", in which every party is a bank with outcomes of its own: role = "label"'
        )
    if len(banks) < FEWEST_BANKS:
        raise section.error(
            f"has {len(banks)} parties; a horizontal federation needs at least {FEWEST_BANKS} banks"
        )


def _horizontal_hint(label_parties: list[PartyEntry], feature_parties: list[PartyEntry]) -> str:
    """Say what several banks without a feature party probably want."""
    if len(label_parties) < FEWEST_BANKS or feature_parties:
        return ""
    return ', unless [federation] has topology = "horizontal"'


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
