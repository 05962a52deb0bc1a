"""Divides one table's rows among simulated banks: alike, by label skew, or by an attribute.

Every function returns the bank of each row, int64 in 0..banks-1: every row has exactly one, and
every bank has at least `minimum` rows of each class, without which a bank could not train. Where a
draw leaves a bank short, it is topped up at random from the banks that have the most of that class
to spare; so a skew never costs a row, and nothing has to be drawn again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from federation.errors import InputError

Labels = npt.NDArray[np.uint8]
Assignment = npt.NDArray[np.int64]
MINIMUM = 20


def iid(
    labels: Labels, banks: int, generator: np.random.Generator, *, minimum: int = MINIMUM
) -> Assignment:
    """Rows at random, the banks as equal in size as can be.

    Args:
        labels: 0 or 1, one a row.
        banks: how many.
        generator: of the draw.
        minimum: rows of each class at every bank.

    Raises:
        InputError: there are too few rows of a class for so many banks.
    """
    _refuse_too_few(labels, banks, minimum)
    assignment = np.empty(len(labels), dtype=np.int64)
    assignment[generator.permutation(len(labels))] = np.arange(len(labels)) % banks
    _top_up(assignment, labels, banks, generator, minimum)
    return assignment


def dirichlet(
    labels: Labels,
    banks: int,
    generator: np.random.Generator,
    *,
    alpha: float,
    minimum: int = MINIMUM,
) -> Assignment:
    """Label skew: equal sizes, and each bank's own share of defaults drawn from a Dirichlet.

    A bank's class shares are drawn from Dirichlet(alpha * p), p the shares of the whole table, and
    its rows at random within each class by these shares; a class that is used up is filled from
    the other (Hsu, Qi & Brown 2019, arXiv:1909.06335, section 3.1). A small alpha gives banks of
    nearly one class; alpha to infinity gives `iid`.

    Args:
        labels: 0 or 1, one a row.
        banks: how many.
        generator: of the draw.
        alpha: concentration, above 0.
        minimum: rows of each class at every bank.

    Raises:
        InputError: there are too few rows of a class for so many banks, or alpha is not positive.
    """
    _refuse_wrong_alpha(alpha)
    _refuse_too_few(labels, banks, minimum)
    pools = [generator.permutation(np.flatnonzero(labels == label)) for label in (0, 1)]
    default_rate = len(pools[1]) / len(labels)
    assignment = np.empty(len(labels), dtype=np.int64)
    # Later banks get what earlier ones left; the order of the banks is drawn, so that no bank is
    # always the last.
    for place, bank in enumerate(generator.permutation(banks).tolist()):
        size = (len(pools[0]) + len(pools[1])) // (banks - place)
        share = float(generator.beta(alpha * default_rate, alpha * (1 - default_rate)))
        defaults = min(round(share * size), len(pools[1]))
        repaid = min(size - defaults, len(pools[0]))
        for label, count in ((1, size - repaid), (0, repaid)):
            assignment[pools[label][:count]] = bank
            pools[label] = pools[label][count:]
    _top_up(assignment, labels, banks, generator, minimum)
    return assignment


def dirichlet_by_class(
    labels: Labels,
    banks: int,
    generator: np.random.Generator,
    *,
    alpha: float,
    minimum: int = MINIMUM,
) -> Assignment:
    """Skew of labels and of sizes: each class spread over the banks by a Dirichlet draw of its own.

    The banks' shares of a class are drawn from Dirichlet(alpha, ..., alpha), class by class
    (Yurochkin et al. 2019, arXiv:1905.12022; Li et al. 2022, arXiv:2102.02079).

    Args:
        labels: 0 or 1, one a row.
        banks: how many.
        generator: of the draw.
        alpha: concentration, above 0.
        minimum: rows of each class at every bank.

    Raises:
        InputError: there are too few rows of a class for so many banks, or alpha is not positive.
    """
    _refuse_wrong_alpha(alpha)
    _refuse_too_few(labels, banks, minimum)
    assignment = np.empty(len(labels), dtype=np.int64)
    for label in (0, 1):
        rows = generator.permutation(np.flatnonzero(labels == label))
        shares = generator.dirichlet(np.full(banks, alpha))
        ends = np.rint(np.cumsum(shares)[:-1] * len(rows)).astype(np.int64)
        assignment[rows] = np.searchsorted(ends, np.arange(len(rows)), side="right")
    _top_up(assignment, labels, banks, generator, minimum)
    return assignment


def by_category(
    values: npt.NDArray[Any],
    labels: Labels,
    banks: int,
    generator: np.random.Generator,
    *,
    minimum: int = MINIMUM,
) -> Assignment:
    """Every bank its own categories of an attribute, such as EDUCATION.

    The categories go, the largest first, to the bank with the fewest rows so far (the greedy rule
    of Graham 1969), so that sizes are as equal as whole categories allow. With fewer categories
    than banks the largest ones are cut in two at random until there are enough.

    Args:
        values: one category a row.
        labels: 0 or 1, one a row.
        banks: how many.
        generator: of the draw.
        minimum: rows of each class at every bank.

    Raises:
        InputError: there are too few rows of a class for so many banks.
    """
    _refuse_too_few(labels, banks, minimum)
    _, codes = np.unique(values, return_inverse=True)
    groups = [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]
    while len(groups) < banks:
        largest = max(range(len(groups)), key=lambda at: len(groups[at]))
        rows = generator.permutation(groups.pop(largest))
        groups += [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
    assignment = np.empty(len(labels), dtype=np.int64)
    sizes = np.zeros(banks, dtype=np.int64)
    for rows in sorted(groups, key=len, reverse=True):
        bank = int(np.argmin(sizes))
        assignment[rows] = bank
        sizes[bank] += len(rows)
    _top_up(assignment, labels, banks, generator, minimum)
    return assignment


def by_quantile(
    values: npt.NDArray[Any],
    labels: Labels,
    banks: int,
    generator: np.random.Generator,
    *,
    minimum: int = MINIMUM,
) -> Assignment:
    """Every bank its own range of a numeric attribute, such as AGE or LIMIT_BAL.

    Equal values stay together where there are at least as many distinct ones as banks; otherwise
    they are cut as in `by_category`.

    Args:
        values: one number a row, none missing.
        labels: 0 or 1, one a row.
        banks: how many.
        generator: of the draw.
        minimum: rows of each class at every bank.

    Raises:
        InputError: there are too few rows of a class for so many banks.
    """
    distinct, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) < banks:
        return by_category(values, labels, banks, generator, minimum=minimum)
    _refuse_too_few(labels, banks, minimum)
    # Each distinct value goes where its middle row would fall, but every bank gets one at least.
    middle = (np.cumsum(counts) - counts / 2) / len(values)
    place = np.minimum((middle * banks).astype(np.int64), banks - 1)
    place = np.minimum(place, np.arange(len(distinct)))
    place = np.maximum(place, banks - len(distinct) + np.arange(len(distinct)))
    for at in range(1, len(distinct)):
        place[at] = min(place[at], place[at - 1] + 1)
    assignment = place[codes].astype(np.int64)
    _top_up(assignment, labels, banks, generator, minimum)
    return assignment


def follow(
    strata: npt.NDArray[Any],
    assignment: Assignment,
    others: npt.NDArray[Any],
    banks: int,
    generator: np.random.Generator,
) -> Assignment:
    """Divide further rows (a test's) as rows like them were divided.

    Args:
        strata: what the division went by (label or attribute), one a row already divided.
        assignment: the bank of each of these.
        others: the same of the rows to divide. One that does not occur among `strata` counts as
            the next greater that does (the greatest, if there is none).
        banks: how many.
        generator: of the draw within a stratum.

    Returns:
        The bank of each row of `others`; within a stratum the banks' shares are those of
        `assignment`, rounded.
    """
    known = np.unique(strata)
    nearest = known[np.minimum(np.searchsorted(known, others), len(known) - 1)]
    followed = np.empty(len(others), dtype=np.int64)
    for value in known:
        rows = generator.permutation(np.flatnonzero(nearest == value))
        shares = np.bincount(assignment[strata == value], minlength=banks).cumsum()
        ends = np.rint(shares / shares[-1] * len(rows)).astype(np.int64)
        followed[rows] = np.searchsorted(ends, np.arange(len(rows)), side="right")
    return followed


def _refuse_wrong_alpha(alpha: float) -> None:
    if not 0 < alpha < np.inf:
        raise InputError(f"partition: alpha is {alpha:g}; a positive number is right")


def _refuse_too_few(labels: Labels, banks: int, minimum: int) -> None:
    if banks < 1:
        raise InputError(f"partition: {banks} banks; at least one is right")
    for label, name in ((0, "repaid loans"), (1, "defaults")):
        count = int((labels == label).sum())
        if count < banks * max(minimum, 1):
            raise InputError(
                f"partition: {count} {name} among {len(labels)} rows cannot give {banks} banks "
                f"{max(minimum, 1)} each; ask for fewer banks"
            )


def _top_up(
    assignment: Assignment,
    labels: Labels,
    banks: int,
    generator: np.random.Generator,
    minimum: int,
) -> None:
    """Give banks that are short of a class rows of it from those with the most, in place."""
    for label in (0, 1):
        of_class = labels == label
        for bank in range(banks):
            while (short := minimum - int((of_class & (assignment == bank)).sum())) > 0:
                held = np.bincount(assignment[of_class], minlength=banks)
                richest = int(np.argmax(held))
                rows = np.flatnonzero(of_class & (assignment == richest))
                count = min(short, int(held[richest]) - minimum)
                assignment[generator.permutation(rows)[:count]] = bank
