"""Finds places in a Solidity source where one small change should break a test.

It works on the text, with comments and strings blanked: the changes are small enough for that, and
what does not compile is sorted out by the compiler. The kinds of change:

    check       a `require(…)` or `if (…) revert …` is dropped
    comparison  < <= > >= == != become their neighbour or their opposite
    arithmetic  + and -, * and / swap; % becomes *
    logic       && and || swap; a `!` is dropped; true and false swap
    modifier    a modifier of a function is dropped
    statement   an assignment, call, `delete` or `emit` is dropped
    rounding    Ceil and Floor swap
    constant    a whole number grows by one
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
}
_ARITHMETIC = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "*"}
_WORDS = {"Ceil": "Floor", "Floor": "Ceil", "true": "false", "false": "true"}
_NOT_MODIFIERS = re.compile(
    r"external|public|internal|private|pure|view|payable|virtual|override|returns"
)
_TOKENS = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
_HEADER = re.compile(r"\b(function\s+\w+|constructor|receive|fallback|modifier\s+\w+)\b")
_COMPARISON = re.compile(r"(?<![<>=!+\-*/&|^%])(<=|>=|==|!=|<|>)(?![<>=])")
_SUM = re.compile(r"(?<![+\-*/%&|^<>=!])([+\-*/%])(?![+\-*/>])")
_LOGIC = re.compile(r"&&|\|\||!(?!=)")
_WORD = re.compile(r"\b(?:Ceil|Floor|true|false)\b")
_NUMBER = re.compile(r"(?<![\w.])\d[\d_]*(?![\w.])")
_NO_NUMBERS = re.compile(r"^\s*(?:pragma|import)\b[^;]*;", re.MULTILINE)
_CHECK = re.compile(r"\b(require|if)\s*\(")
_LED = re.compile(r"(?:else\b|(?:if|for|while)\s*(?=\())\s*")
_KEPT = re.compile(r"(?:return|require|break|continue|assembly|try|catch|do|struct)\b|_$")
_DECLARES = re.compile(
    r"\(?\s*(?!delete\b|emit\b|revert\b)(?:mapping\b|[A-Za-z_][\w.]*(?:\[\w*\])*\s+[A-Za-z_])"
)
_CALL_OPTIONS = re.compile(r"\{\s*(?:value|gas|salt)\s*:")


@dataclass(frozen=True, order=True)
class Mutant:
    """One change of one source.

    Attributes:
        file: the source, within the Foundry project.
        start: offset of the first character that goes.
        end: offset after the last one.
        replacement: what stands there instead.
        line: number of the line, from 1 on.
        kind: see the module.
        line_text: the line as it was, without indentation.
        change: 'before → after', on one line; ', place 2' follows where the line has it twice.
    """

    file: str
    start: int
    end: int
    replacement: str
    line: int
    kind: str
    line_text: str
    change: str

    def apply(self, source: str) -> str:
        """The changed source."""
        return source[: self.start] + self.replacement + source[self.end :]


def find_mutants(file: str, source: str) -> list[Mutant]:
    """All mutants of a source, in the order of the text."""
    blanked = blank(source)
    lines = source.splitlines()
    found: list[Mutant] = []
    places: Counter[tuple[int, str]] = Counter()
    for start, end, replacement, kind in sorted(
        {(c[1], c[2], c[3], c[0]) for c in _changes(blanked)}
    ):
        line = source.count("\n", 0, start) + 1
        before = " ".join(source[start:end].split())
        after = "(dropped)" if replacement in ("", "{}") else replacement
        change = f"{before} → {after}"
        places[line, change] += 1
        if places[line, change] > 1:
            change += f", place {places[line, change]}"
        found.append(
            Mutant(file, start, end, replacement, line, kind, lines[line - 1].strip(), change)
        )
    return found


def blank(source: str) -> str:
    """The source with every comment and string as spaces; offsets and lines stay."""
    return _TOKENS.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), source)


def closing(text: str, start: int) -> int:
    """Offset after the bracket that closes the one at `start`; the text's end if none does."""
    opening = text[start]
    other = {"(": ")", "{": "}", "[": "]"}[opening]
    depth = 0
    for offset in range(start, len(text)):
        depth += (text[offset] == opening) - (text[offset] == other)
        if depth == 0:
            return offset + 1
    return len(text)


_Change = tuple[str, int, int, str]  # kind, start, end, replacement


