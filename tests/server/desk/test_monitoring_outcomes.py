"""Outcomes: CSV files, the join with the audit record, what is measured, and the command."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from federation.errors import InputError
from federation.metrics import auc
from federation.record_chain import Head
from federation.scoring import default_probability, scores_of
from server.desk.audit import AuditLog, AuditRow
from server.desk.monitoring.borrower_hashes import BorrowerHashes
from server.desk.monitoring.cli import outcomes as outcomes_command
from server.desk.monitoring.exposition import MonitorCollector
from server.desk.monitoring.monitor import Monitor
from server.desk.monitoring.outcome_import import import_outcomes, joined, probability_of
from server.desk.monitoring.outcome_rows import Outcome, read_outcomes
from server.desk.monitoring.outcome_summary import SummaryFile, load_summary
from server.desk.monitoring.outcomes import ScoredOutcome, measured

DIGEST = "a" * 64
TODAY = datetime.now(UTC).date()


def not_asked(borrower: str) -> str:
    """For files without borrowers."""
    raise AssertionError(borrower)


def write(path: Path, *lines: str) -> Path:
    """A file of these lines."""
    path.write_text("\n".join(lines) + "\n")
    return path


def test_files_are_read_in_each_of_the_three_ways(tmp_path: Path) -> None:
    """Columns in any order, capitals and a byte order mark allowed."""
    path = tmp_path / "outcomes.csv"
    path.write_text("\ufeffDate,Request_Id,defaulted\n2026-03-01, q1 ,1\n\n2026-03-02,q2,FALSE\n")
    assert list(read_outcomes(path)) == [
        Outcome(True, date(2026, 3, 1), request_id="q1"),
        Outcome(False, date(2026, 3, 2), request_id="q2"),
    ]
    write(path, "borrower,scored_on,defaulted,date", "Acme Ltd,2025-02-03,0,2026-02-03")
    assert list(read_outcomes(path)) == [
        Outcome(False, date(2026, 2, 3), borrower="Acme Ltd", scored_on=date(2025, 2, 3))
    ]
    write(path, "score,scored_on,model,defaulted,date", *["512,2025-02-03,m,0,2026-02-03"] * 2)
    assert [one.score for one in read_outcomes(path)] == [512, 512]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["request_id,defaulted"], "the header must have"),
        (["request_id,borrower,defaulted,date"], "the header must have"),
        (["request_id,defaulted,date", "q1,1"], "line 2: it has 2 columns"),
        (["request_id,defaulted,date", "q1,2,2026-01-01"], "line 2: 'defaulted' must be 0 or 1"),
        (["request_id,defaulted,date", "q1,1,1.1.2026"], "line 2: 'date' must be a date"),
        (["request_id,defaulted,date", "q1,1,2026-02-30"], "line 2: 'date' must be a date"),
        (["request_id,defaulted,date", ",1,2026-02-03"], "line 2: 'request_id' must have 1"),
        (
            ["request_id,defaulted,date", "q1,1,2026-02-03", "q1,0,2026-02-03"],
            "line 3: line 2 means the same score",
        ),
        (
            ["score,scored_on,model,defaulted,date", "nan,2026-01-01,m,1,2026-02-03"],
            "line 2: 'score' must be a whole number",
        ),
        (["request_id,defaulted,date", '"q1,1,2026-02-03'], "not valid CSV"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_sentence(
    tmp_path: Path, lines: list[str], sentence: str
) -> None:
    """With the line and the column."""
    path = write(tmp_path / "outcomes.csv", *lines)
    with pytest.raises(InputError, match="outcomes.csv") as error:
        list(read_outcomes(path))
    assert sentence in str(error.value)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_break_the_reader(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, header: bool
) -> None:
    """It reads them or says what is wrong."""
    path = tmp_path_factory.getbasetemp() / "outcomes.csv"
    path.write_bytes(b"request_id,defaulted,date\n" * header + content)
    said = "outcomes.csv"
    try:
        read = list(read_outcomes(path))
    except InputError as error:
        read, said = [], str(error)
    assert all(0 < len(one.request_id) <= 200 for one in read)
    assert "outcomes.csv" in said


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    """And so is one that is not text."""
    with pytest.raises(InputError, match="can't be read"):
        list(read_outcomes(tmp_path / "none.csv"))


@given(st.integers(0, 1000))
def test_a_score_gives_its_probability_back(score: int) -> None:
    """To half a point of the log-odds."""
    probability = np.array([probability_of(score)])
    log_odds = np.log(probability / (1 - probability))
    assert scores_of(log_odds)[0] == score
    assert default_probability(log_odds)[0] == pytest.approx(probability[0])


def scored(count: int, seed: int = 3, inflated: float = 1.0) -> list[ScoredOutcome]:
    """Outcomes that happen as predicted, or so many times as often."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(500, 640, count)
    return [
        ScoredOutcome(
            DIGEST,
            f"2025-{1 + place % 3:02d}",
            int(score),
            probability_of(int(score)),
            bool(rng.random() < inflated * probability_of(int(score))),
        )
        for place, score in enumerate(scores)
    ]


