"""Findings of the static analysis are answered one by one, and idle answers are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contracts.solidity.static_analysis import (
    AnalysisError,
    Answer,
    judge,
    place,
    read_answers,
    read_findings,
)

CONTRACT = {"type": "contract", "name": "Pool", "type_specific_fields": {}}
FUNCTION = {"type": "function", "name": "pay", "type_specific_fields": {"parent": CONTRACT}}
NODE = {"type": "node", "name": "x == 0", "type_specific_fields": {"parent": FUNCTION}}
VARIABLE = {"type": "variable", "name": "owed", "type_specific_fields": {"parent": CONTRACT}}


def report(*elements: dict[str, Any]) -> dict[str, Any]:
    """What Slither writes of one `timestamp` finding an element."""
    found = [
        {"check": "timestamp", "impact": "Low", "description": "text\n", "elements": [element]}
        for element in elements
    ]
    return {"success": True, "error": None, "results": {"detectors": found}}


@pytest.mark.parametrize(
    ("element", "where"),
    [(CONTRACT, "Pool"), (FUNCTION, "Pool.pay"), (NODE, "Pool.pay"), (VARIABLE, "Pool.owed")],
)
def test_places_are_contract_and_part(element: dict[str, Any], where: str) -> None:
    """A statement belongs to its function, a variable to its contract."""
    assert place(element) == where


@pytest.mark.parametrize(
    ("answers", "good"),
    [
        ([], False),
        ([Answer("timestamp", "Pool.pay", "x"), Answer("timestamp", "Pool.owed", "x")], True),
        ([Answer("timestamp", "Pool.*", "x")], True),
        ([Answer("timestamp", "Pool.pay", "x")], False),
        ([Answer("unused-return", "*", "x")], False),
        ([Answer("timestamp", "*", "x"), Answer("timestamp", "Desk.*", "x")], False),
    ],
)
def test_every_finding_needs_an_answer_and_every_answer_a_finding(
    answers: list[Answer], good: bool
) -> None:
    """Open findings and idle answers both fail the check."""
    assert judge(read_findings(report(FUNCTION, VARIABLE)), answers)[1] is good


def test_no_finding_needs_no_answer() -> None:
    """A clean report passes."""
    assert judge(read_findings(report()), []) == (["0 findings, 0 answered, 0 open"], True)


def test_a_failed_run_is_not_a_clean_one() -> None:
    """A report without success is refused, whatever it lists."""
    with pytest.raises(AnalysisError, match="Slither failed: no compiler"):
        read_findings({"success": False, "error": "no compiler", "results": {}})


def test_an_answer_without_reason_is_refused(tmp_path: Path) -> None:
    """Each entry gives its reason."""
    path = tmp_path / "slither-answered.toml"
    path.write_text('[[answered]]\ncheck = "timestamp"\nwhere = "*"\n')
    with pytest.raises(AnalysisError, match="entry 1 needs check, where and reason"):
        read_answers(path)
