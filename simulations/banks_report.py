"""From a horizontal run's figures to its report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from clients.vault import write_private
from federation.horizontal.plain_words import bank_words, coordinator_words
from federation.horizontal.plan import HorizontalPlan
from federation.privacy import CLIENT, RECORD
from federation.record_chain import Entry
from federation.report.banks_figures import (
    BankResult,
    BanksReport,
    BankWork,
    LeftOut,
)
from federation.report.figures import (
    DisclosedMessages,
    ModelCurves,
    ModelRole,
    ModelRow,
    PartyDisclosure,
    PrivacySpend,
    StageSeconds,
    model_curves,
)
from federation.vertical.plain_words import PartyWords
from simulations.banks_baselines import ALONE, POOLED
from simulations.banks_checks import COORDINATOR
from simulations.banks_course import aggregation_of, course_of
from simulations.banks_ledger import ledger_of
from simulations.banks_record import FEDERATED, BanksFigures
from simulations.run_record import sent_by_kind
from simulations.within_banks import WithinBanks

ROLES = {
    FEDERATED: ModelRole.FEDERATED,
    ALONE: ModelRole.BANKS_ALONE,
    POOLED: ModelRole.POOLED,
}
NAMES = {
    FEDERATED: "Federated",
    ALONE: "Each bank alone",
    POOLED: "Same network, pooled plaintext",
}
NOTES = {
    ALONE: "the networks' scores in one ranking, without privacy; it also tells banks apart",
    POOLED: "for comparison; no privacy",
}


# Where each bank's own scores rank all banks' borrowers so much better or worse than those of one
# bank, curves over all of them say how far the banks differ, not how good the scores are.
DRAWN_APART = 0.02


def write_banks_report(figures: BanksFigures, folder: Path) -> None:
    """Write `report.html` into a run's folder.

    Raises:
        InputError: a bank's privacy ledger was changed by hand.
    """
    from federation.report.banks_render import render_banks

    write_private(folder / "report.html", render_banks(report_input(figures)).encode())


def report_input(figures: BanksFigures) -> BanksReport:
    """Everything the report shows.

    Raises:
        InputError: a bank's privacy ledger was changed by hand.
    """
    plan = figures.plan
    within = figures.within
    return BanksReport(
        title=f"Default model of {len(figures.summaries)} banks",
        run_id=figures.run,
        created=figures.created,
        data_note=figures.config.note or str(figures.config.path.name),
        simulated=figures.config.simulated,
        network=f"{'an' if plan.settings.architecture == 'mlp' else 'a'} "
        f"{plan.settings.architecture.upper()}",
        guarantees=tuple(_guarantees(plan)),
        models=tuple(_models(figures, within)),
        curves=tuple(_curves(figures, within)),
        banks=tuple(_banks(figures, within)),
        within=BankResult(
            "Within banks",
            sum(int(summary["training_rows"]) for summary in figures.summaries.values()),
            len(figures.labels),
            float(figures.labels.mean()),
            within.auc(FEDERATED),
            within.auc(ALONE),
            within.gain(FEDERATED),
        ),
        left_out=tuple(LeftOut(bank, reason) for bank, reason in figures.excluded.items()),
        test_default_rate=float(figures.labels.mean()),
        sent=tuple(
            PartyDisclosure(bank, "bank", _sent(entries), ())
            for bank, entries in figures.disclosures.items()
        ),
        sides=tuple(_sides(figures)),
        messages=figures.messages,
        course=course_of(figures),
        aggregation=aggregation_of(figures),
        ledgers=tuple(ledger_of(figures, bank) for bank in figures.summaries),
        stages=tuple(StageSeconds(name, value) for name, value in figures.seconds.items()),
        work=tuple(
            BankWork(
                bank,
                int(summary["process"]),
                float(summary["seconds"]),
                float(summary["peak_rss_mb"]),
                figures.bytes_up.get(bank, 0),
                figures.bytes_down.get(bank, 0),
            )
            for bank, summary in figures.summaries.items()
        ),
    )


def _guarantees(plan: HorizontalPlan) -> Iterable[PrivacySpend]:
    settings = plan.settings
    scope = "this run alone; each bank's ledger has the history"
    if settings.record_epsilon is not None:
        yield PrivacySpend(settings.record_epsilon, settings.record_delta, RECORD.value, scope)
    if plan.client_epsilon is not None:
        against = "against one curious bank; " + scope
        yield PrivacySpend(plan.client_epsilon, plan.client_delta, CLIENT.value, against)


def _models(figures: BanksFigures, within: WithinBanks) -> Iterable[ModelRow]:
    settings = figures.plan.settings
    privacy = ["DP-SGD at each bank"] * (settings.record_epsilon is not None)
    privacy += ["noisy sums"] * (figures.plan.client_epsilon is not None)
    course = [
        f"{settings.architecture.upper()}, {figures.first['rounds']} rounds",
        *(privacy or ["no differential privacy"]),
        "encrypted sums",
    ]
    for name, role in ROLES.items():
        if name not in figures.comparisons:
            continue
        yield ModelRow(
            NAMES[name],
            role,
            figures.comparisons[name].metrics,
            NOTES.get(name, ", ".join(course))
            + ("" if _is_drawn(name, figures, within) else "; for that reason not drawn below"),
            within.gain(name),
        )


def _curves(figures: BanksFigures, within: WithinBanks) -> Iterable[ModelCurves]:
    for name, role in ROLES.items():
        if name in figures.probabilities and _is_drawn(name, figures, within):
            yield model_curves(NAMES[name], role, figures.labels, figures.probabilities[name])


def _is_drawn(name: str, figures: BanksFigures, within: WithinBanks) -> bool:
    if name != ALONE:
        return True
    among, together = within.auc(name), figures.comparisons[name].metrics.auc
    return among is not None and abs(together.value - among.value) <= DRAWN_APART


def _banks(figures: BanksFigures, within: WithinBanks) -> Iterable[BankResult]:
    for (bank, summary), rows, compared in zip(
        figures.summaries.items(), within.rows, within.compared, strict=True
    ):
        labels = figures.labels[rows]
        home = f"{figures.config.party(bank).manifest.parent.resolve()}/"
        alone, federated = compared.get(ALONE), compared.get(FEDERATED)
        yield BankResult(
            bank,
            int(summary["training_rows"]),
            len(labels),
            float(labels.mean()) if len(labels) else None,
            federated.metrics.auc if federated else None,
            alone.metrics.auc if alone else None,
            federated.difference.auc if federated and alone else None,
            # Where the bank's files lie is nobody's business.
            tuple(str(note).replace(home, "") for note in summary["notes"]),
        )


def _sent(entries: Sequence[Entry]) -> tuple[DisclosedMessages, ...]:
    return tuple(
        DisclosedMessages(kind, messages, size, to)
        for kind, to, messages, size in sent_by_kind(entries)
    )


def _sides(figures: BanksFigures) -> Iterable[PartyDisclosure]:
    banks, rounds = len(figures.summaries), int(figures.first["rounds"])

    def side(name: str, part: str, words: PartyWords) -> PartyDisclosure:
        return PartyDisclosure(
            name, part, (), words.learned, words.could_reconstruct, words.never_saw
        )

    yield side("Every bank", "of the others", bank_words(figures.plan, banks, rounds))
    words = coordinator_words(figures.plan, tuple(figures.excluded))
    yield side(f"The {COORDINATOR}", "holds no key", words)
