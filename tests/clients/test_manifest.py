"""Manifests and federation files: what they give, and one precise sentence for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.federation_file import read_federation
from clients.manifest import PartyRole, read_manifest
from federation.alignment import AlignmentMode
from federation.boosting.acceptance import Acceptance
from federation.boosting.settings import Disclosure
from federation.errors import InputError
from federation.identifiers import IdentifierRule
from federation.schema import FeatureKind

BANK = """
[party]
name = "bank"
role = "label"

[source]
path = "borrowers.csv"

[ids]
column = "id"

[label]
column = "defaulted"
positive = 1

[features]
age = { kind = "numeric", unit = "years", minimum = 18, maximum = 120, missing = [-999, "?"] }
region = "categorical"
"with space" = "numeric"

[features.paid]
columns = ["may", "june"]
kind = "numeric"
unit = "EUR"
label = "paid ({column})"

[features.owed]
columns = ["owed_may", "owed_june"]
kind = "numeric"
labels = ["owed in May", "owed in June"]
"""

FEDERATION = """
[federation]
alignment = "label-left"
output = "out"

[parties.platform]
role = "feature"
manifest = "platform/manifest.toml"

[parties.bank]
role = "label"
manifest = "bank/manifest.toml"

[split]
test_share = 0.3
seed = 7

[model]
bins = 16
ridge = 0.5

[privacy]
label_epsilon = 2.0
"""


def write(folder: Path, text: str, name: str = "manifest.toml") -> Path:
    """Write a settings file and return its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_manifest_is_read_whole(tmp_path: Path) -> None:
    """Every part of a manifest arrives with its type and its default."""
    manifest = read_manifest(write(tmp_path, BANK))
    assert (manifest.name, manifest.role) == ("bank", PartyRole.LABEL)
    assert manifest.source.path == tmp_path / "borrowers.csv"
    assert (manifest.source.separator, manifest.source.decimal) == (",", ".")
    assert (manifest.id_column, manifest.id_rule) == ("id", IdentifierRule.STRIP)
    assert manifest.label is not None
    assert manifest.label.positive == (1,)
    assert manifest.consent is None


def test_features_keep_their_order_and_groups_are_spread(tmp_path: Path) -> None:
    """A group declares many columns alike; the short form is a kind alone."""
    features = read_manifest(write(tmp_path, BANK)).features
    assert [spec.name for spec in features] == [
        *("age", "region", "with space", "may", "june", "owed_may", "owed_june")
    ]
    age, region, _, may, _, _, owed_june = features
    assert (age.unit, age.minimum, age.maximum, age.label) == ("years", 18.0, 120.0, None)
    assert age.missing_codes == (-999, "?")
    assert region.kind is FeatureKind.CATEGORICAL
    assert (may.unit, may.label) == ("EUR", "paid (may)")
    assert owed_june.label == "owed in June"


