"""From a run's figures to the report's input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clients.vault import Vault, load_part
from federation.boosting.settings import Disclosure
from federation.metrics import stability
from federation.privacy.events import Exact, Unit
from federation.privacy.history import PrivacyHistory
from federation.privacy.ledger import expenditure_of
from federation.report.figures import (
    DisclosedMessages,
    FeatureImportance,
    LedgerLine,
    ModelRole,
    ModelRow,
    PartyDisclosure,
    PartyImportance,
    PartyProcess,
    PrivacySpend,
    ReportInput,
    RoundPoint,
    StageSeconds,
    TrainingCourse,
    model_curves,
)
from federation.report.giveaway import Rebuilt, TrainingGiveaway
from federation.report.shapes import shapes_of
from federation.vertical.plain_words import direction
from federation.vertical.trainings import BLIND, BOOSTED, SPLIT
from simulations.run_importance import importance_measure, importances
from simulations.run_record import (
    ALONE,
    COORDINATOR,
    POOLED,
    RunFigures,
    giveaways,
    sent_by_kind,
    words_by_party,
)

SHOWN_SHAPES = 6


def report_input(figures: RunFigures, run_folder: Path) -> ReportInput:
    """Everything the report shows."""
    bank = figures.summaries[figures.label_party]
    partners = ", ".join(party.name for party in figures.config.feature_parties)
    labels = figures.labels
    main = figures.main_training
    curves = [
        model_curves(_model_name(figures, name), role, labels, figures.probabilities[name])
        for name, role in (
            (main, ModelRole.FEDERATED),
            (ALONE, ModelRole.LABEL_PARTY_ALONE),
            (POOLED, ModelRole.POOLED),
        )
        if name in figures.probabilities
    ]
    leading = next(t for t in figures.trainings if t["name"] == main)
    kinds = {str(t["kind"]) for t in figures.trainings}
    boosted = {Disclosure(t["settings"]["disclosure"]) for t in _boosted(figures)}
    return ReportInput(
        title=f"Default model of {figures.label_party} with {partners}",
        run_id=figures.run,
        created=figures.created,
        data_note=figures.data_note,
        simulated=figures.simulated,
        training_borrowers=int(bank["counts"]["training"]) + int(bank["counts"]["validation"]),
        test_borrowers=len(labels),
        test_default_rate=float(labels.mean()),
        models=tuple(_models(figures)),
        curves=tuple(curves),
        importance=tuple(
            PartyImportance(party, tuple(FeatureImportance(name, value) for name, value in items))
            for party, items in importances(figures, run_folder).items()
        ),
        importance_measure=importance_measure(figures),
        direction=direction(kinds, boosted),
        disclosures=tuple(_disclosures(figures)),
        ledger=tuple(_ledger(figures)),
        rounds=_rounds(leading),
        step=_step(leading),
        courses=tuple(_course_of(t) for t in _boosted(figures) if t["name"] != main),
        giveaways=tuple(_giveaways(figures)),
        label_party=figures.label_party,
        stages=tuple(StageSeconds(name, value) for name, value in figures.seconds.items()),
        transport=figures.transport,
        processes=tuple(
            PartyProcess(name, int(s["process"])) for name, s in figures.summaries.items()
        ),
        stability=stability(figures.fit_probabilities[main], figures.probabilities[main]),
        shapes=()
        if figures.main_kind in (SPLIT, BOOSTED)
        else tuple(
            shapes_of(
                load_part(run_folder / figures.label_party / f"model-{main}.json"), SHOWN_SHAPES
            )
        ),
    )


def _model_name(figures: RunFigures, name: str) -> str:
    if name == ALONE:
        return f"{figures.label_party} alone"
    if name == POOLED:
        return "Same model, pooled plaintext"
    if name == figures.main_training:
        return "Federated"
    return f"Federated, {name}"


def _course(training: Mapping[str, Any]) -> str:
    count, noise = len(training["rounds"]), training["label_noise"]
    if training["kind"] == SPLIT:
        protected = "true labels' gradients" if noise is None else "labels flipped once"
        return f"split network, {count} exchanges, {protected}"
    if training["kind"] == BOOSTED:
        settings = training["settings"]
        return f"{count} trees of depth {settings['depth']}, disclosure '{settings['disclosure']}'"
    model = "frozen encoder, " if training["kind"] == BLIND else ""
    return f"{model}{count} rounds, {'exact sums' if noise is None else 'label noise'}"


def _boosted(figures: RunFigures) -> list[Mapping[str, Any]]:
    return [training for training in figures.trainings if training["kind"] == BOOSTED]


def _step(training: Mapping[str, Any]) -> str:
    return "tree" if training["kind"] == BOOSTED else "round"


def _rounds(training: Mapping[str, Any]) -> tuple[RoundPoint, ...]:
    return tuple(
        RoundPoint(
            figure["number"],
            figure["validation_auc"],
            figure["training_loss"],
            figure.get("validation_log_loss"),
        )
        for figure in training["rounds"]
    )


def _course_of(training: Mapping[str, Any]) -> TrainingCourse:
    """A boosted training's course, and whose splits its trees have."""
    splits: Counter[str] = Counter()
    for figure in training["rounds"]:
        splits.update(figure.get("splits", {}))
    kept = f"{training['best_round']} of {len(training['rounds'])} trees are in the model"
    note = f"{kept}. Splits by party: " + ", ".join(f"{p} {n}" for p, n in sorted(splits.items()))
    name = f"Training '{training['name']}', {_course(training)}"
    return TrainingCourse(name, _step(training), _rounds(training), f"{note}.")


