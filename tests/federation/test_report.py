"""The report: well-formed, self-contained, escaped, and showing the numbers it was given."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import InputError
from federation.metrics import Estimate, MetricEstimates, stability
from federation.report import (
    DisclosedMessages,
    FeatureImportance,
    LedgerLine,
    ModelRole,
    ModelRow,
    PartyDisclosure,
    PartyImportance,
    PartyProcess,
    PrivacySpend,
    Rebuilt,
    ReportInput,
    RoundPoint,
    ShapeFunction,
    StageSeconds,
    TrainingCourse,
    TrainingGiveaway,
    feature_label,
    model_curves,
    render,
)
from federation.report.render import SECTIONS

VOID = {"meta", "br"}
TAGS = {
    "html", "head", "meta", "title", "style", "body", "header", "nav", "main", "footer", "section",
    "article", "h1", "h2", "h3", "h4", "p", "a", "ul", "li", "dl", "dt", "dd", "div", "span", "i",
    "strong", "code", "table", "caption", "thead", "tbody", "tr", "th", "td", "figure",
    "figcaption", "svg", "defs", "g", "path", "use", "text", "clippath", "rect", "line", "circle",
}  # fmt: skip


class Document(HTMLParser):
    """Parses a page, and fails at a tag that is unexpected, not closed or closed out of turn."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.tags: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note ids and links."""
        assert tag in TAGS, f"unexpected tag {tag}"
        self.tags.append(tag)
        for name, value in attributes:
            assert not name.startswith("on"), f"event handler {name}"
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "action"):
                self.links.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """A self-closed SVG element."""
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect visible text."""
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        """All visible text with single spaces."""
        return re.sub(r"\s+", " ", "".join(self.words))


def estimates(area: float) -> MetricEstimates:
    """Metrics around an AUC, each with an interval of its own."""
    return MetricEstimates(
        Estimate(area, area - 0.014, area + 0.014),
        Estimate(2 * area - 1, 2 * area - 1.028, 2 * area - 0.972),
        Estimate(0.412, 0.389, 0.441),
        Estimate(0.436, 0.421, 0.452),
        Estimate(0.137, 0.131, 0.143),
    )


RNG = np.random.default_rng(11)
LABELS = (RNG.random(600) < 0.22).astype(np.int64)
SCORES = 1 / (1 + np.exp(-(RNG.normal(size=600) + 1.2 * LABELS - 1.5)))
MOMENT = datetime(2025, 6, 3, 9, 41, 12, tzinfo=UTC)
SPEND = PrivacySpend(1.9973, 1e-5, "one borrower's label", "this run only")


def example(word: str = "plain") -> ReportInput:
    """A full report; `word` goes into every place where a party or a user chose the text."""
    return ReportInput(
        title=f"Default model {word}",
        run_id=f"run-{word}",
        created=MOMENT,
        data_note=f"Real data {word}",
        simulated=False,
        training_borrowers=24_000,
        test_borrowers=600,
        test_default_rate=float(LABELS.mean()),
        models=(
            ModelRow(
                f"Federation {word}",
                ModelRole.FEDERATED,
                estimates(0.768),
                f"note {word}",
                Estimate(0.161, 0.144, 0.178),
            ),
            ModelRow("Noisy", ModelRole.FEDERATED_PRIVATE, estimates(0.7655), privacy=SPEND),
            ModelRow("Bank alone", ModelRole.LABEL_PARTY_ALONE, estimates(0.607)),
            ModelRow("Pooled", ModelRole.POOLED, estimates(0.7685)),
            ModelRow(f"Boosting {word}", ModelRole.BASELINE, estimates(0.78)),
        ),
        curves=(
            model_curves(f"Federation {word}", ModelRole.FEDERATED, LABELS, SCORES),
            model_curves("Bank alone", ModelRole.LABEL_PARTY_ALONE, LABELS, SCORES.round(1)),
        ),
        importance=(
            PartyImportance(
                f"platform {word}",
                (
                    FeatureImportance(feature_label(None, 3, "platform"), 0.123),
                    FeatureImportance(f"label {word}", 0.456),
                ),
            ),
        ),
        importance_measure=f"measure {word}",
        direction=f"Sums went to the owner {word}.",
        disclosures=(
            PartyDisclosure(
                f"bank {word}",
                f"label party {word}",
                (
                    DisclosedMessages(f"map_query {word}", 5, 960_240, f"platform {word}"),
                    DisclosedMessages("turn", 7, 1_260, "platform"),
                ),
                (f"learned {word}",),
                (f"reconstructs {word}",),
                (f"never {word}",),
            ),
        ),
        ledger=(
            LedgerLine(f"bank {word}", MOMENT, f"noisy sums {word}", SPEND),
            LedgerLine("platform", MOMENT, "hint, first and only one"),
        ),
        rounds=(RoundPoint(0, 0.61, 0.52), RoundPoint(1, 0.75, 0.45), RoundPoint(2, 0.7671, 0.44)),
        stages=(StageSeconds(f"alignment {word}", 4.61), StageSeconds("training", 0.62)),
        transport=f"loopback {word}",
        processes=(PartyProcess(f"bank {word}", 40_112),),
        stability=stability(SCORES[:300], SCORES[300:]),
        shapes=(
            ShapeFunction(f"age {word}", f"years {word}", (25, 30, 40), (0.1, 0.0, -0.1, 0.2)),
            ShapeFunction("one bin", "1", (), (0.25,), (("missing", 0.0),)),
            ShapeFunction("education", "1", others=((f"school {word}", -0.12), ("other", 0.4))),
        ),
        courses=(
            TrainingCourse(
                f"trees {word}",
                "tree",
                (RoundPoint(1, None, 0.5, 0.51), RoundPoint(2, None, 0.48, 0.49)),
                f"2 trees {word}",
            ),
        ),
        giveaways=(
            TrainingGiveaway(
                f"Federation {word}",
                ModelRole.FEDERATED,
                Estimate(0.768, 0.754, 0.782),
                f"keeps its rows {word}",
                f"a partial score {word}",
                f"residual sums {word}",
                (f"5 partial scores {word}",),
                not_rebuilt=f"no sums over bins {word}",
            ),
            TrainingGiveaway(
                "Trees",
                ModelRole.FEDERATED_OTHER,
                Estimate(0.7731, 0.758, 0.788),
                "Treat bins as known.",
                "bin codes",
                "121 splits",
                ("45,498 exact sums", "2,904,000 split bits"),
                (Rebuilt(f"platform {word}", 0.6578, f"all features {word}"),),
            ),
        ),
        label_party=f"bank {word}",
    )


@cache
def plain_page() -> str:
    """The example's page, drawn once."""
    return render(example())


