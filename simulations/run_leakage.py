"""What a run's boosted trainings gave away: the attack on the transcripts that its bank keeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clients.federation_file import FederationConfig
from clients.vault import load_binned, load_transcript, transcript_path
from federation.boosting.model_part import BoostedPart
from federation.boosting.settings import Disclosure
from federation.boosting.transcript import Transcript
from federation.errors import InputError
from federation.report.figures import feature_label
from federation.session.machine import Progress
from simulations.leakage import Leakage, leakage
from simulations.reconstruction import ROUNDS
from simulations.true_codes import keep_true_codes, read_true_codes

# A report's attack takes some four seconds on one core at the demo's size: one round, which finds
# nearly all that 30 trees give away, and no more features than make so many borrowers in all.
SHORT_ROUNDS = 1
SHORT_BORROWERS = 720_000

OnStep = Callable[[Progress], None]


@dataclass(frozen=True)
class RunLeak:
    """What one training gave away of one partner's bins.

    Attributes:
        training, partner: which.
        features: of the partner, with bins.
        answers: vectors that the partner answered to.
        sums: that it sent; each feature's fullest bin follows from the others.
        splits: on its features.
        split_bits: one a split and borrower of the fit.
        rounds: most rounds a feature that the attack was given.
        result: of the attack; over fewer features where a report's short attack left some out.
    """

    training: str
    partner: str
    features: int
    answers: int
    sums: int
    splits: int
    split_bits: int
    rounds: int
    result: Leakage

    @property
    def measured(self) -> bool:
        """Whether the result was compared with the true codes; else it is the attack's guess."""
        return self.result.resolved is not None

    @property
    def share(self) -> float:
        """Share of the bins' entropy that was rebuilt."""
        known = self.result.resolved
        return self.result.estimated_resolved if known is None else known

    @property
    def found(self) -> float:
        """Share of bin codes that were found."""
        known = self.result.found
        return self.result.estimated_found if known is None else known

    @property
    def how(self) -> str:
        """How it was found out, in words."""
        attacked = len(self.result.features)
        some = "all" if attacked == self.features else f"{attacked} of"
        rounds = "one round" if self.rounds == 1 else f"at most {self.rounds} rounds"
        depth = f"{rounds} of the attack" if self.rounds < ROUNDS else "the whole attack"
        compared = "against the true bins" if self.measured else "by the attack's own estimate"
        return f"{some} {self.features} features, {depth}, {compared}"

    def to_json(self) -> dict[str, Any]:
        """For the run's record and `--json`."""
        return {
            "training": self.training,
            "partner": self.partner,
            "features": self.features,
            "answers": self.answers,
            "sums": self.sums,
            "splits": self.splits,
            "split_bits": self.split_bits,
            "rounds": self.rounds,
            "measured": self.measured,
            "codes_found": self.found,
            "entropy_resolved": self.share,
            "result": self.result.to_json(),
        }


