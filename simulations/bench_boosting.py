"""`veilscore bench boosting`: a whole session of boosted trees, measured against plaintext.

Two references in the same call: the same trees from plaintext sums, and XGBoost's histogram method
on one thread with as many rows, features, bins and levels.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from federation.boosting.results import BoostedLabelFit
from federation.boosting.settings import BoostedSettings, Disclosure
from federation.errors import InputError
from federation.metrics import auc
from federation.vertical import LabelSessionResult, SessionPlan, SplitPlan
from simulations.bench_boosting_plain import Pooled, same_model, xgboost_model
from simulations.bench_population import FEATURE_PARTY, LABEL_PARTY, write_population
from simulations.bench_session import SessionRun, run_session
from simulations.slow_link import Link

TEST_ROWS = "test-rows.npy"
SPLIT = SplitPlan(0.2, 0.2, 42)
ALIGNMENT_KINDS = ("blinded_ids", "reblinded_ids", "aligned_rows")
# What is sent once a session or training; where trees grow at their owner, hints come every level.
SETUP_KINDS = ("hello", "plan", "bin_shapes", "map_offer", "map_seed", "bin_codes")
# Repeats of XGBoost whose fastest counts: it is over in a moment.
XGBOOST_RUNS = 2


@dataclass(frozen=True)
class Population:
    """Who is trained on.

    Attributes:
        rows: borrowers in all, a fifth of them for the test.
        label_features, party_features: features at each side.
        data: 'simulated', or 'uci' (its own sizes).
    """

    rows: int = 30000
    label_features: int = 5
    party_features: int = 18
    data: str = "simulated"

    def __post_init__(self) -> None:
        """Refuse other data and sizes too small to train on."""
        if self.data not in ("simulated", "uci"):
            raise InputError(
                f"bench boosting: data is '{self.data}'; 'simulated' or 'uci' is right"
            )
        if self.rows < 500 or min(self.label_features, self.party_features) < 1:
            raise InputError("bench boosting: at least 500 rows and one feature a party are needed")

    def write(self, folder: Path) -> None:
        """Both parties' tables."""
        if self.data == "uci":
            from simulations.uci import write_parties

            write_parties(folder)
        else:
            write_population(folder, self.rows, self.label_features, self.party_features)


@dataclass(frozen=True)
class Setting:
    """What a run of the benchmark is put to.

    Attributes:
        transport: 'memory' or 'stream'.
        link: the network between each party and the relay; None: this machine's own.
        flames: a folder for one flame graph a party ('stream' only; needs py-spy).
        keep: a folder where tables and vaults stay: a later run goes on with the alignment.
    """

    transport: str = "stream"
    link: Link | None = None
    flames: Path | None = None
    keep: Path | None = None


def bench_boosting(
    population: Population, settings: BoostedSettings, setting: Setting = Setting()
) -> dict[str, Any]:
    """Run one session and both comparisons; returns the figures.

    Raises:
        InputError: an unknown transport or data, or a kept folder of another population.
    """
    with _folder(population, setting.keep) as folder:
        run = SessionRun(folder, population.data, setting.transport, setting.link, setting.flames)
        plan = SessionPlan(
            f"bench-{secrets.token_hex(4)}",
            LABEL_PARTY,
            (FEATURE_PARTY,),
            trainings=(settings,),
            split=SPLIT,
        )
        summaries = run_session(run, plan, summarise)
        pool = Pooled.of(folder, population.data, SPLIT)
        tested = np.sort(np.load(folder / TEST_ROWS, allow_pickle=False))
        if not np.array_equal(tested, pool.test_rows):
            raise RuntimeError("the comparison has other test borrowers than the session")
        figures = _session_figures(summaries) | same_model(pool, settings)
        figures |= _fastest(xgboost_model(pool, settings) for _ in range(XGBOOST_RUNS))
    ratio = figures["seconds_per_tree"] / figures["xgboost_seconds_per_tree"]
    asked = {
        name: getattr(settings, name)
        for name in ("depth", "bins", "rate", "column_sample", "row_sample", "min_borrowers")
    }
    return {
        "rows": len(pool.label),
        "label_features": len(pool.columns[0]),
        "party_features": len(pool.columns[1]),
        "data": population.data,
        "transport": setting.transport,
        "disclosure": str(settings.disclosure),
        **asked,
        **figures,
        "ratio_over_xgboost": round(ratio, 3),
        **_link_figures(setting.link),
    }


