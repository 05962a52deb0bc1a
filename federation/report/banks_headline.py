"""The head of the report of several banks, and the banks beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from federation.metrics import Estimate
from federation.report.banks_figures import BankResult, BanksReport, LeftOut
from federation.report.figures import ModelRole
from federation.report.headline import (
    READING,
    Scale,
    estimate,
    facts_box,
    first_of,
    models_table,
    pooled_words,
    size,
    strip,
    swatch,
)
from federation.report.markup import Html, bullets, element, place, row, table

_TOGETHER = (
    "Metrics are of all banks' test borrowers together; gains are within banks: over pairs of "
    "borrowers of the same bank, since scores of different networks in one ranking also tell the "
    "banks apart. All figures are exact: an ε is about the model, not about this page."
)


def bank_summary_section(report: BanksReport) -> Html:
    """Summary sentence, what protects the borrowers, key facts and headline table."""
    return element(
        "section",
        element("h2", "Result"),
        element("p", *_sentence(report), class_="summary"),
        element("p", *_protection(report), class_="summary"),
        _facts(report),
        models_table(report.models, "each bank alone, within banks"),
        element("p", READING, " ", _TOGETHER, class_="hint"),
        id="result",
    )


def _sentence(report: BanksReport) -> list[str]:
    federated = first_of(report.models, ModelRole.FEDERATED)
    if federated is None:
        return ["This run holds no federated model to summarise."]
    parts: list[str] = [
        f"On {report.test_borrowers:,} test borrowers of {len(report.banks)} banks the federated "
        "network reaches an ",
        element("strong", f"AUC of {federated.metrics.auc}"),
        f" and a KS of {federated.metrics.ks}",
    ]
    parts += [".", *pooled_words(report.models)]
    within = report.within
    if within.federated is not None and within.alone is not None:
        parts.append(
            f" Among borrowers of the same bank, its AUC is {within.federated}; that of each "
            f"bank's own network is {within.alone}"
        )
        if within.gain is not None:
            parts.append(
                f", a paired difference of {within.gain.value:+.3f} {within.gain.interval}"
            )
        parts.append(".")
    return parts


def _protection(report: BanksReport) -> list[str]:
    if not report.guarantees:
        return [
            element("strong", "No differential privacy."),
            " Banks' updates are hidden from each other and from the coordinator; their exact "
            "sums, and the model, can tell of single borrowers.",
        ]
    parts: list[str] = [element("strong", "Differential privacy of the model:")]
    for spend in report.guarantees:
        parts.append(f" {spend}.")
    return [*parts, " Updates are added up encrypted all the same."]


def _facts(report: BanksReport) -> Html:
    trained = sum(bank.training_borrowers for bank in report.banks)
    left_out = f", {len(report.left_out)} left out" if report.left_out else ""
    volume = sum(work.bytes_sent + work.bytes_received for work in report.work)
    seconds = sum(stage.seconds for stage in report.stages)
    return facts_box(
        (
            (f"{trained:,}", "training borrowers"),
            (
                f"{report.test_borrowers:,}",
                f"test borrowers, {report.test_default_rate:.1%} defaulted",
            ),
            (f"{len(report.banks)}", f"banks to the end{left_out}"),
            (f"{report.course.rounds}", f"training rounds of {report.network}"),
            (size(volume), f"exchanged in {report.messages:,} messages"),
            (f"{seconds:.1f} s", "all stages together"),
        )
    )


def banks_section(
    banks: Sequence[BankResult], within: BankResult, left_out: Sequence[LeftOut]
) -> Html:
    """Who took part and what each gained, who was left out and why."""
    readers: dict[str, list[str]] = {}
    for bank in banks:
        for note in bank.notes:
            readers.setdefault(note, []).append(bank.name)
    notes = [f"{', '.join(names)}: {note}" for note, names in readers.items()]
    return element(
        "section",
        element("h2", "The banks"),
        _banks_table(banks, within),
        element(
            "p",
            "Each bank's own test borrowers, ranked by the network of all banks and by one trained "
            "on its own borrowers only. Few defaults make wide intervals. Within banks: the mean "
            "over the banks, weighted by their pairs of a borrower who defaulted and one who did "
            "not.",
            class_="hint",
        ),
        element("h3", "Left out"),
        bullets(f"{one.bank}: {one.reason}" for one in left_out)
        if left_out
        else element("p", "No bank: all that the federation names took part to the end."),
        *([element("h3", "How rows were read"), bullets(notes)] if notes else []),
        id="banks",
    )


def _banks_table(banks: Sequence[BankResult], within: BankResult) -> Html:
    everybody = (*banks, within)
    pairs = ((one.federated, one.alone) for one in everybody)
    areas = [area for pair in pairs for area in pair if area is not None]
    if not areas:
        rows = [row(_counts(one), numeric=(1, 2, 3)) for one in banks]
        return table(_COUNTED, rows, numeric=(1, 2, 3), class_="narrow")
    scale = Scale.around(areas)
    header = (
        *_COUNTED,
        place(swatch(ModelRole.FEDERATED), "AUC, federated"),
        place(swatch(ModelRole.BANKS_ALONE), "AUC, alone"),
        scale.title,
        "AUC gained",
    )
    numeric = (1, 2, 3, 4, 5, 7)
    rows = [
        row(
            (
                *_counts(one),
                _shown(one.federated),
                _shown(one.alone),
                _strip(scale, one),
                _shown(one.gain, signed=True),
            ),
            numeric,
            class_="total" if one is within else "",
        )
        for one in everybody
    ]
    return table(header, rows, numeric, class_="banks")


_COUNTED = ("Bank", "training borrowers", "test borrowers", "of which defaulted")


def _counts(bank: BankResult) -> tuple[str, str, str, str]:
    rate = "–" if bank.test_default_rate is None else f"{bank.test_default_rate:.1%}"
    return bank.name, f"{bank.training_borrowers:,}", f"{bank.test_borrowers:,}", rate


def _shown(value: Estimate | None, signed: bool = False) -> str:
    return "–" if value is None else estimate(value, signed=signed)


def _strip(scale: Scale, bank: BankResult) -> Html:
    pairs = ((ModelRole.FEDERATED, bank.federated), (ModelRole.BANKS_ALONE, bank.alone))
    measured = [(role, area) for role, area in pairs if area is not None]
    return strip(scale, measured) if measured else Html("–")
