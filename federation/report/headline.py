"""The head of a report: one sentence, the run's key facts, and the table of models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from federation.metrics import Estimate
from federation.report.figures import ModelRole, ModelRow, ReportInput
from federation.report.markup import Html, element, place, row, table
from federation.report.plots import MODEL_COLOURS, MODEL_DASHES

_POOLED_ROLES = (ModelRole.POOLED, ModelRole.BASELINE)
ALONE_ROLES = (ModelRole.LABEL_PARTY_ALONE, ModelRole.BANKS_ALONE)
READING = (
    "In brackets: 95% bootstrap interval over the test borrowers. Differences are paired: both "
    "models are measured on the same resamples. Higher AUC and KS are better, a lower log-loss is "
    "better."
)
_STRIP_WIDTH = 150


def swatch(role: ModelRole) -> Html:
    """A short line in the colour and dashes of a role, for tables and legends."""
    dashes = " ".join(f"{length:g}" for length in MODEL_DASHES[role])
    line = element(
        "line",
        x1="0",
        y1="5",
        x2="22",
        y2="5",
        stroke=MODEL_COLOURS[role],
        stroke_width="3",
        **({"stroke_dasharray": dashes} if dashes else {}),
    )
    return element("svg", line, viewBox="0 0 22 10", class_="swatch", aria_hidden="true")


def estimate(value: Estimate, signed: bool = False) -> Html:
    """'0.768 [0.754, 0.782]' with the interval set quieter."""
    text = f"{value.value:+.3f}" if signed else f"{value.value:.3f}"
    return place(text, " ", element("span", value.interval, class_="interval"))


def size(size_bytes: int) -> str:
    """Bytes in the largest decimal unit that leaves a number above one: '12.4 MB'."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes} B"


def summary_section(report: ReportInput) -> Html:
    """Summary sentence, key facts and headline table."""
    return element(
        "section",
        element("h2", "Result"),
        element("p", *_sentence(report), class_="summary"),
        _facts(report),
        models_table(report.models, "label party alone"),
        element("p", READING, class_="hint"),
        id="result",
    )


def first_of(models: Iterable[ModelRow], role: ModelRole) -> ModelRow | None:
    return next((model for model in models if model.role == role), None)


def _sentence(report: ReportInput) -> list[str]:
    federated = first_of(report.models, ModelRole.FEDERATED)
    if federated is None:
        return ["This run holds no federated model to summarise."]
    parts: list[str] = [
        f"On {report.test_borrowers:,} test borrowers the federation reaches an ",
        element("strong", f"AUC of {federated.metrics.auc}"),
        f" and a KS of {federated.metrics.ks}",
    ]
    alone = first_of(report.models, ModelRole.LABEL_PARTY_ALONE)
    if alone is not None:
        parts.append(f"; the label party alone reaches an AUC of {alone.metrics.auc}")
    if federated.auc_gain is not None:
        gain = federated.auc_gain
        parts.append(f", a paired difference of {gain.value:+.3f} {gain.interval}")
    parts.append(".")
    private = first_of(report.models, ModelRole.FEDERATED_PRIVATE)
    if private is not None and private.privacy is not None:
        parts.append(
            f" With label noise at {private.privacy}, the AUC is {private.metrics.auc.value:.3f}."
        )
    return [*parts, *pooled_words(report.models)]


def pooled_words(models: Sequence[ModelRow]) -> list[str]:
    """What pooling all rows would have reached; nothing where nobody measured it."""
    parts = []
    pooled = first_of(models, ModelRole.POOLED)
    baselines = [model for model in models if model.role == ModelRole.BASELINE]
    if pooled is not None:
        parts.append(
            f" Pooling all rows in plaintext would reach {pooled.metrics.auc.value:.3f} with "
            "the same kind of model"
        )
        if baselines:
            best = max(baselines, key=lambda model: model.metrics.auc.value)
            parts.append(
                f", and {best.metrics.auc.value:.3f} with the best other kind ({best.name})"
            )
        parts.append(".")
    return parts


