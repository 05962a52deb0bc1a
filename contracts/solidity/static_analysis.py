"""Judges what Slither found: each finding is either mended or answered, with a reason.

Usage: python -m contracts.solidity.static_analysis SLITHER_JSON

Answers stand in slither-answered.toml; one that no finding needs is refused too:

    [[answered]]
    check = "timestamp"                       # Slither's name of the detector
    where = "FinancingPool.declareDefault"    # contract and function or variable; * stands for any
    reason = "due dates are days; a validator moves a block's time by seconds"
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ANSWERED = Path(__file__).resolve().parent / "slither-answered.toml"


class AnalysisError(Exception):
    """Slither's report or the answers can't be read; its text is one sentence."""


@dataclass(frozen=True)
class Finding:
    """One finding: Slither's detector, its impact, the contract's part, the text."""

    check: str
    impact: str
    where: str
    description: str


@dataclass(frozen=True)
class Answer:
    """Why findings of one detector in some place are left as they are."""

    check: str
    where: str
    reason: str

    def fits(self, finding: Finding) -> bool:
        """Whether it speaks of this finding."""
        return self.check == finding.check and fnmatchcase(finding.where, self.where)


def read_findings(report: Mapping[str, Any]) -> list[Finding]:
    """The findings of Slither's JSON.

    Raises:
        AnalysisError: Slither did not come to its end.
    """
    if report.get("success") is not True:
        raise AnalysisError(f"Slither failed: {report.get('error')}")
    findings = []
    for result in report.get("results", {}).get("detectors", []):
        where = place(result["elements"][0]) if result["elements"] else ""
        findings.append(Finding(result["check"], result["impact"], where, result["description"]))
    return findings


def place(element: Mapping[str, Any]) -> str:
    """'Contract.part' of a finding's first element, or the name that it has."""
    inner = element
    while inner["type"] in ("node", "variable") and "parent" in inner["type_specific_fields"]:
        parent = inner["type_specific_fields"]["parent"]
        if parent["type"] == "contract":
            break
        inner = parent
    parent = inner.get("type_specific_fields", {}).get("parent", {})
    return f"{parent['name']}.{inner['name']}" if "name" in parent else str(inner["name"])


def read_answers(path: Path) -> list[Answer]:
    """The answers; none where there is no file.

    Raises:
        AnalysisError: an entry lacks a field.
    """
    if not path.exists():
        return []
    answers = []
    for number, entry in enumerate(tomllib.loads(path.read_text("utf-8")).get("answered", []), 1):
        fields = {key: str(entry.get(key, "")).strip() for key in Answer.__dataclass_fields__}
        if not all(fields.values()):
            raise AnalysisError(
                f"{path.name}: entry {number} needs check, where and reason, none empty."
            )
        answers.append(Answer(**fields))
    return answers


def judge(findings: Sequence[Finding], answers: Sequence[Answer]) -> tuple[list[str], bool]:
    """The lines to print, and whether every finding is answered and every answer needed."""
    open_findings = [f for f in findings if not any(answer.fits(f) for answer in answers)]
    idle = [a for a in answers if not any(a.fits(finding) for finding in findings)]
    printed = [f"{f.impact}: {f.check}: {f.where}: {f.description.strip()}" for f in open_findings]
    printed += [f"answers nothing: {answer.check} in {answer.where}" for answer in idle]
    answered = len(findings) - len(open_findings)
    printed.append(f"{len(findings)} findings, {answered} answered, {len(open_findings)} open")
    return printed, not open_findings and not idle


def main(arguments: list[str]) -> int:
    """Print what is open; exit status 1 if anything is, 2 where the report can't be read."""
    if len(arguments) != 1:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        report = json.loads(Path(arguments[0]).read_text("utf-8"))
        printed, good = judge(read_findings(report), read_answers(ANSWERED))
    except (OSError, ValueError, AnalysisError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write("\n".join(printed) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
