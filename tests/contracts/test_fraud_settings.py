"""Files of thresholds and groups: read, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.fraud import FraudSettings, read_fraud_settings
from contracts.fraud.errors import FraudSettingsInvalid

ONE, TWO = "0x" + 40 * "1", "0x" + 20 * "aB"


def test_what_is_not_named_keeps_its_default(tmp_path: Path) -> None:
    """Accounts of a group are found in any spelling."""
    settings, groups = tmp_path / "fraud.toml", tmp_path / "groups.csv"
    settings.write_text("\ufeffcircle_firms = 5\nvelocity_times = 3\n")
    groups.write_text(f"\ufeffname,account,group\nx,{ONE},Holding\ny, {TWO} ,Holding\n")
    found = read_fraud_settings(settings, groups)
    assert (found.circle_firms, found.velocity_times, found.circle_days) == (5, 3, 90)
    assert found.group(TWO.upper().replace("X", "x")) == found.group(ONE) == "Holding"
    assert found.group("0xCC") == "0xcc"
    assert read_fraud_settings(None, None) == FraudSettings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("circle_share = 0", "'circle_share' must be a share"),
        ("circle_share = nan", "'circle_share' must be a share"),
        ("concentration_rise = 1.1", "'concentration_rise' must be a share"),
        ("circle_days = 1.5", "'circle_days' must be a whole number, 1 to 10,000"),
        ("circle_firms = 7", "'circle_firms' must be a whole number, 2 to 6"),
        ("shipped_ahead_days = -1", "'shipped_ahead_days'"),
        ("velocity_times = inf", "'velocity_times' must be a number, 1 to 1,000"),
        ("velocity_record = 0.5", "'velocity_record'"),
        ("velocity_claims = true", "'velocity_claims' must be a number"),
        ("velocity_claims = '9'", "'velocity_claims' must be a number"),
        ("groups = 1", "unknown key 'groups'; known are circle_days"),
        ("circle_days", "is not readable TOML"),
        ("# " + 70_000 * "x", "is longer than 65,536 bytes"),
    ],
)
def test_thresholds_that_are_wrong(tmp_path: Path, text: str, said: str) -> None:
    """The sentence names the file and the key."""
    path = tmp_path / "fraud.toml"
    path.write_text(text)
    with pytest.raises(FraudSettingsInvalid) as caught:
        read_fraud_settings(path, None)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must name the columns account,group"),
        ("account;group\n", "must name the columns account,group"),
        ("account,group\n0x12,a\n", "line 2: needs an account"),
        (f"account,group\n{ONE}\n", "line 2: needs a group"),
        (f"account,group\n{ONE},{65 * 'a'}\n", "line 2: needs a group"),
        (f"account,group\n{ONE},\x1b[2J\n", "line 2: needs a group"),
        (f"account,group\n{ONE},a\n{ONE},b\n", "line 3: the account is in another group already"),
        (f'account,group\n{ONE},"a\n', "is not readable CSV"),
    ],
)
def test_groups_that_are_wrong(tmp_path: Path, text: str, said: str) -> None:
    """The sentence names the file and the line."""
    path = tmp_path / "groups.csv"
    path.write_text(text)
    with pytest.raises(FraudSettingsInvalid) as caught:
        read_fraud_settings(None, path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, a folder, or not of UTF-8."""
    (tmp_path / "latin").write_bytes(b"account,group\n\xe9")
    for path in (tmp_path / "no", tmp_path, tmp_path / "latin"):
        with pytest.raises(FraudSettingsInvalid, match=str(path)):
            read_fraud_settings(None, path)
        with pytest.raises(FraudSettingsInvalid, match=str(path)):
            read_fraud_settings(path, None)
