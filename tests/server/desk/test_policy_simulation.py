"""What-if over portfolios: the same decisions as one by one, sums that add up, the commands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from federation.errors import InputError
from server.desk.policy.cli import policy_app
from server.desk.policy.comparison import compare
from server.desk.policy.decision import Outcome
from server.desk.policy.lending_policy import LendingPolicy
from server.desk.policy.portfolio import read_portfolio
from server.desk.policy.simulation import by_grade, cut_offs, simulate, summary
from tests.server.desk.policies import (
    DAY,
    EXAMPLE,
    POLICY,
    PRODUCTS,
    all_facts,
    applied,
    probabilities,
    written,
)

CODES = {Outcome.APPROVE: 0, Outcome.REFER: 1, Outcome.DECLINE: 2}


def _portfolio(folder: Path, rows: int = 400) -> Path:
    """Scores of many firms with turnover and outcome, in Parquet."""
    generator = np.random.default_rng(7)
    log_odds = generator.normal(-3.2, 1.1, rows)
    chance = 1 / (1 + np.exp(-log_odds))
    path = folder / "firms.parquet"
    table = pa.table(
        {
            "borrower": [f"firm-{number}" for number in range(rows)],
            "log_odds": log_odds,
            "defaulted": (generator.random(rows) < chance).astype(np.uint8),
            "annual_turnover_minor": generator.integers(10**6, 10**9, rows),
            "postcode": ["x"] * rows,
        }
    )
    pa_parquet.write_table(table, path)
    return path


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_simulated_decisions_are_those_of_decide(tmp_path: Path, data: st.DataObject) -> None:
    """Row by row: outcome, rule, grade, limit, rate, economics; CSV and Parquet."""
    names, lines, applications = set(), [], []
    for _ in range(data.draw(st.integers(1, 5))):
        product = data.draw(st.sampled_from(PRODUCTS))
        given_facts = data.draw(all_facts(POLICY.products[product]))
        names |= set(given_facts)
        lines.append((product, data.draw(probabilities()), given_facts))
        borrower = data.draw(st.sampled_from(("firm-1", "blocked-example-1")))
        applications.append(applied(lines[-1][1], product, borrower, given_facts))
    columns = {
        "product": [line[0] for line in lines],
        "probability": [repr(line[1]) for line in lines],
        "borrower": [one.borrower for one in applications],
    } | {
        name: [None if name not in line[2] else str(line[2][name]) for line in lines]
        for name in sorted(names)
    }
    path = tmp_path / "portfolio.csv"
    pa_csv.write_csv(pa.table({k: pa.array(v, pa.string()) for k, v in columns.items()}), path)
    run = simulate(POLICY, read_portfolio(path, POLICY), DAY)
    for application, row in zip(applications, run.rows, strict=True):
        made = POLICY.decide(application, DAY)
        assert (row.outcome, row.rule, row.grade) == (CODES[made.outcome], made.rule, made.grade)
        assert row.limit == made.terms.get("limit_minor", 0)
        assert row.rate == made.terms.get("annual_rate", 0)
        economics = made.economics
        assert (row.expected_loss, row.capital, row.profit) == (
            (0, 0, 0)
            if economics is None
            else (economics.expected_loss_minor, economics.capital_minor, economics.profit_minor)
        )


def test_sums_add_up(tmp_path: Path) -> None:
    """Grades to the whole, the last cut-off to the policy itself."""
    run = simulate(POLICY, read_portfolio(_portfolio(tmp_path), POLICY), DAY)
    whole, grades, curve = summary(run), by_grade(run), cut_offs(run)
    assert sum(one.approved for one in grades.values()) == whole.approved > 50
    assert sum(one.profit_minor for one in grades.values()) == whole.profit_minor
    assert curve[-1].profit_minor == whole.profit_minor
    assert curve[-1].approved == whole.approved
    assert curve[-1].expected_bad_rate == pytest.approx(whole.expected_bad_rate)
    assert curve[-1].observed_bad_rate == pytest.approx(whole.observed_bad_rate)
    rates = [one.approval_rate for one in curve]
    assert rates == sorted(rates)
    declined = sum(run.declined_by().values())
    assert whole.approved + whole.referred + declined == whole.applications == 400


def test_swap_sets_of_a_stricter_challenger(tmp_path: Path) -> None:
    """Nobody is swapped in, some are swapped out, and they are the riskiest of the approved."""
    path = _portfolio(tmp_path)
    text = EXAMPLE.read_text("utf-8").replace(
        "probability_up_to = 0.07", "probability_up_to = 0.05"
    )
    stricter = LendingPolicy.load(written(tmp_path, text))
    runs = [simulate(one, read_portfolio(path, one), DAY) for one in (POLICY, stricter)]
    changes = compare(*runs)
    assert changes.swapped_in.count == 0
    assert changes.swapped_out.count > 0
    assert changes.swapped_out.expected_bad_rate is not None
    assert 0.05 < changes.swapped_out.expected_bad_rate <= 0.07
    assert changes.kept.count + changes.swapped_out.count == summary(runs[0]).approved
    assert sum(changes.moves.values()) == 400
    same = compare(runs[0], runs[0])
    assert same.profit_change_minor == same.limit_cut == same.rate_raised == 0


def test_a_runs_test_scores_are_a_portfolio(tmp_path: Path) -> None:
    """The first training that is not the bank alone; the run's folder serves as well."""
    bank = tmp_path / "run" / "bank"
    bank.mkdir(parents=True)
    table = pa.table(
        {
            "row": pa.array([3, 1, 2], pa.uint32()),
            "label": pa.array([0, 1, 0], pa.uint8()),
            "alone": [0.0, 0.0, 0.0],
            "exact": [-4.0, 3.0, -5.0],
            "label-noise": [9.0, 9.0, 9.0],
        }
    )
    pa_parquet.write_table(table, bank / "test-scores.parquet")
    for path in (bank / "test-scores.parquet", tmp_path / "run"):
        portfolio = read_portfolio(path, POLICY)
        assert portfolio.source.endswith("column 'exact'")
        run = simulate(POLICY, portfolio, DAY)
        assert run.outcome.tolist() == [0, 2, 0]
        assert run.defaulted is not None
    noisy = read_portfolio(bank / "test-scores.parquet", POLICY, score="label-noise")
    assert summary(simulate(POLICY, noisy, DAY)).approved == 0


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"x": ["1"]}, "must have a column 'probability' or 'log_odds'"),
        ({"probability": ["0.1", "1.1"]}, "row 2: 'probability' is no probability"),
        ({"probability": ["0.1", "nan"]}, "row 2: 'probability' must be a finite number"),
        ({"probability": ["0.1", None], "label": ["0", "1"]}, "row 2"),
        ({"probability": ["0.1", "7b"]}, "must hold numbers only"),
        ({"probability": ["0.1"], "label": ["2"]}, "row 1: 'label' must be 0 or 1"),
        ({"probability": ["0.1"], "product": ["yacht"]}, "row 1: 'product' is none"),
        ({"probability": ["0.1"], "consent": ["perhaps"]}, "row 1: 'consent' is no value"),
        ({"probability": ["0.1"], "drawn_minor": ["-5"]}, "from 0 to 1,000,000,000,000,000"),
        ({"probability": ["0.1"], "drawn_minor": ["1.5"]}, "'drawn_minor' is no value"),
        ({"probability": ["0.1"], "drawn_minor": ["1e999999"]}, "'drawn_minor' is no value"),
        ({"probability": []}, "no rows"),
    ],
)
def test_wrong_portfolios_are_named_by_column_and_row(
    tmp_path: Path, columns: dict[str, list[str | None]], said: str
) -> None:
    """One sentence, without the cell."""
    path = tmp_path / "portfolio.csv"
    pa_csv.write_csv(pa.table({k: pa.array(v, pa.string()) for k, v in columns.items()}), path)
    with pytest.raises(InputError, match=re.escape(said)):
        read_portfolio(path, POLICY)


