"""Names in the registry: a line of models, and a version in it, 'default:3'."""

from __future__ import annotations

import re
import unicodedata

from federation.errors import InputError

DEFAULT_LINE = "default"
MOST_WHY_SIGNS = 500
MOST_WHO_SIGNS = 100
_LINE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_NAME = re.compile(r"([a-z0-9][a-z0-9_-]{0,63}):([1-9][0-9]{0,8})")


def check_line(line: str) -> str:
    """A line's name.

    Raises:
        InputError: it is none.
    """
    if not _LINE.fullmatch(line):
        raise InputError(
            "a model line's name must be 1 to 64 small letters, digits, '-' and '_', such as "
            "'default'"
        )
    return line


def model_name(line: str, version: int) -> str:
    """The name of one version."""
    return f"{line}:{version}"


def split_name(name: str) -> tuple[str, int]:
    """Line and version of a model's name.

    Raises:
        InputError: it is none.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise InputError("a model's name must be its line and version, such as 'default:3'")
    return found[1], int(found[2])


def check_why(why: str) -> str:
    """A reason, as it enters the history.

    Raises:
        InputError: it is empty, too long, or not one line.
    """
    return _one_line(why, "the reason (--why)", MOST_WHY_SIGNS)


def check_who(who: str) -> str:
    """Who changes something.

    Raises:
        InputError: it is empty, too long, or not one line.
    """
    return _one_line(who, "the name of who does it", MOST_WHO_SIGNS)


def _one_line(text: str, what: str, most: int) -> str:
    stripped = text.strip()
    if not 1 <= len(stripped) <= most or any(
        unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in stripped
    ):
        raise InputError(f"{what} must be one line of 1 to {most} signs")
    return stripped