def summarise(folder: Path, result: Any) -> dict[str, Any]:
    """What a party tells of its result; the label party leaves its test rows in the folder."""
    if not isinstance(result, LabelSessionResult):
        return {}
    training = result.trainings[0]
    fit = training.fit
    if not isinstance(fit, BoostedLabelFit):
        raise TypeError("the benchmark trains a boosted model")
    np.save(folder / TEST_ROWS, result.test_rows)
    given = fit.given.get(FEATURE_PARTY)
    return {
        "auc": float(auc(result.test_labels, training.test_scores)),
        "grown": len(fit.rounds),
        "trees": fit.best_round,
        "fit_seconds": dict(fit.seconds),
        "answers": given.answers if given else 0,
        "split_bits": given.split_bits if given else 0,
    }


def _session_figures(summaries: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Seconds as the label party sees them, and what both parties took and sent."""
    bank = summaries[LABEL_PARTY]
    grown = int(bank["grown"])
    sent: Counter[str] = Counter()
    for one in summaries.values():
        sent.update(one["sent"])
    setup_kinds = {*SETUP_KINDS, "hint_block"} if "bin_shapes" in sent else set(SETUP_KINDS)
    of_trees = sent.keys() - setup_kinds - set(ALIGNMENT_KINDS) - {"closing"}
    return {
        "seconds_per_tree": round(bank["fit_seconds"]["trees"] / grown, 5),
        "setup_seconds": round(bank["fit_seconds"]["set-up"], 4),
        "alignment_seconds": bank["seconds"]["alignment"],
        "trees": bank["trees"],
        "grown": grown,
        "bytes_per_tree": round(sum(sent[kind] for kind in of_trees) / grown),
        "setup_bytes": sum(sent[kind] for kind in setup_kinds),
        "peak_rss_mb": round(max(float(one["peak_rss_mb"]) for one in summaries.values()), 1),
        "cpu_seconds": {party: one["cpu_seconds"] for party, one in summaries.items()},
        "cpu_seconds_per_tree": {
            party: round(_cpu_between(one["cpu_at"], of_trees) / grown, 5)
            for party, one in summaries.items()
        },
        "answers": bank["answers"],
        "split_bits": bank["split_bits"],
        "auc": bank["auc"],
    }


def _cpu_between(taken: Mapping[str, list[float]], kinds: Collection[str]) -> float:
    """Processor seconds from a party's first message of these kinds to its last.

    On a machine that does other things too, they say more than the wall clock does.
    """
    moments = [moment for kind in kinds for moment in taken.get(kind, [])]
    return max(moments, default=0.0) - min(moments, default=0.0)


def _fastest(runs: Iterator[dict[str, Any]]) -> dict[str, Any]:
    return min(runs, key=lambda figures: float(figures["xgboost_seconds_per_tree"]))


def _link_figures(link: Link | None) -> dict[str, Any]:
    if link is None:
        return {}
    return {"link": {"megabits": link.megabits, "delay_ms": 1e3 * link.delay}}


@contextmanager
def _folder(population: Population, keep: Path | None) -> Iterator[Path]:
    """A folder with both parties' tables: a fresh one, or the one that is kept."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="veilscore-bench-") as scratch:
            population.write(Path(scratch))
            yield Path(scratch)
        return
    keep.mkdir(parents=True, exist_ok=True)
    note, wanted = keep / "population.json", asdict(population)
    if not note.exists():
        population.write(keep)
        note.write_text(json.dumps(wanted), "utf-8")
    found = json.loads(note.read_text("utf-8"))
    if found != wanted:
        raise InputError(f"{keep}: holds the population {found}, not {wanted}; name another folder")
    yield keep


def boosted_settings(values: Mapping[str, Any]) -> BoostedSettings:
    """Settings from the command line's options; what was not given is left to the defaults."""
    given = {name: value for name, value in values.items() if value is not None}
    if "disclosure" in given and given["disclosure"] not in list(Disclosure):
        raise InputError(
            f"--disclosure is '{given['disclosure']}'; one of {', '.join(Disclosure)} is right"
        )
    return BoostedSettings.from_json(given)