def test_a_calibrated_model_measures_as_calibrated() -> None:
    """Observed over predicted near 1, its interval around it; defaults fall with the score."""
    outcomes = scored(6_000)
    (model,) = measured(outcomes)
    assert model.outcomes == 6_000
    assert model.ratio is not None
    assert model.ratio.low < 1 < model.ratio.high
    assert [band.lowest for band in model.bands] == [500, 550, 600]
    assert [band.highest for band in model.bands] == [549, 599, 649]
    rates = [band.observed for band in model.bands]
    assert rates == sorted(rates, reverse=True)
    assert sum(band.borrowers for band in model.bands) == 6_000
    assert sum(one.borrowers for one in model.calibration) == 6_000
    inside = [one.low <= one.predicted <= one.high for one in model.calibration]
    assert sum(inside) >= 8
    assert model.auc is not None
    assert model.auc.value == pytest.approx(
        auc([one.defaulted for one in outcomes], [one.probability for one in outcomes])
    )
    assert model.auc.low < model.auc.value < model.auc.high
    assert [one.month for one in model.periods] == ["2025-01", "2025-02", "2025-03"]
    assert sum(one.defaults for one in model.periods) == model.defaults


def test_a_model_that_predicts_too_little_shows() -> None:
    """Observed over predicted clearly above 1."""
    (model,) = measured(scored(6_000, inflated=1.6))
    assert model.ratio is not None
    assert model.ratio.low > 1.4


def test_few_outcomes_are_counted_and_not_overrated() -> None:
    """No area under the curve without both classes; models apart."""
    none_bad = [ScoredOutcome("m1", "2025-01", 1000, probability_of(1000), False)] * 3
    all_bad = [ScoredOutcome("m2", "2025-01", 0, probability_of(0), True)] * 3
    first, second = measured(none_bad + all_bad)
    assert (first.auc, first.calibration, first.defaults) == (None, (), 0)
    assert (second.auc, second.defaults) == (None, 3)
    assert (first.bands[0].lowest, first.bands[0].highest) == (950, 1000)
    assert measured([]) == []


def entries(*bodies: dict[str, object]) -> list[object]:
    """Rows of a record."""
    head, made = Head(), []
    for body in bodies:
        head, entry = head.append(body)
        made.append(entry)
    return made


def row(day: str, score: object, **more: object) -> dict[str, object]:
    """An audit row of a score on a day."""
    moment = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    body = {"time_ms": int(moment.timestamp() * 1000), "status": "OK", "model": DIGEST}
    return body | {"score": score} | more


def test_the_last_score_up_to_the_day_of_lending_counts() -> None:
    """Later scores know more; refusals and batches have no score."""
    rows = entries(
        row("2025-01-01", 500, request="q1", borrower="h1"),
        row("2025-02-01", 540, request="q2", borrower="h1"),
        row("2025-03-01", 300, request="q3", borrower="h1"),
        row("2025-01-05", 700, request="q4", borrower="h2", status="DEADLINE_EXCEEDED"),
        row("2025-01-05", None, request="q5", borrowers=3),
        row("2025-01-05", True, request="q6", borrower="h2"),
    )
    lent = date(2025, 2, 1)
    found, unknown = joined(
        [
            Outcome(True, TODAY, borrower="Acme", scored_on=lent),
            Outcome(True, TODAY, borrower="Acme", scored_on=date(2024, 1, 1)),
            Outcome(True, TODAY, borrower="Other", scored_on=lent),
        ],
        rows,  # type: ignore[arg-type]
        {"Acme": "h1", "Other": "h2"}.__getitem__,
    )
    assert [(one.score, one.month) for one in found] == [(540, "2025-02")]
    assert unknown == 2
    by_request = [Outcome(False, TODAY, request_id=name) for name in ("q3", "q5", "q9")]
    found, unknown = joined(by_request, rows, not_asked)  # type: ignore[arg-type]
    assert [one.score for one in found] == [300]
    assert unknown == 2
    own = [Outcome(False, TODAY, score=512, scored_on=lent, model="m")]
    found, unknown = joined(own, [], not_asked)
    assert [(one.model, one.score, unknown) for one in found] == [("m", 512, 0)]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A desk's folder with a real audit record of 300 scores."""
    folder = tmp_path / "desk"
    record = AuditLog(folder / "audit")
    for place, one in enumerate(scored(300)):
        record.enter(
            AuditRow(f"q{place}", "Score", borrower=f"b{place}", model=DIGEST, score=one.score)
        )
    record.close()
    return folder