def test_report_is_well_formed_and_has_every_section() -> None:
    """Every element is closed in turn, ids are unique, and each navigation link has its section."""
    page = plain_page()
    document = Document(page)
    assert page.startswith("<!doctype html>")
    assert len(document.ids) == len(set(document.ids))
    assert document.tags.count("section") == len(SECTIONS)
    for anchor, name in SECTIONS:
        assert anchor in document.ids
        assert f"#{anchor}" in document.links
        assert name in document.text
    # Seven figures and two drawn shapes; swatches and interval strips of tables are no pictures.
    assert page.count('role="img"') == 9


def test_report_needs_nothing_from_elsewhere() -> None:
    """No link, script, font, picture or style sheet points outside of the file."""
    page = plain_page()
    document = Document(page)
    assert all(link.startswith("#") and link[1:] in document.ids for link in document.links)
    references = re.findall(r"url\(([^)]*)\)", page)
    assert all(re.fullmatch(r"#[\w-]+", reference) for reference in references)
    assert {reference[1:] for reference in references} <= set(document.ids)
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert "<script" not in page


def test_report_shows_the_numbers_it_was_given() -> None:
    """Metrics with intervals, bytes, seconds, counts and processes stand in the text as given."""
    text = Document(plain_page()).text
    for shown in (
        "0.768 [0.754, 0.782]",
        "0.412 [0.389, 0.441]",
        "0.436 [0.421, 0.452]",
        "0.536 [0.508, 0.564]",
        "0.137 [0.131, 0.143]",
        "+0.161 [0.144, 0.178]",
        "24,000",
        "960,240",
        "961,500",
        "961.5 kB",
        "4.61",
        "5.23",
        "40112",
        "feature 3 of platform",
        "Best validation AUC 0.7671 in round 2 of 2",
        f"KS {example().curves[0].ks.distance:.3f} at a score of",
        "2025-06-03 09:41:12 UTC",
    ):
        assert shown in text, shown


