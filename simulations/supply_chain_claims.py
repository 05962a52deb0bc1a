"""What becomes of each invoice of the simulated supply chain: splits, disputes, loans, payments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulations.supply_chain import (
    DAY,
    NEVER,
    Claims,
    Firms,
    Flags,
    Floats,
    Integers,
    Invoices,
    SupplyChainPlan,
    sigmoid,
)

_SPLIT_SHARES = (0.35, 0.3)  # of claims that can be, by depth
_ADVANCE = 0.8
_YEAR = 365 * DAY
_DEFAULT_AFTER = 46 * DAY
_WRITE_OFF_AFTER = 120 * DAY


@dataclass
class _Growing:
    """Claims made so far, level by level."""

    invoice: list[Integers]
    parent: list[Integers]
    depth: list[Integers]
    holder: list[Integers]
    giver: list[Integers]
    face: list[Integers]
    made: list[Integers]


def draw_claims(
    plan: SupplyChainPlan, firms: Firms, invoices: Invoices, rng: np.random.Generator
) -> Claims:
    """Draw all claims and their fates; what would happen after the plan's end is cut off later."""
    count = len(invoices.face)
    roots = np.arange(count, dtype=np.int64)
    quality = firms.quality_at(invoices.supplier, invoices.confirmed, plan.cut_at)
    is_cancelled = rng.random(count) < 0.01
    is_disputed = ~is_cancelled & (rng.random(count) < sigmoid(-3.2 - 1.1 * quality))
    grown = _Growing(
        [roots],
        [np.full(count, -1)],
        [np.zeros(count, np.int64)],
        [invoices.supplier],
        [invoices.supplier],
        [invoices.face],
        [invoices.confirmed],
    )
    split_at = [_split(grown, 0, firms, ~is_cancelled & ~is_disputed, rng)]
    split_at.append(_split(grown, 1, firms, np.ones(len(grown.face[-1]), np.bool_), rng))
    split_at.append(np.full(len(grown.face[-1]), NEVER))
    made = np.concatenate(grown.made)
    ended = np.concatenate(split_at)[: len(made)]
    holder = np.concatenate(grown.holder)
    total = len(made)

    def of_roots(values: Integers, otherwise: int) -> Integers:
        found = np.full(total, otherwise, dtype=np.int64)
        found[:count] = values
        return found

    is_whole = ended == NEVER
    is_root_cancelled = np.zeros(total, np.bool_)
    is_root_cancelled[:count] = is_cancelled
    disputed_at = of_roots(
        np.where(is_disputed, invoices.confirmed + _spread(rng, count, 4), NEVER), NEVER
    )
    is_fate_open = is_whole & ~is_root_cancelled
    passed_at, owner = _passed(firms, holder, made, is_fate_open & (disputed_at == NEVER), rng)
    invoice = np.concatenate(grown.invoice)
    face = np.concatenate(grown.face)
    state = firms.quality_at(owner, made, plan.cut_at)
    credited_at, credit = _credits(face, made, disputed_at, state, is_fate_open, passed_at, rng)
    left = face - credit
    due = invoices.due[invoice]
    financed_at, principal, discount = _loans(left, made, due, state, is_fate_open, rng)
    paid_at, paid = _payments(
        left, due, state, firms.debtor_quality[invoices.debtor[invoice]], is_fate_open, rng
    )
    settled = paid_at.max(axis=1)
    is_late = (financed_at != NEVER) & (settled > due + _DEFAULT_AFTER)
    written_off = is_late & (paid_at[:, 0] == NEVER)
    return Claims(
        invoice=invoice,
        parent=np.concatenate(grown.parent),
        depth=np.concatenate(grown.depth),
        holder=holder,
        giver=np.concatenate(grown.giver),
        owner=owner,
        face=face,
        made=made,
        passed_at=passed_at,
        disputed_at=disputed_at,
        credited_at=credited_at,
        credit=credit,
        cancelled_at=of_roots(
            np.where(is_cancelled, invoices.confirmed + _spread(rng, count, 2), NEVER), NEVER
        ),
        split_at=ended,
        financed_at=financed_at,
        principal=principal,
        discount=discount,
        paid_at=paid_at,
        paid=paid,
        defaulted_at=np.where(is_late, due + _DEFAULT_AFTER, NEVER),
        written_off_at=np.where(written_off, due + _WRITE_OFF_AFTER, NEVER),
    )


def _spread(rng: np.random.Generator, count: int, days: float) -> Integers:
    """Seconds from an hour up to some days."""
    return rng.integers(3600, int(days * DAY), size=count)