def test_the_command_measures_a_file_against_the_record(desk: Path) -> None:
    """By request and by borrower alike, and the metrics show it."""
    app = typer.Typer()
    app.command()(outcomes_command)
    told = scored(300)
    by_request = write(
        desk / "by-request.csv",
        "request_id,defaulted,date",
        *(f"q{place},{int(one.defaulted)},2026-01-01" for place, one in enumerate(told)),
        "never,1,2026-01-01",
    )
    tomorrow = TODAY + timedelta(days=1)
    by_borrower = write(
        desk / "by-borrower.csv",
        "borrower,scored_on,defaulted,date",
        *(f" B{p} ,{tomorrow},{int(one.defaulted)},{tomorrow}" for p, one in enumerate(told)),
    )
    printed = []
    for file in (by_request, by_borrower):
        result = CliRunner().invoke(app, [str(file), "--desk", str(desk), "--json"])
        assert result.exit_code == 0, result.output
        printed.append(json.loads(result.output))
    assert printed[0]["models"] == printed[1]["models"]
    assert (printed[0]["joined"], printed[0]["unknown"]) == (300, 1)
    assert (printed[1]["joined"], printed[1]["unknown"]) == (300, 0)
    assert load_summary(desk / "outcomes.json").unknown == 0
    text = CliRunner().invoke(app, [str(by_request), "--desk", str(desk)]).output
    assert "300 outcomes joined with their scores, 1 without one" in text
    assert "500-549" in text
    families = {one.name: one for one in MonitorCollector(Monitor(), desk).collect()}
    rates = families["veilscore_desk_bad_rate"].samples
    assert {one.labels["from"] for one in rates} == {"500", "550", "600"}
    assert all("b1" not in str(one.labels) for one in rates)
    assert families["veilscore_desk_outcomes"].samples[0].value == 300


def test_a_file_that_meets_no_score_is_refused(desk: Path) -> None:
    """And leaves no summary behind."""
    file = write(desk / "outcomes.csv", "request_id,defaulted,date", "other,1,2026-01-01")
    with pytest.raises(InputError, match="none of its 1 outcomes"):
        import_outcomes(file, [], not_asked, desk)
    write(file, "request_id,defaulted,date")
    with pytest.raises(InputError, match="no outcomes in it"):
        import_outcomes(file, [], not_asked, desk)
    assert not (desk / "outcomes.json").exists()


def test_hashes_need_the_key_and_a_rule(tmp_path: Path) -> None:
    """Said in one sentence each."""
    with pytest.raises(InputError, match="identifier rule 'upper' is not known"):
        BorrowerHashes(tmp_path, "upper")
    with pytest.raises(InputError, match="the key for borrowers' ids"):
        BorrowerHashes(tmp_path, "casefold")("b1")


def test_a_summary_is_read_again_when_it_changes(desk: Path) -> None:
    """Missing, whole, damaged, whole again."""
    path = desk / "outcomes.json"
    file = SummaryFile(path)
    assert file.read() is None
    own = write(
        desk / "own.csv", "score,scored_on,model,defaulted,date", "512,2025-02-03,m,0,2026-02-03"
    )
    made = import_outcomes(own, [], not_asked, desk)
    assert file.read() == made
    whole = path.read_bytes()
    for damaged in (b"{", b"[]", b'{"format":"veilscore outcomes 1"}', whole.replace(b"m", b"")):
        path.unlink()
        path.write_bytes(damaged)
        assert file.read() is None
        with pytest.raises(InputError, match="not a summary of outcomes"):
            load_summary(path)
    path.unlink()
    path.write_bytes(whole)
    assert file.read() == made
