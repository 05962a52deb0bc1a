"""What all parties of a session agree on, sent by the label party, checked by everybody."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from federation.additive.settings import AdditiveSettings
from federation.alignment import AlignmentMode
from federation.errors import InputError, ProtocolError
from federation.record_chain import canonical_json
from federation.vertical.agreement import alignment_domain
from federation.vertical.fallbacks import Fallbacks, Fit, fits_of
from federation.vertical.trainings import (
    Training,
    map_key,
    map_settings,
    training_from_json,
)

TRAINING, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True)
class SplitPlan:
    """How the label party cuts the aligned borrowers; only it uses this.

    Attributes:
        test_share: share of all borrowers kept for the test, [0, 0.9].
        validation_share: share of the rest kept for validation, [0, 0.9].
        seed: of the random cut.
    """

    test_share: float = 0.2
    validation_share: float = 0.2
    seed: int = 42

    def parts(
        self, labels: npt.NDArray[np.uint8], fixed: npt.NDArray[np.uint8] | None
    ) -> npt.NDArray[np.uint8]:
        """The part of every borrower (n,): 0 training, 1 validation, 2 test.

        The partners are told who is in the test, so that cut never looks at a label: under a seed
        and a row order that they can guess, a cut stratified by label gives many labels away. The
        validation cut, which stays here, is stratified.

        Args:
            labels: 0 or 1, in the label party's own order (the cut must not depend on the
                random order of the alignment).
            fixed: parts that the label party's table fixes; they too must not have been cut by
                label under a known seed. Where it has no validation rows, they are cut from the
                training rows.

        Raises:
            InputError: a part would have one class only.
        """
        generator = np.random.default_rng(self.seed)
        if fixed is None:
            parts = np.zeros(len(labels), dtype=np.uint8)
            test = round(self.test_share * len(labels))
            parts[generator.permutation(len(labels))[:test]] = TEST
        else:
            parts = fixed.copy()
        if not (parts == VALIDATION).any():
            _cut_validation(parts, labels, self.validation_share, generator)
        for part, name in ((TRAINING, "training"), (VALIDATION, "validation"), (TEST, "test")):
            inside = labels[parts == part]
            if part == TRAINING and inside.size == 0:
                raise InputError("no aligned borrower is left to train on; lower the test share")
            if inside.size and inside.min() == inside.max():
                raise InputError(
                    f"all {inside.size} borrowers of the {name} part have the same label "
                    f"({inside[0]}); both classes are needed: align more borrowers or change the "
                    "split"
                )
        return parts


def _cut_validation(
    parts: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    share: float,
    generator: np.random.Generator,
) -> None:
    for label in (0, 1):
        candidates = np.flatnonzero((labels == label) & (parts == TRAINING))
        chosen = generator.permutation(candidates)[: round(share * len(candidates))]
        parts[chosen] = VALIDATION


def check_partners(named: tuple[str, ...], agreed: tuple[str, ...] | None) -> None:
    """Refuse a plan whose feature parties are not those that a party agreed to.

    With a partner left out, masks would no longer hide the others' partial scores.

    Raises:
        ProtocolError: names both lists.
    """
    if agreed is not None and set(named) != set(agreed):
        raise ProtocolError(
            f"the plan is for the feature parties {', '.join(named)}, but this party agreed to "
            f"{', '.join(agreed)}; the same federation file is needed on all sides"
        )


def check_fallbacks(asked: Fallbacks, agreed: Fallbacks | None) -> None:
    """Refuse a plan with more fallbacks than a party agreed to.

    Raises:
        ProtocolError: names both.
    """
    if agreed is not None and asked != agreed:
        raise ProtocolError(
            f"the plan has fallbacks = '{asked}', but this party agreed to '{agreed}'; the same "
            "federation file is needed on all sides"
        )


@dataclass(frozen=True)
class SessionPlan:
    """One session.

    Attributes:
        session: its id, fresh for every session.
        label_party, feature_parties: names.
        alignment: 'inner' or 'label-left'.
        trainings: one after the other on the same alignment.
        split: known to the label party only, never sent.
        fallbacks: which sets of feature parties get fits of their own.
    """

    session: str
    label_party: str
    feature_parties: tuple[str, ...]
    alignment: AlignmentMode = AlignmentMode.INNER
    trainings: tuple[Training, ...] = (AdditiveSettings(),)
    split: SplitPlan = SplitPlan()
    fallbacks: Fallbacks = Fallbacks.EVERY

    def __post_init__(self) -> None:
        """Refuse a plan that nobody could follow."""
        names = (self.label_party, *self.feature_parties)
        if not self.feature_parties or len(set(names)) != len(names) or not all(names):
            raise InputError(
                f"a session needs one label party and one feature party or more, each with a name "
                f"of its own; these were given: {', '.join(names) or 'none'}"
            )
        if self.alignment not in ("inner", "label-left"):
            raise InputError(f"alignment is '{self.alignment}'; 'inner' or 'label-left' is right")
        training_names = [training.name for training in self.trainings]
        if not training_names or len(set(training_names)) != len(training_names):
            raise InputError("a session needs one training or more, each with a name of its own")
        over_bins = [map_settings(training) for training in self.trainings]
        exact_bins = {t.bins for t in over_bins if t is not None and t.label_epsilon is None}
        if len(exact_bins) > 1:
            raise InputError(
                "a session's trainings with exact sums must have the same number of bins: "
                f"differences of the sums over {' and '.join(map(str, sorted(exact_bins)))} bins "
                "would undo the floor on a bin's borrowers"
            )
        exact_grids = {
            t.pair_bins for t in over_bins if t is not None and t.label_epsilon is None and t.pairs
        }
        if len(exact_grids) > 1:
            sizes = " and ".join(map(str, sorted(exact_grids)))
            raise InputError(
                "a session's trainings with exact sums and pairs must have the same pair_bins: "
                f"differences of the sums over grids of {sizes} rows would undo the floor on a "
                "cell's borrowers"
            )

    @property
    def fits(self) -> tuple[Fit, ...]:
        """All fits, training by training, in the order in which all parties make them."""
        return tuple(
            fit
            for training in self.trainings
            for fit in fits_of(training, self.feature_parties, self.fallbacks)
        )

    def exact_at(self, key: str) -> bool:
        """Whether any training whose bins and maps go by this key has exact sums."""
        return key in self._exact_keys

    @property
    def exact_maps(self) -> int:
        """How many maps with each partner give exact sums; they share the cap on their number."""
        return len(self._exact_keys)

    @property
    def _exact_keys(self) -> set[str]:
        keys = {map_key(t) for t in self.trainings if t.label_epsilon is None}
        return {key for key in keys if key is not None}

    @property
    def domain(self) -> bytes:
        """Separates this session's hashes from any other's."""
        return alignment_domain(self.session)

    def map_context(self, alignment: str, feature_party: str, key: str) -> bytes:
        """Binds a private linear map to its alignment, pair of parties and binning.

        `alignment` is the session that made the alignment, this one or an earlier one.
        """
        return f"{alignment}\0{self.label_party}\0{feature_party}\0{key}".encode()

    def to_json(self, noise_bound: int) -> str:
        """What the partners are told; the split stays at the label party."""
        return canonical_json(
            {
                "session": self.session,
                "label_party": self.label_party,
                "feature_parties": list(self.feature_parties),
                "alignment": self.alignment,
                "trainings": [training.to_json() for training in self.trainings],
                "fallbacks": self.fallbacks,
                "noise_bound": noise_bound,
            }
        )

    @classmethod
    def from_json(cls, text: str, session: str, party: str) -> tuple[SessionPlan, int]:
        """Parse a plan that arrived; returns it and the largest label noise.

        Raises:
            ProtocolError: it is not a plan of this session that this party is a partner of.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            plan = cls(
                session=str(content["session"]),
                label_party=str(content["label_party"]),
                feature_parties=tuple(map(str, content["feature_parties"])),
                alignment=cast(AlignmentMode, content["alignment"]),
                trainings=tuple(map(training_from_json, content["trainings"])),
                fallbacks=Fallbacks(content["fallbacks"]),
            )
            noise_bound = int(content["noise_bound"])
        except RecursionError as error:
            raise ProtocolError("the session plan can't be read: nested too deeply") from error
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ProtocolError(f"the session plan can't be read: {error!r}") from error
        except InputError as error:
            raise ProtocolError(f"the session plan is not acceptable: {error}") from error
        if plan.session != session or party not in plan.feature_parties or noise_bound < 0:
            raise ProtocolError(
                f"the plan is for session '{plan.session}' with {', '.join(plan.feature_parties)}; "
                f"'{session}' with {party} among its partners is right"
            )
        return plan, noise_bound
