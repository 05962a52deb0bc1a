"""JSON as strictly as its standard allows, since readers disagree where it is loose (RFC 8259).

| in a body | here |
|---|---|
| NaN, Infinity | refused: no JSON, though many parsers take it |
| "NaN" | a text, refused later where a number must be |
| 1e400 | refused: it would be read as infinity |
| 9007199254740993 | refused: beyond 2^53 other readers round whole numbers |
| 1e-400 | 0 |
| a name twice in an object | refused: readers differ on which counts |
| half of a surrogate pair | refused: no text |
| nested deeper than the parser goes | refused |
| a byte order mark, text after the value | refused |
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

MOST_EXACT = 2**53
_DIGITS = 17
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class NotJson(ValueError):
    """A body that is refused; its sentence holds nothing of the body."""


def strict_json(body: bytes) -> Any:
    """The value that a body holds.

    Raises:
        NotJson: it is refused; see the table above.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJson(f"the body is not UTF-8 text (byte {error.start})") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except json.JSONDecodeError as error:
        raise NotJson(f"the body is not JSON: {error.msg} (character {error.pos})") from None
    except RecursionError:
        raise NotJson("the body is nested too deep") from None
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except (UnicodeEncodeError, RecursionError):
            raise NotJson("a text of the body has half of a surrogate pair") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise NotJson("an object of the body has the same name twice")
    return content


def _constant(name: str) -> Any:
    raise NotJson(f"the body has {name}, which is no JSON; write null where a value is missing")


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise NotJson("a number of the body is too large")
    return number


def _int(digits: str) -> int:
    # Before it is converted: a million digits take seconds.
    if len(digits) > _DIGITS or not -MOST_EXACT <= (number := int(digits)) <= MOST_EXACT:
        raise NotJson("a whole number of the body is beyond 2^53, where JSON is no longer exact")
    return number