def _split(
    grown: _Growing, level: int, firms: Firms, may: Flags, rng: np.random.Generator
) -> Integers:
    """Split some of the last level's claims in two: one kept, one passed on; returns the times."""
    holder, face, made = grown.holder[-1], grown.face[-1], grown.made[-1]
    first = sum(map(len, grown.face[:-1]))
    taker = firms.one_below(holder, rng)
    picked = np.flatnonzero(may & (taker >= 0) & (rng.random(len(face)) < _SPLIT_SHARES[level]))
    at = np.full(len(face), NEVER)
    at[picked] = made[picked] + _spread(rng, len(picked), 4)
    passed = np.round(face[picked] * rng.uniform(0.2, 0.7, size=len(picked))).astype(np.int64)
    faces = np.stack((face[picked] - passed, passed), axis=1).ravel()
    grown.invoice.append(np.repeat(grown.invoice[-1][picked], 2))
    grown.parent.append(np.repeat(first + picked, 2))
    grown.depth.append(np.full(2 * len(picked), level + 1))
    grown.giver.append(np.repeat(holder[picked], 2))
    grown.holder.append(np.stack((holder[picked], taker[picked]), axis=1).ravel())
    grown.face.append(faces)
    grown.made.append(np.repeat(at[picked], 2))
    return at


def _passed(
    firms: Firms, holder: Integers, made: Integers, may: Flags, rng: np.random.Generator
) -> tuple[Integers, Integers]:
    """Pass a few claims on whole; returns when, and every claim's last owner."""
    taker = firms.one_below(holder, rng)
    is_passed = may & (taker >= 0) & (rng.random(len(made)) < 0.06)
    at = np.where(is_passed, made + _spread(rng, len(made), 4), NEVER)
    return at, np.where(is_passed, taker, holder)


def _credits(
    face: Integers,
    made: Integers,
    disputed_at: Integers,
    quality: Floats,
    may: Flags,
    passed_at: Integers,
    rng: np.random.Generator,
) -> tuple[Integers, Integers]:
    """Settle disputes, and write credit notes without one; times and amounts."""
    is_disputed = disputed_at != NEVER
    has_note = may & ~is_disputed & (passed_at == NEVER)
    has_note &= rng.random(len(face)) < sigmoid(-3.0 - 1.0 * quality)
    settled, noted = rng.uniform(0.03, 0.3, len(face)), rng.uniform(0.01, 0.12, len(face))
    share = np.where(is_disputed, settled, noted)
    credited = is_disputed | has_note
    at = np.where(is_disputed, disputed_at, made) + _spread(rng, len(face), 4)
    return (
        np.where(credited, at, NEVER),
        np.where(credited, np.round(face * share), 0).astype(np.int64),
    )


def _loans(
    left: Integers,
    made: Integers,
    due: Integers,
    quality: Floats,
    may: Flags,
    rng: np.random.Generator,
) -> tuple[Integers, Integers, Integers]:
    """Finance claims; the weaker a supplier, the more of them. Times, principals and discounts."""
    at = made + 9 * DAY + _spread(rng, len(left), 5)
    taken = may & (at < due - 5 * DAY) & (rng.random(len(left)) < sigmoid(-0.5 - 0.8 * quality))
    principal = np.where(taken, np.floor(left * _ADVANCE), 0).astype(np.int64)
    rate = rng.uniform(0.04, 0.09, size=len(left))
    discount = np.ceil(principal * rate * np.where(taken, due - at, 0) / _YEAR).astype(np.int64)
    return np.where(taken, at, NEVER), principal, discount


def _payments(
    left: Integers,
    due: Integers,
    quality: Floats,
    debtor_quality: Floats,
    may: Flags,
    rng: np.random.Generator,
) -> tuple[Integers, Integers]:
    """Pay in one or two parts, on time or late; what is never paid stays open."""
    count = len(left)
    is_late = rng.random(count) < sigmoid(-1.0 - 0.5 * debtor_quality - 2.0 * quality)
    days = np.where(is_late, 1 + rng.gamma(1.3, 14.0, size=count), -rng.integers(0, 4, size=count))
    first = due // DAY * DAY + (days * DAY).astype(np.int64) // DAY * DAY
    first += rng.integers(8 * 3600, 18 * 3600, size=count)
    is_never = ~may | (rng.random(count) < sigmoid(-5.2 - 0.6 * debtor_quality - 0.9 * quality))
    in_parts = ~is_never & (rng.random(count) < 0.12)
    part = np.where(in_parts, np.floor(left * rng.uniform(0.3, 0.7, size=count)), left)
    rest_at = first + DAY + (rng.exponential(14.0, size=count) * DAY).astype(np.int64)
    at = np.stack((np.where(is_never, NEVER, first), np.where(in_parts, rest_at, NEVER)), axis=1)
    paid = np.stack((part.astype(np.int64), left - part.astype(np.int64)), axis=1)
    paid[at == NEVER] = 0
    return at, paid