def test_summary_compares_with_the_label_party_alone_and_with_pooling() -> None:
    """The first sentence names the federated AUC, the floor, the paired gain and the ceiling."""
    text = Document(plain_page()).text
    summary = text[text.index("On 600 test") : text.index("training borrowers")]
    for shown in ("AUC of 0.768 [0.754, 0.782]", "0.607", "+0.161", "0.768", "0.780 with the best"):
        assert shown in summary, shown


def test_every_epsilon_stands_with_unit_and_history() -> None:
    """Wherever the page shows the value of an ε, its unit of privacy and history follow."""
    text = Document(plain_page()).text
    places = [match.start() for match in re.finditer(r"ε = ", text)]
    assert len(places) == 3  # the summary, the table and the ledger
    phrase = "ε = 2.0 (δ = 1e-5), unit of privacy: one borrower's label; this run only"
    assert all(text[place:].startswith(phrase) for place in places)


def test_shown_epsilon_is_never_smaller_than_the_true_one() -> None:
    """An ε is rounded up to two decimals."""
    assert str(replace(SPEND, epsilon=1.8101)).startswith("ε = 1.82 (")
    assert str(replace(SPEND, epsilon=0.5)).startswith("ε = 0.5 (")


@pytest.mark.parametrize(
    "wrong",
    [{"unit": " "}, {"history": ""}, {"epsilon": float("nan")}, {"epsilon": -1.0}, {"delta": 1.0}],
)
def test_an_epsilon_without_meaning_is_refused(wrong: dict[str, object]) -> None:
    """No unit, no history, or no number: no guarantee can be made of it."""
    with pytest.raises(InputError, match="ε"):
        replace(SPEND, **wrong)  # type: ignore[arg-type]


def test_ledger_without_an_epsilon_says_that_nothing_is_guaranteed() -> None:
    """A run that bought no differential privacy says so instead of staying silent."""
    text = Document(render(replace(example(), ledger=()))).text
    assert "No differential-privacy guarantee" in text


def test_simulated_data_is_marked_at_the_head() -> None:
    """SIMULATED stands at the head exactly when the data is simulated."""
    text = Document(render(replace(example(), simulated=True))).text
    assert text.index("SIMULATED") < text.index("Result")
    assert "SIMULATED" not in Document(plain_page()).text


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=http://evil.example onerror=alert(1)>',
    "</style><b>",
    "</title></svg><iframe>",
    "$\\frac{1}{$ <!-- ]]> &lt; ' ` \x00 \ud800",
    "银行 \U0001f600 العربية",
]


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_text_stays_text_everywhere(word: str) -> None:
    """Markup in any name, note or sentence adds no tag, link or handler, and is shown as text."""
    page, plain = render(example(word)), plain_page()
    document = Document(page)
    assert document.tags == Document(plain).tags
    assert document.links == Document(plain).links
    visible = re.sub(r"\s+", " ", word.replace("\x00", "\ufffd").replace("\ud800", "\ufffd"))
    assert document.text.count(visible) >= 20
    page.encode("utf-8")


# Without figures a page takes milliseconds, so that many texts can be tried.
FIGURELESS = {"curves": (), "rounds": (), "shapes": (), "courses": ()}


@settings(deadline=None, max_examples=60)
@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_no_text_ever_becomes_markup(word: str) -> None:
    """Whatever the text, the page has the same tags in the same order and can be written."""
    page = render(replace(example(word), **FIGURELESS))  # type: ignore[arg-type]
    plain = render(replace(example(), **FIGURELESS))  # type: ignore[arg-type]
    assert Document(page).tags == Document(plain).tags
    page.encode("utf-8")


