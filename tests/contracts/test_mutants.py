"""The mutator finds the places it says, and no others; the coverage bar counts what LCOV says."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.solidity.coverage_bar import judge, read_lcov
from contracts.solidity.mutants import blank, find_mutants
from contracts.solidity.mutate import Answer, Fate, MutationError, Verdict, read_answers, score


def changes(body: str, header: str = "function f(uint256 a) external") -> list[tuple[str, str]]:
    """(kind, change) of every mutant of one function."""
    source = f"contract C {{\n    {header} {{\n        {body}\n    }}\n}}\n"
    return [(mutant.kind, mutant.change) for mutant in find_mutants("src/C.sol", source)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("require(x(a), E());", [("check", "require(x(a), E()); → (dropped)")]),
        ("if (x(a)) revert E(a);", [("check", "if (x(a)) revert E(a); → (dropped)")]),
        ("if (x) { revert E(a); }", [("check", "if (x) { revert E(a); } → (dropped)")]),
        ("return a < b;", [("comparison", "< → <="), ("comparison", "< → >=")]),
        ("return a == b;", [("comparison", "== → !=")]),
        ("return a << b;", []),
        ("return a - b / c;", [("arithmetic", "- → +"), ("arithmetic", "/ → *")]),
        ("return -a;", []),
        ("uint256 b = a ** c;", []),
        ("return !a && b;", [("logic", "! → (dropped)"), ("logic", "&& → ||")]),
        ("return f(Math.Rounding.Ceil);", [("rounding", "Ceil → Floor")]),
        ("paid += a;", [("statement", "paid += a; → (dropped)"), ("arithmetic", "+ → -")]),
        ("delete of[a];", [("statement", "delete of[a]; → (dropped)")]),
        ("emit Paid(a);", [("statement", "emit Paid(a); → (dropped)")]),
        ("if (x) y = a;", [("statement", "y = a; → (dropped)")]),
        ("if (x) { y = a; } else z = a;", [("statement", f"{v} = a; → (dropped)") for v in "yz"]),
        ("t.call{value: a}(b);", [("statement", "t.call{value: a}(b); → (dropped)")]),
        ("Note storage note = notes[a];", []),
        ("(uint256 b, ) = g(a);", []),
        ("return 1_000;", [("constant", "1_000 → 1001")]),
        ("return 0x20 + 1e18;", [("arithmetic", "+ → -")]),
        ("// a < b; paid += 1;", []),
        ('return "a < b";', []),
    ],
)
def test_changes_of_a_body(body: str, expected: list[tuple[str, str]]) -> None:
    """Each kind is found where it is, and not in comments, texts, shifts, signs or declarations."""
    assert changes(body) == expected


def test_modifiers_are_dropped_but_not_visibility() -> None:
    """Only what guards a function goes, with its arguments."""
    header = "function f() external virtual override(A, B) onlyRole(R) whenNotPaused returns (uint)"
    assert changes("return x;", header) == [
        ("modifier", "onlyRole(R) → (dropped)"),
        ("modifier", "whenNotPaused → (dropped)"),
    ]


def test_a_mutant_changes_one_place_and_knows_its_line() -> None:
    """The rest of the source stays byte for byte."""
    source = "contract C {\n  function f() external {\n    paid = paid + due;\n  }\n}\n"
    mutants = {mutant.kind: mutant for mutant in find_mutants("src/C.sol", source)}
    plus = mutants["arithmetic"]
    assert plus.apply(source) == source.replace("paid + due", "paid - due")
    assert (plus.line, plus.line_text) == (3, "paid = paid + due;")


def test_blanking_keeps_offsets_and_lines() -> None:
    """Comments and strings become spaces, everything else stays where it was."""
    source = 'a; /* b\n c */ d = "e // f"; // g\nh;'
    assert len(blank(source)) == len(source)
    assert blank(source).split() == ["a;", "d", "=", ";", "h;"]
    assert blank(source).count("\n") == source.count("\n")


def test_answers_excuse_only_their_own_change(tmp_path: Path) -> None:
    """Another change of the same line still counts, and an answer without reason is refused."""
    source = "contract C {\n  function f() external {\n    return a < b;\n  }\n}\n"
    first, second = find_mutants("src/C.sol", source)
    path = tmp_path / "answered.toml"
    fields = f'file = "src/C.sol"\nline = "{first.line_text}"\nchange = "{first.change}"\n'
    path.write_text(f'[[answered]]\n{fields}reason = "b is never a"\n')
    (answer,) = read_answers(path)
    assert answer == Answer("src/C.sol", "return a < b;", first.change, "b is never a")
    assert answer.fits(first)
    assert not answer.fits(second)
    path.write_text(f"[[answered]]\n{fields}")
    with pytest.raises(MutationError, match="entry 1 needs file, line, change and reason"):
        read_answers(path)


def test_score_counts_hangs_as_noticed_and_leaves_out_the_rest() -> None:
    """Answered and invalid mutants are neither noticed nor missed."""
    (mutant,) = find_mutants("src/C.sol", "contract C {\n  uint256 constant X = 1;\n}\n")
    fates = [Fate.KILLED, Fate.TIMEOUT, Fate.SURVIVED, Fate.ANSWERED, Fate.INVALID, Fate.KILLED]
    assert score([Verdict(mutant, fate) for fate in fates]) == 75.0


@pytest.mark.parametrize(
    ("missed_lines", "missed_branches", "enough"), [(1, 5, True), (2, 0, False), (0, 6, False)]
)
def test_the_coverage_bar(missed_lines: int, missed_branches: int, enough: bool) -> None:
    """99 % of the lines and 95 % of the branches pass; one less fails."""
    report = ["TN:", "SF:src/C.sol"]
    report += [f"DA:{number},{int(number > missed_lines)}" for number in range(1, 101)]
    report += [f"BRDA:1,0,{way},{'-' if way < missed_branches else 3}" for way in range(100)]
    printed, passed = judge(read_lcov([*report, "end_of_record"]))
    assert passed is enough
    assert f"({100 - missed_lines}/100; at least 99)" in printed[-1]


def test_no_source_is_not_full_coverage() -> None:
    """An empty report fails."""
    assert judge(read_lcov([])) == (
        ["all of src/: lines 100.00 % (0/0; at least 99), branches 100.00 % (0/0; at least 95)"],
        False,
    )