def _giveaways(figures: RunFigures) -> list[TrainingGiveaway]:
    found = []
    for name, one in giveaways(figures).items():
        training = next(t for t in figures.trainings if t["name"] == name)
        found.append(
            TrainingGiveaway(
                _model_name(figures, name),
                _role(figures, training),
                figures.comparisons[name].metrics.auc,
                one.sentence,
                one.of_features,
                one.of_labels,
                one.numbers,
                tuple(Rebuilt(*each) for each in one.rebuilt),
                one.not_rebuilt,
            )
        )
    return found


def _role(figures: RunFigures, training: Mapping[str, Any]) -> ModelRole:
    """A training's role: the leading one's, or what sets it apart from that."""
    if training["name"] == figures.main_training and training["label_noise"] is None:
        return ModelRole.FEDERATED
    if training["label_noise"] is not None:
        return ModelRole.FEDERATED_PRIVATE
    return ModelRole.FEDERATED_OTHER


def _models(figures: RunFigures) -> list[ModelRow]:
    rows = []
    for training in figures.trainings:
        name = training["name"]
        comparison = figures.comparisons[name]
        noise = training["label_noise"]
        spend = None
        if noise is not None:
            spend = PrivacySpend(
                float(noise["epsilon"]),
                float(noise["delta"]),
                "one borrower's label",
                "this training alone; the ledger has the history",
            )
        rows.append(
            ModelRow(
                _model_name(figures, name),
                _role(figures, training),
                comparison.metrics,
                _course(training),
                comparison.difference.auc,
                spend,
            )
        )
    rest = [(ALONE, ModelRole.LABEL_PARTY_ALONE), (POOLED, ModelRole.POOLED)]
    rest += [(name, ModelRole.BASELINE) for name in figures.baselines]
    for name, role in rest:
        if name not in figures.comparisons:
            continue
        comparison = figures.comparisons[name]
        note = "pooled plaintext, for comparison" if role is ModelRole.BASELINE else ""
        title = name if role is ModelRole.BASELINE else _model_name(figures, name)
        gain = None if name == ALONE else comparison.difference.auc
        rows.append(ModelRow(title, role, comparison.metrics, note, gain))
    return rows


def _disclosures(figures: RunFigures) -> list[PartyDisclosure]:
    parts = dict.fromkeys(figures.summaries, "feature party")
    parts |= {figures.label_party: "label party", COORDINATOR: "carries sealed messages"}
    return [
        PartyDisclosure(
            party=party,
            part=parts[party],
            sent=tuple(
                DisclosedMessages(kind, messages, size, to)
                for kind, to, messages, size in sent_by_kind(figures.disclosures.get(party, ()))
            ),
            learned=words.learned,
            could_reconstruct=words.could_reconstruct,
            never_saw=words.never_saw,
        )
        for party, words in words_by_party(figures).items()
    ]


def _ledger(figures: RunFigures) -> list[LedgerLine]:
    """The label party's ledger, oldest first; every ε with the history up to that line."""
    manifest = figures.config.party(figures.label_party).manifest
    vault = Vault(manifest.parent / "vault")
    delta = float(figures.trainings[0]["settings"]["label_delta"])
    noisy: dict[tuple[Unit, str], PrivacyHistory] = {}
    lines = []
    for number, entry in enumerate(vault.ledger(), start=1):
        spent = expenditure_of(entry, str(vault.ledger_path))
        privacy = None
        if not isinstance(spent.event, Exact):
            key = (spent.unit, str(entry.body["dataset"]))
            noisy[key] = noisy.get(key, PrivacyHistory(spent.unit)).after(spent.event)
            privacy = PrivacySpend(
                noisy[key].epsilon(delta),
                delta,
                spent.unit.value,
                f"noisy releases up to line {number} of this ledger; exact ones have no ε",
            )
        recorded = datetime.fromisoformat(str(entry.body["time"])).astimezone(UTC)
        lines.append(
            LedgerLine(
                figures.label_party,
                recorded,
                f"{spent.what} ({spent.run})",
                privacy,
            )
        )
    return lines