def test_empty_report_is_still_a_page() -> None:
    """With nothing to show, every section says so."""
    empty = replace(
        example(),
        models=(),
        curves=(),
        importance=(),
        disclosures=(),
        ledger=(),
        rounds=(),
        stages=(),
        processes=(),
        stability=None,
        shapes=(),
        courses=(),
        giveaways=(),
    )
    document = Document(render(empty))
    assert document.tags.count("section") == len(SECTIONS)
    assert "no federated model" in document.text


def test_report_is_small_and_deterministic() -> None:
    """A full report stays below 700 kB, and the same input gives the same bytes."""
    page = plain_page()
    assert len(page.encode()) < 700_000
    assert page == render(example())


def test_rounds_without_loss_draw_one_panel() -> None:
    """Where the training loss is not known, only the validation AUC is drawn."""
    rounds = tuple(replace(point, train_loss=None) for point in example().rounds)
    page = render(replace(example(), rounds=rounds))
    assert "training loss (nats" not in page
    assert "training loss (nats" in plain_page()


def test_what_each_model_gave_away_stands_in_one_table() -> None:
    """Right after the result: name, AUC, phrases, numbers, and the share that was rebuilt."""
    text = Document(plain_page()).text
    section = text[text.index("What each model gave away") : text.index("What left each party")]
    for shown in ("bank plain learned", "0.773", "bin codes", "45,498 exact sums", "66%"):
        assert shown in section, shown
    assert "no sums over bins plain" in section
    assert text.index("AUC of 0.768") < text.index("What each model gave away")


def test_shares_of_several_partners_are_told_apart() -> None:
    """Each with its name; of one partner the name is in the heading already."""
    trees = example().giveaways[1]
    both = replace(trees, rebuilt=(Rebuilt("shop", 0.5, "so"), Rebuilt("lessor", 0.25, "so")))
    text = Document(render(replace(example(), giveaways=(both,)))).text
    assert "50%shop" in text
    assert "25%lessor" in text


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_between_nothing_and_all(share: float) -> None:
    """Anything else is refused."""
    with pytest.raises(InputError, match="is no share of bin entropy"):
        Rebuilt("platform", share, "so")


def test_a_course_by_trees_is_drawn_beside_the_leading_one() -> None:
    """With the validation loss where it is known; without any figure a sentence says so."""
    page = plain_page()
    assert "log-loss (nats a borrower)" in page
    assert "2 trees plain" in Document(page).text
    silent = TrainingCourse("quiet", "tree", (RoundPoint(1, None), RoundPoint(2, None)))
    text = Document(render(replace(example(), courses=(silent,)))).text
    assert "quiet: 2 trees; no figure of them was recorded." in text


def test_a_leading_model_of_trees_counts_trees() -> None:
    """In the key facts and under its course."""
    text = Document(render(replace(example(), step="tree"))).text
    assert "2trees" in text.replace(" ", "")
    assert "Best validation AUC 0.7671 at tree 2 of 2" in text


def test_features_are_ordered_by_importance() -> None:
    """The feature that moves the score most comes first."""
    text = Document(plain_page()).text
    assert text.index("label plain") < text.index("feature 3 of platform")


def test_times_must_be_utc() -> None:
    """A naive or a local time is refused, since the page calls it UTC."""
    for moment in (
        datetime(2025, 6, 3, 9, 41),
        MOMENT.astimezone(timezone(timedelta(hours=8))),
    ):
        with pytest.raises(InputError, match="aware and in UTC"):
            replace(example(), created=moment)


def test_shape_function_needs_one_contribution_more_than_borders() -> None:
    """Borders and contributions that do not fit are refused."""
    with pytest.raises(InputError, match="one more of the latter"):
        ShapeFunction("age", "years", (1.0, 2.0), (0.1, 0.2))


def test_matplotlib_is_not_imported_before_a_figure_is_drawn() -> None:
    """Importing the report costs no matplotlib."""
    code = "import sys, federation.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
