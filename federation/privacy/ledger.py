"""The privacy ledger: every expenditure of a party's labels, across runs, and its hard stop.

The ledger is a record chain in the label party's vault. Its unit of privacy is one borrower's
label. An ε is only ever stated with that unit and with the history it stands for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from federation.errors import InputError
from federation.privacy.accountant import LabelRelease, compose, epsilon_of
from federation.record_chain import Entry

UNIT_OF_PRIVACY = "one borrower's label"
EXACT = "exact"


def release_body(release: LabelRelease, dataset: str) -> dict[str, Any]:
    """A release as the content of a ledger entry; `dataset` is the digest of the labels."""
    return {
        "kind": "label-release",
        "unit": UNIT_OF_PRIVACY,
        "dataset": dataset,
        "run": release.run,
        "what": release.what,
        "rho": EXACT if math.isinf(release.rho) else release.rho,
    }


def _release_of(body: Mapping[str, Any]) -> LabelRelease:
    rho = math.inf if body["rho"] == EXACT else float(body["rho"])
    return LabelRelease(rho, str(body["run"]), str(body["what"]))


@dataclass(frozen=True)
class LabelHistory:
    """All releases of one set of labels, in order."""

    releases: tuple[LabelRelease, ...]

    @classmethod
    def of(cls, entries: Iterable[Entry], dataset: str) -> LabelHistory:
        """The releases of these labels among a ledger's entries."""
        return cls(
            tuple(
                _release_of(entry.body)
                for entry in entries
                if entry.body.get("kind") == "label-release" and entry.body["dataset"] == dataset
            )
        )

    def after(self, release: LabelRelease) -> LabelHistory:
        """The history with one more release."""
        return LabelHistory((*self.releases, release))

    def epsilon(self, delta: float) -> float:
        """ε of the whole history at δ; infinite once anything exact was released."""
        return epsilon_of(compose(self.releases), delta)

    def sentence(self, delta: float) -> str:
        """The history's ε in words, with its unit."""
        count = len(self.releases)
        if count == 0:
            return "no label sums were ever released"
        exact = sum(math.isinf(release.rho) for release in self.releases)
        noun, they_give = ("release", "it gives") if count == 1 else ("releases", "they give")
        together = "" if count == 1 else " together"
        if exact == 0:
            return (
                f"{count} {noun} of label sums:{together} ε = {self.epsilon(delta):.2f} at "
                f"δ = {delta:g} per {UNIT_OF_PRIVACY}"
            )
        kind = "exact label sums" if exact == count else f"label sums, {exact} of them exact"
        return (
            f"{count} {noun} of {kind}: no ε bounds what {they_give} away{together} about "
            f"{UNIT_OF_PRIVACY}"
        )

    def check_budget(self, release: LabelRelease, budget: float | None, delta: float) -> None:
        """Refuse a release that would take the history over the budget.

        Raises:
            InputError: says what is spent, what was asked, and the budget.
        """
        if budget is None:
            return
        spent, would_be = self.epsilon(delta), self.after(release).epsilon(delta)
        if would_be > budget * (1 + 1e-9):
            limit = f"privacy.epsilon_budget is {budget:g} (δ = {delta:g}, per {UNIT_OF_PRIVACY})"
            if math.isinf(spent):
                raise InputError(
                    f"{limit}, but exact sums of these labels were released before, which no ε "
                    "bounds: no budget can be kept any more; see `veilscore ledger`"
                )
            asked = "exact sums (no ε)" if math.isinf(release.rho) else f"ε = {would_be:.2f} in all"
            raise InputError(
                f"{limit}: ε = {spent:.2f} is spent, and this run would make it {asked}; ask for "
                "a smaller label_epsilon, or have the budget's owner raise it"
            )
