"""The report of several banks: well-formed, escaped, and every ε with its unit and history."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import InputError
from federation.metrics import Estimate
from federation.report.banks_figures import (
    AggregationTerms,
    BankLedger,
    BankLedgerLine,
    BankResult,
    BanksReport,
    BankWork,
    Course,
    LeftOut,
    LossRound,
)
from federation.report.banks_render import BANKS_SECTIONS, render_banks
from federation.report.figures import (
    DisclosedMessages,
    ModelRole,
    ModelRow,
    PartyDisclosure,
    PrivacySpend,
    StageSeconds,
    model_curves,
)
from tests.federation.test_report import HOSTILE, LABELS, MOMENT, SCORES, Document, estimates

SPEND = PrivacySpend(2.9973, 1e-5, "one borrower's record", "this run alone")
PHRASE = "ε = 3.0 (δ = 1e-5), unit of privacy: one borrower's record; this run alone"


def area(value: float) -> Estimate:
    """An AUC with an interval of its own."""
    return Estimate(value, value - 0.02, value + 0.02)


def example(word: str = "plain") -> BanksReport:
    """A full report; `word` goes into every place where a bank or a user chose the text."""
    north = BankResult(
        f"north {word}", 5_000, 400, 0.21, area(0.771), area(0.742), area(0.029), (f"note {word}",)
    )
    messages = (
        DisclosedMessages("contributed", 12, 780_120, "coordinator"),
        DisclosedMessages(f"kind {word}", 1, 179, "coordinator"),
    )
    return BanksReport(
        title=f"Default model {word}",
        run_id=f"run-{word}",
        created=MOMENT,
        data_note=f"Real data {word}",
        simulated=False,
        network=f"an MLP {word}",
        guarantees=(SPEND,),
        models=(
            ModelRow(f"Federated {word}", ModelRole.FEDERATED, estimates(0.768), f"note {word}"),
            ModelRow("Each bank alone", ModelRole.BANKS_ALONE, estimates(0.741)),
            ModelRow("Pooled", ModelRole.POOLED, estimates(0.775)),
        ),
        curves=(model_curves(f"Federated {word}", ModelRole.FEDERATED, LABELS, SCORES),),
        banks=(north, BankResult("coast", 900, 200)),
        within=BankResult("Within banks", 5_900, 600, 0.2, area(0.765), area(0.744), area(0.021)),
        left_out=(LeftOut(f"metro {word}", f"declined: {word}"),),
        test_default_rate=float(LABELS.mean()),
        sent=(
            PartyDisclosure(f"north {word}", "bank", messages, ()),
            PartyDisclosure("coast", "bank", messages[:1], ()),
        ),
        sides=(PartyDisclosure("Every bank", f"part {word}", (), (f"learned {word}",)),),
        messages=26,
        course=Course(
            3,
            30,
            (LossRound(1, 0.6, 0.55), LossRound(2, 0.5, 0.48), LossRound(3, 0.49)),
            f"Stopped {word}.",
            ((f"Seed {word}", f"0 {word}"),),
            ((f"north {word}", 2), ("coast", 0)),
        ),
        aggregation=AggregationTerms(((f"Scheme {word}", f"BFV {word}"),), 8_000, 64_000),
        ledgers=(
            BankLedger(
                f"north {word}",
                (
                    BankLedgerLine(
                        1, 10, 10, MOMENT, f"run {word}", f"DP-SGD {word}", SPEND.unit, SPEND
                    ),
                    BankLedgerLine(
                        11, 11, 1, MOMENT, "run-2", "exact sums", "one borrower's record", None
                    ),
                ),
                (f"no ε bounds {word}",),
            ),
            BankLedger("coast", (), ()),
        ),
        stages=(StageSeconds(f"rounds {word}", 4.61), StageSeconds("baselines", 0.62)),
        work=(BankWork(f"north {word}", 40_112, 3.25, 512.4, 780_299, 790_000),),
    )


@cache
def plain_page() -> str:
    """The example's page, drawn once."""
    return render_banks(example())


def test_page_is_well_formed_and_has_every_section() -> None:
    """Every element is closed in turn, ids are unique, and each navigation link has its section."""
    document = Document(plain_page())
    assert len(document.ids) == len(set(document.ids))
    assert document.tags.count("section") == len(BANKS_SECTIONS)
    assert [link[1:] for link in document.links[: len(BANKS_SECTIONS)]] == [
        anchor for anchor, _ in BANKS_SECTIONS
    ]
    places = [plain_page().index(f'id="{anchor}"') for anchor, _ in BANKS_SECTIONS]
    assert places == sorted(places)
    assert plain_page().count('role="img"') == 6  # five of the model, one of the losses


def test_page_needs_nothing_from_elsewhere() -> None:
    """No link, script, font or picture points outside of the file."""
    document = Document(plain_page())
    assert all(link.startswith("#") and link[1:] in document.ids for link in document.links)
    references = re.findall(r"url\(([^)]*)\)", plain_page())
    assert references
    assert all(reference[1:] in document.ids for reference in references)
    for forbidden in ("http://", "https://", "@import", "<script"):
        assert forbidden not in plain_page()