def _facts(report: ReportInput) -> Html:
    sent = [line for party in report.disclosures for line in party.sent]
    seconds = sum(stage.seconds for stage in report.stages)
    rounds = max((point.round for point in report.rounds), default=0)
    facts = (
        (f"{report.training_borrowers:,}", "training borrowers"),
        (f"{report.test_borrowers:,}", f"test borrowers, {report.test_default_rate:.1%} defaulted"),
        (f"{len(report.disclosures)}", "parties"),
        (f"{rounds}", "training rounds" if report.step == "round" else f"{report.step}s"),
        (
            size(sum(line.size_bytes for line in sent)),
            f"exchanged in {sum(line.messages for line in sent):,} messages",
        ),
        (f"{seconds:.1f} s", "all stages together"),
    )
    return facts_box(facts)


def facts_box(facts: Iterable[tuple[str, str]]) -> Html:
    """Key facts side by side: (value, what it is)."""
    return element(
        "dl",
        *(
            element("div", element("dt", name), element("dd", value, class_="figure"))
            for value, name in facts
        ),
        class_="facts",
    )


@dataclass(frozen=True)
class Scale:
    """The stretch of AUC that all strips of a table show."""

    low: float
    high: float

    @classmethod
    def around(cls, areas: Sequence[Estimate]) -> Scale:
        """All intervals, with a little room."""
        low, high = min(area.low for area in areas), max(area.high for area in areas)
        room = max(0.04 * (high - low), 0.002)
        return cls(low - room, high + room)

    @property
    def title(self) -> Html:
        """Of the strips' column, with the scale's ends."""
        return place(
            element("span", f"{self.low:.2f}", class_="from"),
            "AUC, 95%",
            element("span", f"{self.high:.2f}", class_="to"),
        )

    def position(self, value: float) -> str:
        """Where a value lies on a strip."""
        return f"{(value - self.low) / (self.high - self.low) * _STRIP_WIDTH:.1f}"


def models_table(models: Sequence[ModelRow], reference: str) -> Html:
    """The headline table; gains of AUC are over the `reference`."""
    if not models:
        return element("p", "No model was measured.")
    scale = Scale.around([model.metrics.auc for model in models])
    groups = (
        ("Without pooling rows", [m for m in models if m.role not in _POOLED_ROLES]),
        (
            "All rows pooled in plaintext, for comparison only",
            [m for m in models if m.role in _POOLED_ROLES],
        ),
    )
    header: list[str] = [
        "Model",
        "AUC",
        scale.title,
        f"AUC gained over {reference}",
        "KS",
        "log-loss (nats)",
    ]
    rows = []
    for title, members in groups:
        if members:
            rows.append(
                element(
                    "tr",
                    element("th", title, colspan=str(len(header)), scope="rowgroup"),
                    class_="group",
                )
            )
            rows += [_model(member, scale) for member in members]
    return table(header, rows, numeric=(1, 3, 4, 5), class_="models")


def _model(model: ModelRow, scale: Scale) -> Html:
    notes = [model.note] if model.note else []
    if model.privacy is not None:
        notes.append(f"label noise: {model.privacy}")
    name = place(
        element("span", swatch(model.role), element("span", model.name), class_="name"),
        *(element("span", note, class_="note") for note in notes),
    )
    metrics = model.metrics
    return row(
        (
            name,
            estimate(metrics.auc),
            strip(scale, [(model.role, metrics.auc)]),
            "–" if model.auc_gain is None else estimate(model.auc_gain, signed=True),
            estimate(metrics.ks),
            estimate(metrics.log_loss),
        ),
        numeric=(1, 3, 4, 5),
        class_="lead" if model.role == ModelRole.FEDERATED else "",
    )


def strip(scale: Scale, areas: Sequence[tuple[ModelRole, Estimate]]) -> Html:
    """Dots and their intervals on the scale that all rows share, one model below the other."""
    height = 18 * len(areas)
    lines = []
    for i, (role, area) in enumerate(areas):
        colour, y = MODEL_COLOURS[role], str(9 + 18 * i)
        lines += [
            element("line", x1="0", y1=y, x2=str(_STRIP_WIDTH), y2=y, stroke="#e3e7eb"),
            element(
                "line",
                x1=scale.position(area.low),
                y1=y,
                x2=scale.position(area.high),
                y2=y,
                stroke=colour,
                stroke_width="2",
            ),
            element("circle", cx=scale.position(area.value), cy=y, r="4", fill=colour),
        ]
    tall = {"style": f"height:{height}px"} if len(areas) > 1 else {}
    return element(
        "svg",
        *lines,
        viewBox=f"0 0 {_STRIP_WIDTH} {height}",
        class_="strip",
        aria_hidden="true",
        **tall,
    )