@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 100, b'a,b\n1\n"', b"PAR1junkPAR1"])
@pytest.mark.parametrize("name", ["firms.csv", "firms.parquet"])
def test_files_that_are_no_table_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    """An InputError, whatever they hold."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError):
        read_portfolio(tmp_path / name, POLICY)
    with pytest.raises(InputError):
        read_portfolio(tmp_path / "none.csv", POLICY)
    with pytest.raises(InputError):
        read_portfolio(tmp_path, POLICY)


def test_simulate_prints_json_and_writes_a_page(tmp_path: Path) -> None:
    """One JSON object that repeats the sums, and a page that loads nothing from elsewhere."""
    path = _portfolio(tmp_path)
    page = tmp_path / "page.html"
    arguments = ["simulate", str(EXAMPLE), "--portfolio", str(path), "--today", "2026-05-01"]
    versus = ["--versus", str(EXAMPLE), "--fact", "requested_minor=2000000"]
    printed = CliRunner().invoke(
        policy_app, [*arguments, *versus, "--json", "--html", str(page)], catch_exceptions=False
    )
    content = json.loads(printed.stdout)
    given_facts = {"requested_minor": "2000000"}
    run = simulate(POLICY, read_portfolio(path, POLICY, given=given_facts), DAY)
    total = content["policies"][0]["total"]
    assert total["approved"] == summary(run).approved
    assert total["profit_minor"] == summary(run).profit_minor
    assert content["comparison"]["profit_change_minor"] == 0
    assert content["unused_columns"] == ["postcode"]
    assert "requested_minor" not in content["assumed_facts"]["working-capital"]
    html = page.read_text("utf-8")
    assert html.count("<svg") == 7
    assert not re.search(r'(src|href)="(?!#)', html)
    assert "<script" not in html
    identifiers = re.findall(r' id="([^"]+)"', html)
    assert len(set(identifiers)) == len(identifiers)
    text = CliRunner().invoke(policy_app, arguments, catch_exceptions=False).stdout
    assert "columns not used: postcode" in text
    assert "most profit at a cut-off" in text


def test_check_prints_the_policy_and_strict_fails_on_findings() -> None:
    """The example has one finding."""
    runner = CliRunner()
    checked = runner.invoke(policy_app, ["check", str(EXAMPLE), "--today", "2026-05-01"])
    assert checked.exit_code == 0
    assert "rule WC-E: a gap" in checked.stdout
    as_json = runner.invoke(policy_app, ["check", str(EXAMPLE), "--json", "--today", "2026-05-01"])
    assert json.loads(as_json.stdout)["digest"] == POLICY.digest
    strict = runner.invoke(policy_app, ["check", str(EXAMPLE), "--strict"])
    assert isinstance(strict.exception, InputError)


def test_hash_ids_makes_a_list_that_blocks(tmp_path: Path) -> None:
    """What it prints, put into a policy, declines the firm."""
    (tmp_path / "ids").write_text("  firm-1 \nfirm-9\n\n")
    (tmp_path / "key").write_text("7e" * 32)
    printed = CliRunner().invoke(
        policy_app,
        ["hash-ids", str(tmp_path / "ids"), "--key-file", str(tmp_path / "key")],
        catch_exceptions=False,
    )
    (tmp_path / "hashed.txt").write_text(printed.stdout)
    old = 'file = "blocked-ids.txt"'
    new = 'file = "hashed.txt"\nkey_file = "key"'
    policy = LendingPolicy.load(written(tmp_path, old=old, new=new))
    assert policy.decide(applied(0.01, borrower="firm-1"), DAY).rule == "H01-blocked"
    assert policy.decide(applied(0.01, borrower="firm-2"), DAY).outcome is Outcome.APPROVE


def test_the_command_line_imports_nothing_heavy() -> None:
    """Help must stay fast: no numpy, no Arrow, no matplotlib."""
    code = (
        "import sys, server.desk.policy.cli\n"
        "heavy = {'numpy', 'pyarrow', 'matplotlib', 'sqlalchemy', 'grpc'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=EXAMPLE.parents[2], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_amounts_beyond_64_bits_of_sum_do_not_wrap(tmp_path: Path) -> None:
    """Sums are Python's integers."""
    run = simulate(POLICY, read_portfolio(_portfolio(tmp_path, 30), POLICY), DAY)
    huge = np.full(30, 2**62, dtype=np.int64)
    wide = type(run)(**(vars(run) | {"limit": huge, "outcome": np.zeros(30, np.int8)}))
    assert summary(wide).limit_minor == 30 * 2**62
    assert Decimal(summary(wide).limit_minor) > 2**63