def test_page_shows_the_numbers_it_was_given() -> None:
    """Metrics, banks, bytes, seconds and parameters stand in the text as given."""
    text = Document(plain_page()).text
    for shown in (
        "On 600 test borrowers of 2 banks",
        "AUC of 0.768 [0.754, 0.782]",
        "Pooling all rows in plaintext would reach 0.775",
        "its AUC is 0.765 [0.745, 0.785]; that of each bank's own network is 0.744 [0.724, 0.764], "
        "a paired difference of +0.021 [0.001, 0.041]",
        "0.771 [0.751, 0.791]",
        "+0.029 [0.009, 0.049]",
        "5,900",
        "metro plain: declined: plain",
        "780,120",
        "13 messages, 780.3 kB",
        "1–10",
        "40112",
        "64,000 bytes (64.0 kB), 8.0 bytes a parameter",
        "clipped to the norm bound: north plain 2.",
        "2025-06-03 09:41:12",
        "5.23",
    ):
        assert shown in text, shown


def test_every_epsilon_stands_with_unit_and_history() -> None:
    """Wherever the page shows the value of an ε, its unit of privacy and history follow."""
    text = Document(plain_page()).text
    places = [match.start() for match in re.finditer(r"ε = ", text)]
    assert len(places) == 2  # the summary and the ledger
    assert all(text[place:].startswith(PHRASE) for place in places)


def test_without_a_guarantee_the_page_says_so() -> None:
    """A run and ledgers without differential privacy show no ε, and say that there is none."""
    bare = replace(example(), guarantees=(), ledgers=(BankLedger("north", (), ()),))
    text = Document(render_banks(bare)).text
    assert "ε = " not in text
    assert "No differential privacy." in text
    assert "No differential-privacy guarantee was bought" in text
    assert "nothing was entered" in text


def test_a_bank_without_a_measure_is_still_listed() -> None:
    """Where AUC has no meaning at a bank, its counts stand and the rest is a dash."""
    text = Document(plain_page()).text
    assert re.search(r"coast ?900 ?200 ?–––– ?–", text)


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_text_stays_text_everywhere(word: str) -> None:
    """Markup in any name, note or sentence adds no tag, link or handler, and is shown as text."""
    document = Document(render_banks(example(word)))
    assert document.tags == Document(plain_page()).tags
    assert document.links == Document(plain_page()).links
    visible = re.sub(r"\s+", " ", word.replace("\x00", "\ufffd").replace("\ud800", "\ufffd"))
    assert document.text.count(visible) >= 25


def without_figures(word: str = "plain") -> BanksReport:
    """A report that takes milliseconds."""
    report = example(word)
    return replace(report, curves=(), course=replace(report.course, losses=()))


@settings(deadline=None, max_examples=40)
@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_no_text_ever_becomes_markup(word: str) -> None:
    """Whatever the text, the page has the same tags in the same order and can be written."""
    page = render_banks(without_figures(word))
    assert Document(page).tags == Document(render_banks(without_figures())).tags
    page.encode("utf-8")


def test_empty_report_is_still_a_page() -> None:
    """With nothing to show, every section is there."""
    empty = replace(
        without_figures(),
        guarantees=(),
        models=(),
        banks=(),
        within=BankResult("Within banks", 0, 0),
        left_out=(),
        sent=(),
        sides=(),
        ledgers=(),
        stages=(),
        work=(),
        aggregation=AggregationTerms((), 0, 0),
    )
    document = Document(render_banks(empty))
    assert document.tags.count("section") == len(BANKS_SECTIONS)
    assert "no federated model" in document.text


def test_losses_are_drawn_where_there_are_any() -> None:
    """The curve stands on the page, and is not there without losses."""
    text = Document(plain_page()).text
    assert "Log-loss by round" in text
    assert "Log-loss by round" not in Document(render_banks(without_figures())).text


def test_page_is_small_and_deterministic() -> None:
    """A full page stays below 500 kB, and the same input gives the same bytes."""
    assert len(plain_page().encode()) < 500_000
    assert plain_page() == render_banks(example())


def test_times_must_be_utc() -> None:
    """A naive time is refused, at the head and in a ledger, since the page calls it UTC."""
    naive = datetime(2025, 6, 3, 9, 41)
    with pytest.raises(InputError, match="aware and in UTC"):
        replace(example(), created=naive)
    ledger = example().ledgers[0]
    line = replace(ledger.lines[0], since=naive)
    with pytest.raises(InputError, match="aware and in UTC"):
        replace(example(), ledgers=(replace(ledger, lines=(line,)),))


def test_strips_stay_on_their_scale() -> None:
    """Every dot and whisker of the banks' table lies on the strip."""
    positions = [
        float(value) for value in re.findall(r'(?:x1|x2|cx)="([\d.-]+)" (?:y1|y2|cy)', plain_page())
    ]
    assert len(positions) > 10
    assert np.all((np.array(positions) >= 0) & (np.array(positions) <= 150))
