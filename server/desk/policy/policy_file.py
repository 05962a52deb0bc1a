"""Reads a policy file (TOML). See examples/policy/lending.toml for every table and key.

The parser is strict: a policy is reviewed as data, so a misspelt key or a number out of range must
never pass for a default.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from server.desk.policy.kinds import Grade
from server.desk.policy.lending_policy import ChallengerSettings, Currency, ScoreSettings
from server.desk.policy.loss import CollateralType
from server.desk.policy.product_file import Common, read_product
from server.desk.policy.rounding import MOST_DECIMALS, ONE
from server.desk.policy.rules import Blocked, Concentration, HardRule
from server.desk.policy.rules_file import RuleIds, read_rules
from server.desk.policy.toml_table import Table, read_table

FORMAT = "veilscore lending policy 1"
_LEAST_FLOOR = Decimal("0.000001")


def read_policy(path: Path) -> dict[str, Any]:
    """The fields of a `LendingPolicy`.

    Raises:
        InputError: one sentence with file, table, key, and what would be right.
    """
    top, content = read_table(path, "lending policy")
    top.allow(
        *("format", "name", "version", "valid_from", "valid_until", "currency", "minor_digits"),
        *("score", "grades", "collateral", "rules", "products", "challenger"),
    )
    if top.text("format") != FORMAT:
        raise top.error(f"has a 'format' that is not known; it must be \"{FORMAT}\"")
    score = _read_score(top.table("score"))
    grades = _read_grades(top, score)
    ids = RuleIds()
    common = Common(grades, _read_collateral(top), score.floor, score.decimals, ids)
    products = {
        name: read_product(name, table, common)
        for name, table in top.named_tables("products").items()
    }
    rules = read_rules(top.tables("rules"), products, ids)
    valid_from, valid_until = _read_days(top)
    return {
        "name": top.name("name"),
        "version": top.name("version"),
        "digest": _digest(content, rules),
        "valid_from": valid_from,
        "valid_until": valid_until,
        "currency": _read_currency(top),
        "score": score,
        "grades": grades,
        "rules": rules,
        "products": products,
        "challenger": _read_challenger(top),
    }


def _digest(content: bytes, rules: tuple[HardRule | Concentration, ...]) -> str:
    lists = [
        rule.test.blocked.digest
        for rule in rules
        if isinstance(rule, HardRule) and isinstance(rule.test, Blocked)
    ]
    if not lists:
        return hashlib.sha256(content).hexdigest()
    parts = [hashlib.sha256(content).hexdigest(), *lists]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _read_days(top: Table) -> tuple[date, date | None]:
    first = top.day("valid_from")
    if "valid_until" not in top:
        return first, None
    last = top.day("valid_until")
    if last < first:
        raise top.error("has a 'valid_until' before 'valid_from'; it must be that day or later")
    return first, last


def _read_currency(top: Table) -> Currency:
    code = top.text("currency")
    if len(code) != 3 or not (code.isascii() and code.isalpha() and code.isupper()):
        raise top.error("has a 'currency' that is no ISO 4217 code; write \"EUR\", for example")
    return Currency(code, top.whole("minor_digits", most=4))


def _read_score(table: Table) -> ScoreSettings:
    table.allow("horizon_months", "probability_decimals", "probability_floor")
    decimals = table.whole("probability_decimals", least=3, most=MOST_DECIMALS)
    floor = table.number("probability_floor", least=_LEAST_FLOOR, most=Decimal("0.5"))
    if floor != floor.quantize(ONE.scaleb(-decimals)):
        raise table.error(
            f"has a 'probability_floor' with more than {decimals} decimals, to which "
            "probabilities are rounded; give it fewer"
        )
    months = table.whole("horizon_months", least=1, most=120)
    return ScoreSettings(months, decimals, floor)


def _read_grades(top: Table, score: ScoreSettings) -> tuple[Grade, ...]:
    grades: list[Grade] = []
    below = Decimal(0)
    step = ONE.scaleb(-score.decimals)
    for table in top.tables("grades"):
        table.allow("name", "probability_up_to")
        name = table.name("name")
        if name in [grade.name for grade in grades]:
            raise table.error(f"has the name '{name}', which another grade has")
        up_to = table.number("probability_up_to", above=True)
        if up_to <= below:
            raise table.error(
                "has a 'probability_up_to' that is not above the one before; bands overlap "
                "otherwise, and the safest grade comes first"
            )
        if up_to != up_to.quantize(step):
            raise table.error(
                f"has a 'probability_up_to' with more than {score.decimals} decimals, to which "
                "probabilities are rounded; give it fewer"
            )
        grades.append(Grade(name, up_to))
        below = up_to
    if not grades or below != 1:
        raise top.error(
            "must have [[grades]] of which the last has probability_up_to = 1, so that the bands "
            "leave no gap"
        )
    return tuple(grades)


def _read_collateral(top: Table) -> Mapping[str, CollateralType]:
    if "collateral" not in top:
        return {}
    kinds = {}
    for name, table in top.named_tables("collateral").items():
        table.allow("haircut", "loss_given_default", "floor")
        kind = CollateralType(
            name,
            table.number("haircut"),
            table.number("loss_given_default"),
            table.number("floor"),
        )
        if kind.floor > kind.loss_given_default:
            raise table.error("has a 'floor' above 'loss_given_default'; it must be at most that")
        kinds[name] = kind
    return kinds


def _read_challenger(top: Table) -> ChallengerSettings | None:
    if "challenger" not in top:
        return None
    table = top.table("challenger")
    table.allow("file", "share", "key_file")
    return ChallengerSettings(
        table.path("file"), table.number("share", above=True), table.path("key_file")
    )
