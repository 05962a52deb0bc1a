"""What a partner accepts to disclose in boosted trainings; its manifest says it, nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from federation.boosting.settings import BoostedSettings, Disclosure
from federation.errors import ProtocolError

_LEVELS = list(Disclosure)


@dataclass(frozen=True)
class Acceptance:
    """The most that a partner accepts.

    Attributes:
        disclosure: what may become known of its features; what discloses less is accepted too.
        bins: most bins a feature may have where its bins may become known.
        order_epsilon: the largest ε of each bin code's perturbation where codes are sent. None:
            they may be sent as they are. With it, trainings whose exact sums give bin codes away
            are not accepted: they would disclose more.
    """

    disclosure: Disclosure = Disclosure.OWNER
    bins: int = 16
    order_epsilon: float | None = None

    def check_all(self, trainings: Sequence[BoostedSettings], party: str) -> None:
        """Refuse trainings of one session that would disclose more, each alone or all together.

        Bins of several sizes cut a feature more finely than any of them, and codes that are
        perturbed anew can be averaged.

        Raises:
            ProtocolError: as `check`.
        """
        for settings in trainings:
            self.check(settings, party)
        disclosing = [one for one in trainings if one.disclosure is not Disclosure.OWNER]
        sizes = {one.bins for one in disclosing}
        bins = 1 + len({Fraction(cut, size) for size in sizes for cut in range(1, size)})
        if sizes and bins > self.bins:
            raise ProtocolError(
                f"trainings with {' and '.join(map(str, sorted(sizes)))} bins a feature cut it "
                f"into {bins} together, and {party} accepts {self.bins} to become known; ask for "
                f"the same number in all, or have {party} set [boosting] bins = {bins} in its "
                "manifest"
            )
        epsilon = sum(one.order_epsilon or 0.0 for one in disclosing)
        if self.order_epsilon is not None and epsilon > self.order_epsilon * (1 + 1e-9):
            raise ProtocolError(
                f"{len(disclosing)} trainings ask for bin codes perturbed with an epsilon of "
                f"{epsilon:g} in all, and {party} accepts {self.order_epsilon:g} a session; ask "
                f"for one of them, or have {party} change [boosting] order_epsilon in its manifest"
            )

    def check(self, settings: BoostedSettings, party: str) -> None:
        """Refuse a training that would disclose more.

        Raises:
            ProtocolError: names the training, what it asks for and what was accepted. Whoever asked
                hears it: it says nothing of the party's data.
        """
        asked = settings.disclosure
        if asked is Disclosure.OWNER:
            return
        if _LEVELS.index(asked) > _LEVELS.index(self.disclosure):
            raise ProtocolError(
                f"training '{settings.name}' asks for disclosure = '{asked}' "
                f"({_MEANINGS[asked]}), and {party} accepts '{self.disclosure}' "
                f"({_MEANINGS[self.disclosure]}); ask for that, or have {party} set [boosting] "
                f'disclosure = "{asked}" in its manifest'
            )
        if settings.bins > self.bins:
            raise ProtocolError(
                f"training '{settings.name}' asks for {settings.bins} bins a feature, and {party} "
                f"accepts {self.bins} to become known; ask for {self.bins}, or have {party} set "
                f"[boosting] bins = {settings.bins} in its manifest"
            )
        if self.order_epsilon is not None:
            self._check_perturbed(settings, party, self.order_epsilon)

    def _check_perturbed(self, settings: BoostedSettings, party: str, most: float) -> None:
        epsilon = settings.order_epsilon
        if settings.disclosure is Disclosure.ORDER and epsilon is not None and epsilon <= most:
            return
        what = f"bin codes perturbed with an epsilon of {epsilon}"
        if epsilon is None:
            what = _MEANINGS[settings.disclosure]
        raise ProtocolError(
            f"training '{settings.name}' asks for {what}, and {party} accepts bin codes perturbed "
            f"with an epsilon of {most:g} at most; ask for disclosure = 'order' with order_epsilon "
            f"= {most:g}, or have {party} change [boosting] order_epsilon in its manifest"
        )


_MEANINGS = {
    Disclosure.OWNER: "trees grown at their owner",
    Disclosure.BINS: "sums from which bin codes can be rebuilt",
    Disclosure.ORDER: "the bin codes themselves",
}