def short_leaks(
    config: FederationConfig,
    run: Path,
    trainings: list[Mapping[str, Any]],
    on_step: OnStep = lambda step: None,
) -> tuple[RunLeak, ...]:
    """A short attack on every transcript of a run whose parties all lie on this machine.

    It writes each partner's true codes into that partner's folder, for `leakage` later.

    Args:
        config: of the run.
        run: its folder.
        trainings: the label party's records.
        on_step: told how far it is.
    """
    found = []
    bank = run / config.label_party.name
    for training in trainings:
        for partner in training.get("given", {}):
            name = str(training["name"])
            if not transcript_path(bank, name, partner).is_file():
                continue
            transcript = load_transcript(bank, name, partner)
            keep_true_codes(config, run, name, partner, transcript)
            most = max(1, SHORT_BORROWERS // max(transcript.borrowers, 1))
            places = np.linspace(0, len(transcript.features) - 1, most).round().astype(int)
            some = sorted({int(place) for place in places})
            found.append(_attack(run, name, partner, transcript, some, SHORT_ROUNDS, on_step))
    return tuple(found)


def leaks_of(
    run: Path,
    training: str | None,
    rounds: int,
    on_step: OnStep = lambda step: None,
    labels: Sequence[str] = (),
) -> tuple[RunLeak, ...]:
    """The whole attack on the transcripts that a run's label party kept.

    Args:
        run: the run's folder; the label party's folder of a run will do.
        training: which; None for every boosted training with a transcript.
        rounds: most rounds a feature.
        on_step: told how far it is.
        labels: of the features to rebuild, as the run names them; none for all.

    Raises:
        InputError: no such run, training or feature, not a boosted one, or no transcript was kept.
    """
    run = run.resolve()
    if not run.is_dir():
        raise InputError(f"{run}: there is no such run; a folder of a run is right: runs/latest")
    parts = {part.training: (folder, part) for folder, part in _boosted(run)}
    wanted = [training] if training is not None else list(parts)
    if not wanted or any(name not in parts for name in wanted):
        raise InputError(_not_boosted(run, training, list(parts)))
    held = [
        (name, partner, parts[name][0])
        for name in wanted
        for partner in parts[name][1].partners
        if transcript_path(parts[name][0], name, partner).is_file()
    ]
    if not held:
        raise InputError(_no_transcript(run, wanted))
    found = []
    for place, (name, partner, folder) in enumerate(held):
        transcript = load_transcript(folder, name, partner)

        def told(step: Progress, before: int = place) -> None:
            on_step(replace(step, fraction=(before + step.fraction) / len(held)))

        some = _labelled(folder.parent, name, partner, transcript, labels)
        found.append(_attack(folder.parent, name, partner, transcript, some, rounds, told))
    return tuple(found)


def _labelled(
    run: Path, training: str, partner: str, transcript: Transcript, labels: Sequence[str]
) -> list[int]:
    """Places of the features of these labels; of all where none are named."""
    names = _public_names(run, training, partner, transcript)
    for label in labels:
        if label not in names:
            raise InputError(
                f"--feature '{label}': {partner} has no feature of this name in training "
                f"'{training}'; it has: {', '.join(names)}"
            )
    return [place for place, name in enumerate(names) if not labels or name in labels]


def _attack(
    run: Path,
    training: str,
    partner: str,
    transcript: Transcript,
    features: list[int],
    rounds: int,
    on_step: OnStep,
) -> RunLeak:
    codes = read_true_codes(run, training, partner, transcript)
    truth = None if codes is None else {feature: codes[feature] for feature in features}
    names = _public_names(run, training, partner, transcript)
    named = replace(transcript, names=names)
    result = leakage(named, truth, features, rounds=rounds, progress=on_step)
    sent = sum(len(b.vectors) * (b.sums.shape[1] - len(b.features)) for b in transcript.asked)
    splits = len(transcript.splits)
    return RunLeak(
        training,
        partner,
        len(transcript.features),
        transcript.queries,
        sent,
        splits,
        splits * transcript.borrowers,
        rounds,
        result,
    )


def _public_names(
    run: Path, training: str, partner: str, transcript: Transcript
) -> tuple[str, ...]:
    """Public labels where the partner's part lies here, else numbers, which is all a bank knows."""
    path = run / partner / f"model-{training}.json"
    labels: tuple[str | None, ...] = (None,) * len(transcript.features)
    if path.is_file():
        part = load_binned(path)
        if isinstance(part, BoostedPart) and len(part.labels) == len(labels):
            labels = part.labels
    return tuple(
        feature_label(label, number, partner) for number, label in enumerate(labels, start=1)
    )


def _boosted(run: Path) -> Iterator[tuple[Path, BoostedPart]]:
    """Folders and parts of label parties below a run, or in it: those that hold trees."""
    for path in sorted((*run.glob("model-*.json"), *run.glob("*/model-*.json"))):
        part = load_binned(path)
        if isinstance(part, BoostedPart) and part.trees:
            yield path.parent, part


def _not_boosted(run: Path, training: str | None, boosted: list[str]) -> str:
    known = sorted({path.stem[6:] for path in run.rglob("model-*") if "~" not in path.stem})
    if training is not None and training not in known:
        return f"{run}: has no training '{training}'; it has {', '.join(known) or 'none'}"
    if training is not None:
        these = f" (it has boosted ones: {', '.join(boosted)})" if boosted else ""
        return (
            f"{run}: training '{training}' is not a boosted one: no sums over a partner's bins "
            f"went to its label party, so there is nothing to rebuild them from{these}"
        )
    return (
        f"{run}: no training of this run is a boosted one (it has {', '.join(known) or 'none'}); "
        "veilscore train --model boosted makes one"
    )


def _no_transcript(run: Path, trainings: list[str]) -> str:
    names = ", ".join(f"'{name}'" for name in trainings)
    disclosed = {_disclosure(run, name) for name in trainings}
    if disclosed == {Disclosure.ORDER}:
        why = "the partners sent their bin codes, so nothing is left to rebuild"
    elif disclosed == {Disclosure.OWNER}:
        why = "its trees grew at their owners, and no sums over their bins went to the label party"
    else:
        why = (
            "one is kept where disclosure = 'bins', unless it would be larger than 256 MB (trees × "
            "2^depth × borrowers); train with fewer trees or borrowers to measure what they give "
            "away"
        )
    return f"{run}: no transcript of training {names} was kept: {why}"


def _disclosure(run: Path, training: str) -> str | None:
    """What a training disclosed, from the run's record, if it is there."""
    try:
        record = json.loads((run / "metrics.json").read_text("utf-8"))
        return str(record["trainings"][training]["settings"]["disclosure"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