def _changes(text: str) -> Iterator[_Change]:
    """All changes of a blanked source."""
    skipped = [match.span() for match in _NO_NUMBERS.finditer(text)]
    for match in _NUMBER.finditer(text):
        if not any(start <= match.start() < end for start, end in skipped):
            number = int(match.group().replace("_", ""))
            yield "constant", match.start(), match.end(), str(number + 1)
    for name, header, start, end in _functions(text):
        if name.startswith("function"):
            yield from _modifiers(text, header, start)
        yield from _operators(text, start, end)
        checks = list(_checks(text, start, end))
        yield from checks
        for change in _statements(text, start, end):
            # A dropped `revert` of an `if` is the dropped check.
            if not any(first <= change[1] < last for _, first, last, _ in checks):
                yield change


def _functions(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Of each that has a body: keyword and name, end of its parameters, its `{`, its end."""
    for match in _HEADER.finditer(text):
        offset = match.end()
        parameters = re.compile(r"\s*\(").match(text, offset)
        header = closing(text, parameters.end() - 1) if parameters else offset
        ending = re.compile(r"[{;]").search(text, header)
        if ending and ending.group() == "{":
            yield match.group(), header, ending.start(), closing(text, ending.start())


def _modifiers(text: str, start: int, end: int) -> Iterator[_Change]:
    """Each modifier between a function's parameters and its body."""
    offset = start
    for match in re.compile(r"[A-Za-z_][\w.]*").finditer(text, start, end):
        if match.start() < offset:
            continue
        offset = match.end()
        arguments = re.compile(r"\s*\(").match(text, offset, end)
        if arguments:
            offset = closing(text, arguments.end() - 1)
        if not _NOT_MODIFIERS.fullmatch(match.group()):
            yield "modifier", match.start(), offset, ""


def _operators(text: str, start: int, end: int) -> Iterator[_Change]:
    """Comparisons, sums, logic, roundings and truth values within a body."""
    for match in _COMPARISON.finditer(text, start, end):
        for replacement in _COMPARISONS[match.group()]:
            yield "comparison", match.start(), match.end(), replacement
    for match in _SUM.finditer(text, start, end):
        before = text[start : match.start()].rstrip()
        # A sign is not a sum.
        if before[-1:] not in tuple("(,=<>!&|?:{};[") and not re.search(r"\breturn$", before):
            yield "arithmetic", match.start(), match.end(), _ARITHMETIC[match.group()]
    for match in _LOGIC.finditer(text, start, end):
        replacement = {"&&": "||", "||": "&&", "!": ""}[match.group()]
        yield "logic", match.start(), match.end(), replacement
    for match in _WORD.finditer(text, start, end):
        word = match.group()
        kind = "rounding" if word in ("Ceil", "Floor") else "logic"
        yield kind, match.start(), match.end(), _WORDS[word]


def _checks(text: str, start: int, end: int) -> Iterator[_Change]:
    """Each `require(…);` and `if (…) revert …;` of a body, with or without braces."""
    for match in _CHECK.finditer(text, start, end):
        after = closing(text, match.end() - 1)
        if match.group(1) == "if":
            consequence = re.compile(r"\s*(\{?)\s*revert\b").match(text, after)
            if consequence is None:
                continue
            if consequence.group(1):
                yield "check", match.start(), closing(text, consequence.start(1)), "{}"
                continue
        yield "check", match.start(), text.index(";", after) + 1, "{}"


def _statements(text: str, start: int, end: int) -> Iterator[_Change]:
    """Each simple statement of a body that changes state."""
    begin = offset = start + 1
    while offset < end:
        sign = text[offset]
        if sign in "([" or (sign == "{" and _CALL_OPTIONS.match(text, offset)):
            offset = closing(text, offset)
            continue
        if sign == ";":
            yield from _statement(text, begin, offset)
        offset += 1
        if sign in ";{}":
            begin = offset


def _statement(text: str, begin: int, end: int) -> Iterator[_Change]:
    """The statement between two ends, without the `if (…)` or `else` that leads to it."""
    while text[begin].isspace():
        begin += 1
    while led := _LED.match(text, begin, end):
        begin = led.end()
        if text[begin] == "(":
            begin = closing(text, begin)
        while begin < end and text[begin].isspace():
            begin += 1
    statement = text[begin:end].rstrip()
    if statement and not _KEPT.match(statement) and not _DECLARES.match(statement):
        yield "statement", begin, end + 1, "{}"
