"""Policy files: whatever stands in one, it parses or one sentence says what would be right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from federation.errors import InputError
from server.desk.policy.blocked import hash_ids, key_mark, load_blocked, load_key
from server.desk.policy.lending_policy import LendingPolicy
from tests.server.desk.policies import DAY as TODAY
from tests.server.desk.policies import EXAMPLE, POLICY, applied, written

LINES = EXAMPLE.read_text("utf-8").splitlines()
VALUES = (
    *("0", "1", "-1", "0.5", "1.5", "1e9", "1e-30", "inf", "nan", "-inf", "true", '""', '"A"'),
    *('"\\u0000"', "[]", "{}", "[[]]", "2026-01-01", "07:32:00", "2026-01-01T00:00:00Z"),
    *("99999999999999999999999999", "0.123456789012345678901234567890", '"' + "x" * 500 + '"'),
    "9" * 5000,
    "1" + "0" * 400 + ".5",
    "1e999999999999",
    "[" * 2000 + "]" * 2000,
)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("turnover_share = 0.20", "turnover_shares = 0.20", "did you mean 'turnover_share'"),
        ("margin = 0.015", "", r"terms 1\] lacks the key 'margin'"),
        ("margin = 0.015", "margin = -0.015", "from 0 to 10"),
        ("margin = 0.015", "margin = nan", "from 0 to 10"),
        ("margin = 0.015", 'margin = "0.015"', "'margin' that does not serve"),
        ("margin = 0.015", "margin = 0.0000000000001", "at most 12 decimals"),
        ("most_minor = 50_000_000", "most_minor = 500_000.5", "a whole number from 1"),
        ("most_minor = 50_000_000", "most_minor = 0", "a whole number from 1"),
        ("most_minor = 50_000_000", "most_minor = true", "a whole number from 1"),
        ('unit = "minor", required', "required", "lacks the key 'unit'"),
        ('unit = "minor", required', 'unit = "euros", required', 'one of "minor", "days"'),
        ('unit = "share", default = 0.5', 'unit = "days", default = 0.5', "unit that decimal"),
        ('unit = "days", default = 365', 'unit = "minor", default = 365', "must end with '_minor'"),
        ("default = 365", "default = 365, required = true", "required or have a default"),
        ("required = true, example = 24", "required = true", "must have an 'example'"),
        ("default = 0.5", "default = 1.5", "'default' that does not serve; it must be a share"),
        ("probability_up_to = 0.015", "probability_up_to = 0.005", "bands overlap"),
        ("probability_up_to = 0.015", "probability_up_to = 0.0151234", "more than 5 decimals"),
        ("probability_up_to = 1\n", "probability_up_to = 0.9\n", "leave no gap"),
        ('name = "B"', 'name = "A"', "which another grade has"),
        ('grade = "B"', 'grade = "A"', "a second one for grade 'A'"),
        ('id = "WC-B"', 'id = "WC-A"', "which another rule has"),
        ('id = "WC-B"', 'id = "W C"', "that is no name"),
        ('id = "WC-F"\ngrade = "F"', 'id = "WC-F"\ngrade = "Q"', "does not have"),
        ("at_least = 12", "at_least = 12\nat_most = 60", "exactly one of the keys"),
        ("at_least = 12", 'at_least = "12"', "from -1000000000000000"),
        ("at_least = 12", "is = 12.5", "no value of 'months_in_business'"),
        ('fact = "months_in_business"', 'fact = "industry"', "text fact 'industry' with a number"),
        ('fact = "consent"', 'fact = "consents"', "which its products do not declare"),
        ('fact = "cancelled_share"', 'fact = "consent"', "with a number"),
        ('products = ["order-loan"]', 'products = ["loan"]', "does not have"),
        ('products = ["order-loan"]', "", "does not declare"),
        ('exposure = "debtor_exposure_minor"', 'exposure = "days_to_due"', 'unit "minor"'),
        ('subject = "debtor"\n', 'subject = "days_to_due"\n', "must be text"),
        ('file = "blocked-ids.txt"', 'file = "nowhere.txt"', "blocked list cannot be read"),
        ('file = "blocked-ids.txt"', 'file = "x"\nkey_file = "y"', "the key cannot be read"),
        ('follow_up = "watch-list"', 'follow_up = "watchlist"', '"watch-list"'),
        ('products = ["working-capital"]\nfollow_up', "follow_up", "only revolving products"),
        ("most = 0.15", "most = 0.15001", "no multiple of 'rate_step'"),
        ("least_rate = 0.04", "least_rate = 0.0401", "no multiple of 'rate_step'"),
        ('then = "lower-limit" ', 'then = "decline" ', "unknown key 'limit_share'"),
        ('type = "receivables"', 'type = "gold"', r"\[collateral\] does not have"),
        ('value = "pledged_rec', 'value = "rec', 'declare it with unit "minor"'),
        ("floor = 0.10", "floor = 0.21", "'floor' above 'loss_given_default'"),
        ("floor = 0.25", "floor = 0.45", "'floor' above 'unsecured'"),
        ('method = "irb-corporate"', 'method = "flat"', "unknown key 'firm_size'"),
        ("recourse = true ", "recourse = false ", "rules out"),
        ("months = 24, share = 0.48", "months = 24, share = 0.68", "months that rise"),
        ("  {months = 60, share = 0.18},\n", "", "must reach that far"),
        ("valid_until = 2027-12-31", "valid_until = 2025-12-31", "before 'valid_from'"),
        ("valid_until = 2027-12-31", "valid_until = 2027-12-31T00:00:00Z", "a date, such as"),
        ('currency = "EUR"', 'currency = "euro"', "ISO 4217"),
        ("lending policy 1", "lending policy 9", "'format' that is not known"),
        ("least_utilisation = 0.30", "least_utilisation = 0", "above 0"),
        ("D = 0.65", "G = 0.65", "unknown key 'G'"),
        ('kind = "revolving"', 'kind = "overdraft"', '"equipment-lease"'),
        ("horizon_months = 12", "horizon_months = 0", "from 1 to 120"),
    ],
)
def test_mistakes_get_one_clear_sentence(tmp_path: Path, old: str, new: str, said: str) -> None:
    """File, table and key, and what would be right."""
    path = written(tmp_path, old=old, new=new)
    with pytest.raises(InputError, match=said) as caught:
        LendingPolicy.load(path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "lacks the key 'format'"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a = ", "not valid TOML"),
        (b"x" * 1_000_001, "at most 1,000,000 bytes"),
        (b"a = " + b"9" * 5000, "no policy needs"),
        (b"a = " + b"[" * 3000 + b"]" * 3000, "no policy needs"),
    ],
)
def test_what_is_no_policy_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """Empty, binary, huge, absurd."""
    path = tmp_path / "policy.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        LendingPolicy.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """And a folder is no policy."""
    with pytest.raises(InputError, match="there is no such file"):
        LendingPolicy.load(tmp_path / "policy.toml")
    with pytest.raises(InputError, match="cannot be read"):
        LendingPolicy.load(tmp_path)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_arbitrary_edits_never_crash_the_parser(tmp_path: Path, data: st.DataObject) -> None:
    """Lines dropped, doubled, swapped, values replaced, bytes put in: a policy or an InputError."""
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(lines) - 1))
        edit = data.draw(st.sampled_from(("drop", "double", "swap", "value", "key", "text")))
        if edit == "drop":
            del lines[place]
        elif edit == "double":
            lines.insert(place, lines[place])
        elif edit == "swap":
            other = data.draw(st.integers(0, len(lines) - 1))
            lines[place], lines[other] = lines[other], lines[place]
        elif edit == "value":
            value = data.draw(st.sampled_from(VALUES)).replace("\\", "\\\\")
            lines[place] = re.sub(r"= [^,#}]+", f"= {value}", lines[place], count=1)
        elif edit == "key":
            lines[place] = data.draw(st.sampled_from(LINES))
        else:
            lines[place] += data.draw(st.text(max_size=8))
    path = written(tmp_path, "\n".join(lines).encode("utf-8", "replace").decode())
    try:
        policy = LendingPolicy.load(path)
    except InputError:
        return
    if policy.in_force(TODAY) and "working-capital" in policy.products:
        _decides(policy)


def _decides(policy: LendingPolicy) -> None:
    """What parses also decides."""
    product = policy.products["working-capital"]
    given = {name: spec.stand_in for name, spec in product.facts.items()}
    policy.decide(applied(0.02, given=given), TODAY)


def test_a_keyed_blocked_list_blocks_the_same_ids(tmp_path: Path) -> None:
    """Without the key no entry tells an id; with another key nobody is blocked."""
    key_file, other_file = tmp_path / "key", tmp_path / "other"
    key_file.write_text("ab" * 32 + "\n")
    other_file.write_text("cd" * 32)
    key, other = load_key(key_file), load_key(other_file)
    listed = tmp_path / "list"
    listed.write_text("# firms\n" + "\n".join(hash_ids(["firm-1", "firm-2", ""], key)) + "\n")
    assert "firm" not in listed.read_text().splitlines()[1]
    blocked = load_blocked(listed, key)
    assert "firm-1" in blocked
    assert "firm-3" not in blocked
    assert "firm-1" not in load_blocked(listed, other)
    assert blocked.digest != load_blocked(listed, other).digest
    assert key_mark(key) != key_mark(other)
    assert "firm" not in repr(blocked)
    assert key.hex() not in repr(blocked)


@pytest.mark.parametrize("line", ["xyz", "ab" * 31, "firm-1"])
def test_a_line_that_is_no_hash_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    """Not by its text."""
    (tmp_path / "list").write_text(f"# head\n{'ab' * 32}\n{line}\n")
    with pytest.raises(InputError, match="line 3 is not an entry") as caught:
        load_blocked(tmp_path / "list", b"k" * 32)
    assert line not in str(caught.value)


@pytest.mark.parametrize("text", ["", "ab" * 31, "zz" * 32, "ab" * 33, "ä"])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    """32 bytes in hexadecimal digits, nothing else."""
    (tmp_path / "key").write_text(text)
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        load_key(tmp_path / "key")


def test_the_example_has_what_it_says() -> None:
    """Four products, twelve hard rules, six grades, one set of ids."""
    assert len(POLICY.products) == 4
    assert len(POLICY.rules) == 12
    assert "".join(grade.name for grade in POLICY.grades) == "ABCDEF"
