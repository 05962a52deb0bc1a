"""What has been gathered of some borrowers so far. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from federation.scoring import ServedModel, ServedVariant
from server.desk.answers import Absence, Gathered

Places = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]


class Tally:
    """The variant and the feature parties' points of each of n borrowers, as they come in.

    Args:
        model: whose variants answer; the label party alone until `assign` says otherwise.
        count: n.

    Attributes:
        failed: feature parties that failed, and how first.
        unknown: by feature party, which borrowers it does not know (n,).
    """

    def __init__(self, model: ServedModel, count: int) -> None:
        """Nothing has come in."""
        self.failed: dict[str, Absence] = {}
        self.unknown: dict[str, Flags] = {}
        self._model = model
        self._numbers = {variant.name: number for number, variant in enumerate(model.variants)}
        self._variant = np.full(count, len(model.variants) - 1, dtype=np.intp)
        self._points = np.zeros(count, dtype=np.int64)

    def __len__(self) -> int:
        """How many borrowers."""
        return len(self._points)

    def assign(self, places: Places, variant: ServedVariant, points: npt.NDArray[np.int64]) -> None:
        """Borrowers' feature parties' points together, under a variant."""
        self._variant[places] = self._numbers[variant.name]
        self._points[places] = points

    def mark_unknown(self, party: str, places: Places, unknown: Flags) -> None:
        """Which of some borrowers a party does not know."""
        if unknown.any():
            flags = self.unknown.setdefault(party, np.zeros(len(self), dtype=np.bool_))
            flags[places[unknown]] = True

    def known_to_all(self, parties: Sequence[str], places: Places) -> Flags:
        """Which of some borrowers none of these parties is known not to know."""
        known = np.ones(len(places), dtype=np.bool_)
        for party in parties:
            if party in self.unknown:
                known &= ~self.unknown[party][places]
        return known

    def groups(self, places: Places, answering: frozenset[str]) -> Mapping[frozenset[str], Places]:
        """Borrowers by those of the answering parties that may know them."""
        groups = {answering: places}
        for party in sorted(answering & self.unknown.keys()):
            split: dict[frozenset[str], Places] = {}
            for parties, members in groups.items():
                unknown = self.unknown[party][members]
                if not unknown.all():
                    split[parties] = members[~unknown]
                if unknown.any():
                    split[parties - {party}] = members[unknown]
            groups = split
        return groups

    def gathered(self) -> Gathered:
        """The outcome: only variants that somebody is scored with, only failures that matter."""
        used, places = np.unique(self._variant, return_inverse=True)
        variants = tuple(self._model.variants[number] for number in used)
        failed = {}
        for party in self._model.main.parties:
            without = np.array([party not in variant.parties for variant in variants])[places]
            if party in self.unknown:
                without &= ~self.unknown[party]
            if without.any():
                failed[party] = self.failed.get(party, Absence.SILENT)
        return Gathered(variants, places.astype(np.uint8), self._points, failed, self.unknown)


def joined(model: ServedModel, tallies: Sequence[Tally]) -> Tally:
    """The tallies of parts of a batch, as one."""
    whole = Tally(model, sum(map(len, tallies)))
    start = 0
    for tally in tallies:
        places = np.arange(start, start + len(tally))
        whole._variant[places] = tally._variant
        whole._points[places] = tally._points
        for party, unknown in tally.unknown.items():
            whole.mark_unknown(party, places, unknown)
        for party, absence in tally.failed.items():
            whole.failed.setdefault(party, absence)
        start += len(tally)
    return whole
