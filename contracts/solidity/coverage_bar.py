"""Judges forge's coverage of src/: lines at least 99 %, branches at least 95 %.

Usage: python -m contracts.solidity.coverage_bar LCOV_FILE
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LEAST_LINES = 99.0  # percent
LEAST_BRANCHES = 95.0


@dataclass(frozen=True)
class FileCoverage:
    """What the tests reached of one source file.

    Attributes:
        path: the file, within the Foundry project.
        lines: line → times run.
        branches: (line, number of the branching there, which way) → times taken.
    """

    path: str
    lines: dict[int, int]
    branches: dict[tuple[int, str, str], int]


def read_lcov(lines: Iterable[str]) -> list[FileCoverage]:
    """The files of an LCOV report: its records SF, DA and BRDA; '-' means never."""
    files: list[FileCoverage] = []
    for line in lines:
        kind, _, value = line.strip().partition(":")
        if kind == "SF":
            files.append(FileCoverage(value, {}, {}))
        elif kind == "DA":
            number, count = value.split(",")[:2]
            files[-1].lines[int(number)] = int(count)
        elif kind == "BRDA":
            number, block, way, taken = value.split(",")
            files[-1].branches[int(number), block, way] = 0 if taken == "-" else int(taken)
    return files


def percent(counts: Iterable[int]) -> tuple[float, str]:
    """Share of counts above zero, and the text '12/13'; nothing to count is all of it."""
    numbers = list(counts)
    hit = sum(number > 0 for number in numbers)
    return 100.0 * hit / len(numbers) if numbers else 100.0, f"{hit}/{len(numbers)}"


def judge(files: list[FileCoverage]) -> tuple[list[str], bool]:
    """The lines to print, and whether both bars are reached."""
    printed = []
    for file in sorted(files, key=lambda file: file.path):
        lines, lines_text = percent(file.lines.values())
        branches, branches_text = percent(file.branches.values())
        printed.append(
            f"{file.path:40} lines {lines:6.2f} % ({lines_text}), "
            f"branches {branches:6.2f} % ({branches_text})"
        )
        missed = sorted(number for number, count in file.lines.items() if count == 0)
        printed += [f"  {file.path}:{number} never runs" for number in missed]
        ways = sorted({number for (number, _, _), count in file.branches.items() if count == 0})
        printed += [f"  {file.path}:{number} has a branch never taken" for number in ways]
    lines, lines_text = percent(count for file in files for count in file.lines.values())
    branches, branches_text = percent(count for file in files for count in file.branches.values())
    enough = bool(files) and lines >= LEAST_LINES and branches >= LEAST_BRANCHES
    printed.append(
        f"all of src/: lines {lines:.2f} % ({lines_text}; at least {LEAST_LINES:g}), "
        f"branches {branches:.2f} % ({branches_text}; at least {LEAST_BRANCHES:g})"
    )
    return printed, enough


def main(arguments: list[str]) -> int:
    """Print the coverage; exit status 1 below a bar, 2 where there is no report."""
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        sys.stderr.write(f"{__doc__}\n")
        return 2
    with Path(arguments[0]).open(encoding="utf-8") as report:
        files = [file for file in read_lcov(report) if file.path.startswith("src/")]
    printed, enough = judge(files)
    sys.stdout.write("\n".join(printed) + "\n")
    if not enough:
        sys.stderr.write("The tests reach too little of src/.\n")
    return 0 if enough else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