def test_a_manifest_declares_a_public_vocabulary_and_sequences(tmp_path: Path) -> None:
    """Categories are written as cells are compared; sequences keep their columns' order."""
    text = BANK.replace(
        'region = "categorical"',
        'region = { kind = "categorical", categories = [" north ", 2.0, "3"], missing = ["?"] }',
    )
    text = text.replace('columns = ["may", "june"]', 'columns = ["may", "june"]\nsequence = true')
    text = text.replace('"owed_june"]', '"owed_june"]\nsequence = true')
    manifest = read_manifest(write(tmp_path, text))
    by_name = {spec.name: spec for spec in manifest.features}
    assert by_name["region"].categories == ("north", "2", "3")
    assert by_name["age"].categories == ()
    assert manifest.sequences == (("paid", ("may", "june")), ("owed", ("owed_may", "owed_june")))
    assert read_manifest(write(tmp_path, BANK)).sequences == ()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "missing = [-999",
            'categories = ["1"], missing = [-999',
            "[features.age] has 'categories' for a numeric feature",
        ),
        (
            'region = "categorical"',
            'region = { kind = "categorical", categories = [] }',
            "[features.region] has 'categories' that are empty",
        ),
        (
            'region = "categorical"',
            'region = { kind = "categorical", categories = [true] }',
            "[features.region] has 'categories' that are empty, or true or false",
        ),
        (
            'region = "categorical"',
            'region = { kind = "categorical", categories = [1, "1.0"] }',
            "[features.region] lists the category '1' twice",
        ),
        (
            'region = "categorical"',
            'region = { kind = "categorical", categories = ["?"], missing = ["?"] }',
            "[features.region] lists '?' under 'categories', which means 'missing'",
        ),
        (
            'region = "categorical"',
            'region = { kind = "categorical", categories = ["nan"] }',
            "lists 'nan' under 'categories', which means 'missing'",
        ),
        (
            'region = "categorical"',
            'region = { kind = "categorical", sequence = true }',
            "[features.region] has 'sequence' for what is not a group of two or more numeric",
        ),
        (
            'columns = ["may", "june"]',
            'columns = ["may"]\nsequence = true',
            "[features.paid] has 'sequence' for what is not a group of two or more numeric",
        ),
        (
            'columns = ["may", "june"]',
            'columns = ["may", "june"]\nsequence = "yes"',
            "[features.paid] has 'sequence' as text; it must be true or false",
        ),
        (
            '["may", "june"]\nkind = "numeric"\nunit = "EUR"\nlabel = "paid ({column})"\n\n'
            '[features.owed]\ncolumns = ["owed_may", "owed_june"]',
            '["may", "june"]\nsequence = true\nkind = "numeric"\n\n'
            '[features.owed]\ncolumns = ["a", "b", "c"]\nsequence = true',
            "is a sequence of 3 columns, but [features.paid] is one of 2",
        ),
    ],
)
def test_what_is_wrong_with_categories_and_sequences_is_said_in_one_sentence(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    """The sentence names the file, the feature and what would be right."""
    assert old in BANK
    text = BANK.replace(old, new, 1)
    if '"c"]' in new:
        text = text.replace('labels = ["owed in May", "owed in June"]', "")
    path = write(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_manifest(path)
    assert str(error.value).startswith(f"{path}: ")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


PLATFORM = """
[party]
name = "platform"
role = "feature"
[source]
path = "orders.csv"
[ids]
column = "id"
[features]
orders = "numeric"
"""


def test_a_feature_party_says_what_boosted_trainings_may_disclose(tmp_path: Path) -> None:
    """Nothing said means the least; a table changes what it names only."""
    assert read_manifest(write(tmp_path, PLATFORM)).boosting == Acceptance(Disclosure.OWNER, 16)
    bins = PLATFORM + '[boosting]\ndisclosure = "bins"\n'
    assert read_manifest(write(tmp_path, bins)).boosting == Acceptance(Disclosure.BINS, 16)
    order = PLATFORM + '[boosting]\ndisclosure = "order"\nbins = 8\norder_epsilon = 2\n'
    assert read_manifest(write(tmp_path, order)).boosting == Acceptance(Disclosure.ORDER, 8, 2.0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('disclosure = "all"', "[boosting] has 'disclosure' as 'all'; it must be one of \"owner\""),
        ("disclosure = 1", "[boosting] has 'disclosure' as '1'; it must be one of \"owner\""),
        ("bins = 1", "[boosting] has 'bins' as '1'; it must be a whole number from 2 up"),
        ("bins = 251", "[boosting] has 'bins' as '251'; it must be a whole number up to 250"),
        ("bins = 16.5", "[boosting] has 'bins' as '16.5'; it must be a whole number"),
        ("bin = 16", "[boosting] has an unknown key 'bin'; did you mean 'bins'?"),
        ("order_epsilon = 2", "[boosting] has 'order_epsilon' beside disclosure = \"owner\""),
        ('disclosure = "order"\norder_epsilon = 0', "'order_epsilon' as '0'; it must be a number"),
    ],
)
def test_what_is_wrong_with_what_a_party_accepts_is_said_in_one_sentence(
    tmp_path: Path, text: str, sentence: str
) -> None:
    """The table, the key and what would be right."""
    path = write(tmp_path, f"{PLATFORM}[boosting]\n{text}\n")
    with pytest.raises(InputError) as error:
        read_manifest(path)
    assert str(error.value).startswith(f"{path}: ")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_label_party_has_nothing_to_accept(tmp_path: Path) -> None:
    """Its own features never leave it."""
    path = write(tmp_path, BANK + '\n[boosting]\ndisclosure = "bins"\n')
    with pytest.raises(InputError, match=r"a table \[boosting\] at a party with role = \"label\""):
        read_manifest(path)


def test_consents_in_a_file_have_usual_column_names(tmp_path: Path) -> None:
    """A consent file needs only its path and the purpose."""
    text = BANK + '\n[consent]\npath = "consents.csv"\npurpose = "credit-scoring"\n'
    consent = read_manifest(write(tmp_path, text)).consent
    assert consent is not None
    assert consent.file is not None
    assert consent.file.path == tmp_path / "consents.csv"
    columns = (consent.id_column, consent.purpose_column, consent.valid_until_column)
    assert columns == ("id", "purpose", "valid_until")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[source]", "[sauce]", "unknown table 'sauce'; did you mean 'source'?"),
        ('path = "b', 'pathh = "b', "[source] has an unknown key 'pathh'; did you mean 'path'?"),
        ('path = "borrowers.csv"', "", "[source] lacks the key 'path'; write, for example: path ="),
        ('path = "borrowers.csv"', "path = 5", "[source] has 'path' as a number; it must be text"),
        (".csv", ".xlsx", "'path' as a file of type '.xlsx'; it must end in .csv or .parquet"),
        ('"label"', '"guest"', "[party] has 'role' as 'guest'; it must be one of \"label\""),
        ('"bank"', '"The Bank"', "party name 'The Bank'; a name has up to 40 lower-case letters"),
        ('"bank"', '""', "[party] has 'name' as empty; it must be text"),
        ('column = "id"', 'column = "id"\nrule = "trim"', "'rule' as 'trim'; it must be one of"),
        ("positive = 1", "", "[label] lacks the key 'positive'"),
        ("positive = 1", "positive = 1\nnegative = 1", "one value as both 'positive' and 'neg"),
        ("positive = 1", "positive = 2026-01-01", "'positive' as a date or time; it must be text"),
        ('region = "categorical"', 'region = "ordinal"', "[features.region] has 'kind' as 'ordin"),
        ('region = "categorical"', "region = 4", "'region' as a number; it must be a table"),
        ('region = "categorical"', 'may = "numeric"', "declares the column 'may' twice"),
        ('region = "categorical"', 'id = "categorical"', "'id' as the id and as a feature"),
        ('region = "categorical"', 'defaulted = "numeric"', "as the label and as a feature"),
        (
            'region = "categorical"',
            'region = { kind = "categorical", minimum = 0 }',
            "[features.region] has a range for a categorical feature",
        ),
        ("minimum = 18", "minimum = 180", "has a minimum (180) above its maximum (120)"),
        ("minimum = 18", "minimun = 18", "unknown key 'minimun'; did you mean 'minimum'?"),
        ("minimum = 18", 'minimum = "18"', "[features.age] has 'minimum' as '18'; it must be a n"),
        ('"paid ({column})"', '"paid"', "one label for several columns; put {column} into it"),
        ('"owed in May", ', "", "[features.owed] has 1 labels for 2 columns"),
        ('["may", "june"]', "[]", "has an empty list 'columns'"),
        ("[party]", "[party", "is not valid TOML"),
        ("[ids]\n", "", "has an unknown key 'column'; choose from 'kind', 'path'"),
        ('[ids]\ncolumn = "id"', "", "lacks the table [ids]; write, for example: column ="),
        ('path = "', 'separator = ";;"\npath = "', "'separator' as ';;'; it must be one sign"),
        ('path = "', 'decimal = ","\npath = "', "one sign as both 'separator' and 'decimal'"),
        ('path = "', 'encoding = "utf-9"\npath = "', "'encoding' as 'utf-9', which is unknown"),
        (
            "[features]",
            '[consent]\npath = "c.csv"\n[features]',
            "[consent] lacks the key 'purpose'",
        ),
        ("[features]", '[consent]\npurpose = "p"\n[features]', "says neither where a consent's"),
    ],
)
def test_what_is_wrong_in_a_manifest_is_said_in_one_sentence(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    """The sentence names the file, the table, the key and what would be right."""
    assert old in BANK
    path = write(tmp_path, BANK.replace(old, new, 1))
    with pytest.raises(InputError) as error:
        read_manifest(path)
    assert str(error.value).startswith(f"{path}: ")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_feature_party_has_no_label_and_some_feature(tmp_path: Path) -> None:
    """The role decides what a manifest must and must not hold."""
    as_feature = BANK.replace('role = "label"', 'role = "feature"')
    with pytest.raises(InputError, match="has a table \\[label\\] at a party with role"):
        read_manifest(write(tmp_path, as_feature))
    bare = as_feature[: as_feature.index("[label]")]
    with pytest.raises(InputError, match="declares no feature; a feature party needs at least one"):
        read_manifest(write(tmp_path, bare))


def test_a_missing_manifest_says_what_should_be_there(tmp_path: Path) -> None:
    """A path that leads nowhere, to a folder, or to another kind of file."""
    with pytest.raises(InputError, match=r"none\.toml: there is no such file; a party manifest"):
        read_manifest(tmp_path / "none.toml")
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_manifest(tmp_path / "binary.toml")


@given(st.text(max_size=80))
def test_any_text_is_a_manifest_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """Nothing but an InputError ever comes of a wrong manifest."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=r"any\.toml"):
        read_manifest(path)


def test_a_federation_file_is_read_whole(tmp_path: Path) -> None:
    """The label party comes first; settings of other rooms pass as they stand."""
    config = read_federation(write(tmp_path, FEDERATION, "federation.toml"))
    assert config.alignment is AlignmentMode.LABEL_LEFT
    assert config.output == tmp_path / "out"
    assert config.label_party.name == "bank"
    assert [party.name for party in config.feature_parties] == ["platform"]
    assert config.party("platform").manifest == tmp_path / "platform" / "manifest.toml"
    assert (config.split.test_share, config.split.validation_share) == (0.3, 0.2)
    assert (config.split.seed, config.split.column) == (7, None)
    assert config.model == {"bins": 16, "ridge": 0.5}
    assert config.privacy == {"label_epsilon": 2.0}


def test_a_federation_file_opens_no_manifest(tmp_path: Path) -> None:
    """Only a party itself opens its manifest, and then it must be that party's."""
    config = read_federation(write(tmp_path, FEDERATION, "federation.toml"))
    with pytest.raises(InputError, match=r"bank/manifest\.toml: there is no such file"):
        config.manifest_of("bank")
    (tmp_path / "bank").mkdir()
    write(tmp_path / "bank", BANK)
    assert config.manifest_of("bank").name == "bank"
    (tmp_path / "platform").mkdir()
    write(tmp_path / "platform", BANK)
    with pytest.raises(InputError, match=r"is 'bank' with role 'label', but .* 'platform'"):
        config.manifest_of("platform")
    with pytest.raises(InputError, match="no party 'platfrom'; did you mean 'platform'"):
        config.manifest_of("platfrom")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"label-left"', '"outer"', "[federation] has 'alignment' as 'outer'; it must be one of"),
        ('"label"', '"feature"', '[parties] has 0 parties with role = "label"; exactly one'),
        ('"feature"', '"label"', '[parties] has 2 parties with role = "label"; exactly one'),
        ("[parties.platform]", "[parties.'']", "has the party name '-'"),
        ("bank/man", "platform/man", "gives the manifest of 'platform' to another party too"),
        ("test_share = 0.3", "test_share = 30", "'test_share' as '30'; it must be a share betw"),
        ("test_share", "test_shares", "unknown key 'test_shares'; did you mean 'test_share'?"),
        ("seed = 7", "seed = 7.5", "'seed' as '7.5'; it must be a whole number from 0 up"),
        ("seed = 7", 'column = "split"', "has both 'column' and 'test_share'"),
        ("bins = 16", "bins = [[16]]", "[model] has 'bins' as a list, table or date"),
        ("[privacy]", "[privcy]", "unknown table 'privcy'; did you mean 'privacy'?"),
    ],
)
def test_what_is_wrong_in_a_federation_file_is_said_in_one_sentence(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    """The sentence names the file, the table, the key and what would be right."""
    assert old in FEDERATION
    path = write(tmp_path, FEDERATION.replace(old, new, 1), "federation.toml")
    with pytest.raises(InputError) as error:
        read_federation(path)
    assert str(error.value).startswith(f"{path}: ")
    assert sentence in str(error.value)


def test_a_federation_needs_a_feature_party(tmp_path: Path) -> None:
    """A bank alone is no federation."""
    text = FEDERATION[FEDERATION.index("[parties.bank]") : FEDERATION.index("[split]")]
    with pytest.raises(InputError, match='no party with role = "feature"; there must be at least'):
        read_federation(write(tmp_path, text, "federation.toml"))
