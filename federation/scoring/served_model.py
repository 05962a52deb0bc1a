"""A served model: all that the label party needs to answer with a trained model, and no more.

It holds the label party's own parts only. A model has one variant for each set of feature parties
that may answer: the first is the model itself, with all of them, the last the label party alone;
those between answer when a party is silent or does not know the borrower.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from federation.additive.model_part import ModelPart
from federation.errors import InputError
from federation.identifiers import IdentifierRule
from federation.identity import PartyPublicKey
from federation.record_chain import canonical_json
from federation.schema import FeatureKind, FeatureSpec
from federation.scoring.points import Calibration

FORMAT = "veilscore served model 1"
ALONE = "alone"


def variant_name(training: str, parties: tuple[str, ...]) -> str:
    """The name of a training's variant with only these feature parties: 'exact~lessor+platform'."""
    return f"{training}~{'+'.join(sorted(parties))}"


def alone_name(training: str, label_party: str) -> str:
    """The name of the variant without any feature party: 'exact~bank'."""
    return f"{training}~{label_party}"


@dataclass(frozen=True)
class ServedVariant:
    """One set of parties that may answer.

    Attributes:
        name: of its training; feature parties' parts go by the same name.
        parties: the feature parties, sorted; empty: the label party alone.
        part: the label party's own part.
        calibration: of the sum of all parts' points.
        auc: on the test borrowers; None where there were none.
        test_borrowers: how many.
    """

    name: str
    parties: tuple[str, ...]
    part: ModelPart
    calibration: Calibration
    auc: float | None
    test_borrowers: int


@dataclass(frozen=True)
class Development:
    """A histogram of the development sample, to measure stability against.

    Attributes:
        edges: inner edges, ascending; class i holds (edges[i-1], edges[i]].
        shares: of the development borrowers in each class (one more than edges), summing to 1.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class ServedModel:
    """What a label party serves.

    Attributes:
        run, session, training: where it comes from.
        label_party: its name.
        identifier_rule: how ids are normalised.
        pins: the feature parties' public keys, which answer for them.
        features: the label party's own, that a request must bring.
        variants: the model itself first, the label party alone last.
        development: by 'score' (of the first variant), the label party's name (its own points),
            and 'partners' (the feature parties' points together) or the only one's name.
        trained_at: ISO 8601, UTC.
        label_privacy: a sentence on how the labels were protected, with its unit and history.
    """

    run: str
    session: str
    training: str
    label_party: str
    identifier_rule: IdentifierRule
    pins: Mapping[str, PartyPublicKey]
    features: tuple[FeatureSpec, ...]
    variants: tuple[ServedVariant, ...]
    development: Mapping[str, Development] = field(default_factory=dict)
    trained_at: str = ""
    label_privacy: str = ""

    @property
    def main(self) -> ServedVariant:
        """The model itself, with all feature parties."""
        return self.variants[0]

    @property
    def alone(self) -> ServedVariant:
        """The label party without any other."""
        return self.variants[-1]

    def best_with(self, answering: frozenset[str]) -> ServedVariant:
        """The variant to answer with where only these feature parties can: the best by AUC."""
        usable = [variant for variant in self.variants if answering.issuperset(variant.parties)]
        return max(usable, key=lambda v: (len(v.parties), v.auc or 0.0))

    def to_json(self) -> str:
        """Canonical JSON."""
        content = {
            "format": FORMAT,
            "run": self.run,
            "session": self.session,
            "training": self.training,
            "label_party": self.label_party,
            "identifier_rule": self.identifier_rule,
            "pins": {party: pin.text for party, pin in self.pins.items()},
            "features": [asdict(spec) for spec in self.features],
            "variants": [
                asdict(variant) | {"part": _part_json(variant.part)} for variant in self.variants
            ],
            "development": {name: asdict(one) for name, one in self.development.items()},
            "trained_at": self.trained_at,
            "label_privacy": self.label_privacy,
        }
        return canonical_json(content)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: str) -> Self:
        """Parse and check a stored model.

        Raises:
            InputError: names `where` and what is wrong.
        """
        if content.get("format") != FORMAT:
            raise InputError(f"{where}: not a served model; its format must be '{FORMAT}'")
        try:
            model = cls(
                run=str(content["run"]),
                session=str(content["session"]),
                training=str(content["training"]),
                label_party=str(content["label_party"]),
                identifier_rule=IdentifierRule(content["identifier_rule"]),
                pins={
                    str(party): PartyPublicKey.from_text(str(text), f"{where}, pin of {party}")
                    for party, text in content["pins"].items()
                },
                features=tuple(_spec(values) for values in content["features"]),
                variants=tuple(_variant(values, where) for values in content["variants"]),
                development={
                    str(name): Development(
                        tuple(map(float, one["edges"])), tuple(map(float, one["shares"]))
                    )
                    for name, one in content["development"].items()
                },
                trained_at=str(content["trained_at"]),
                label_privacy=str(content["label_privacy"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(f"{where}: the served model is damaged ({error!r})") from error
        model._check(where)
        return model

    def _check(self, where: str) -> None:
        names = [variant.name for variant in self.variants]
        if not names or len(set(names)) != len(names) or self.alone.parties:
            raise InputError(
                f"{where}: the served model is damaged (it needs variants with names of their own, "
                "the label party alone last)"
            )
        if set(self.main.parties) != set(self.pins):
            raise InputError(
                f"{where}: the served model is damaged (its pins are not those of its parties)"
            )
        known = {spec.name for spec in self.features}
        for variant in self.variants:
            numbers = (variant.calibration.intercept, variant.calibration.slope)
            used = {binning.feature for binning in variant.part.binnings}
            if (
                not set(variant.parties) <= set(self.pins)
                or variant.parties != tuple(sorted(variant.parties))
                or not all(map(math.isfinite, numbers))
                or not variant.calibration.slope > 0  # or the riskiest would score best
                or not used <= known
                or variant.part.session != self.session
            ):
                raise InputError(f"{where}: variant '{variant.name}' of the model is damaged")
        for name, one in self.development.items():
            if len(one.shares) != len(one.edges) + 1 or list(one.edges) != sorted(one.edges):
                raise InputError(f"{where}: the development sample of '{name}' is damaged")


def _part_json(part: ModelPart) -> Any:
    return json.loads(part.to_json())


def _spec(values: Mapping[str, Any]) -> FeatureSpec:
    content = dict(values)
    minimum, maximum, label = content["minimum"], content["maximum"], content["label"]
    return FeatureSpec(
        name=str(content["name"]),
        kind=FeatureKind(content["kind"]),
        unit=str(content["unit"]),
        missing_codes=tuple(
            code if isinstance(code, str) else float(code) for code in content["missing_codes"]
        ),
        minimum=None if minimum is None else float(minimum),
        maximum=None if maximum is None else float(maximum),
        label=None if label is None else str(label),
        categories=tuple(map(str, content["categories"])),
    )


def _variant(values: Mapping[str, Any], where: str) -> ServedVariant:
    calibration, auc = values["calibration"], values["auc"]
    return ServedVariant(
        name=str(values["name"]),
        parties=tuple(map(str, values["parties"])),
        part=ModelPart.from_json(values["part"], where),
        calibration=Calibration(float(calibration["intercept"]), float(calibration["slope"])),
        auc=None if auc is None else float(auc),
        test_borrowers=int(values["test_borrowers"]),
    )
