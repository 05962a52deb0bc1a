"""How a session grows with the number of borrowers: measured, kept as JSON lines, drawn."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from federation.report.plots import GREY, STYLE
from simulations.bench_additive import bench

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS = (10_000, 30_000, 100_000, 300_000, 1_000_000)
LABEL_FEATURES, PARTY_FEATURES, BINS = 13, 30, 32
_SIZE = (9.0, 4.6)  # inches
_DOTS_PER_INCH = 200
# What is drawn: the figure's key, words, colour, marker.
SECONDS = (
    ("alignment_seconds", "alignment", "#8c3b7d", "^"),
    ("seconds", "binning, set-up and training", "#1b5e9b", "o"),
    ("training_seconds", "training alone", "#4fa3d9", "s"),
    ("same_model_seconds", "the same model in plaintext, training alone", "#c2691c", "D"),
)


def bench_scaling(
    folder: Path, largest: int = ROWS[-1], on_words: Callable[[str], None] = lambda words: None
) -> Iterator[dict[str, Any]]:
    """Run the sizes one after the other; yields each one's figures, and draws at the end.

    Args:
        folder: where `scaling.jsonl` and `scaling.png` go; made if it is not there.
        largest: no size above it.
        on_words: told of each size before it is run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs = []
    for rows in ROWS:
        if rows > largest:
            continue
        on_words(f"{rows:,} borrowers")
        figures = bench(rows, LABEL_FEATURES, PARTY_FEATURES, BINS, "stream", "simulated")
        runs.append(figures)
        yield figures
    lines = "".join(json.dumps(run) + "\n" for run in runs)
    (folder / "scaling.jsonl").write_text(lines, "utf-8")
    (folder / "scaling.png").write_bytes(draw(runs))


def draw(runs: Sequence[dict[str, Any]]) -> bytes:
    """A picture (PNG) of the runs' seconds and memory against their borrowers."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=_SIZE, layout="constrained")
        seconds, memory = figure.subplots(1, 2, width_ratios=(3, 2))
        rows = [run["rows"] for run in runs]
        for key, words, colour, marker in SECONDS:
            seconds.plot(rows, [run[key] for run in runs], marker, ls="-", c=colour, label=words)
        last = runs[-1]
        grown = [last["seconds"] * count / rows[-1] for count in rows]
        seconds.plot(
            rows, grown, c=GREY, lw=0.9, ls=(0, (1, 3)), label="in proportion to borrowers"
        )
        _frame(seconds, rows, "seconds", (0.1, 1, 10, 100))
        memory.plot(rows, [run["peak_rss_mb"] for run in runs], "o-", c="#2f8f83")
        _frame(memory, rows, "MB, the larger party's process", (100, 200, 500, 1000))
        figure.legend(frameon=False, loc="outside lower center", fontsize=8.5, ncols=2)
        figure.suptitle(
            f"One session over the sealed stream, {last['label_features']} + "
            f"{last['party_features']} features, both parties on one machine of two cores",
            fontsize=10,
        )
        target = io.BytesIO()
        figure.savefig(target, format="png", dpi=_DOTS_PER_INCH)
    return target.getvalue()


def _frame(axes: Axes, rows: Sequence[int], words: str, marks: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(rows, [f"{count:,}" for count in rows], rotation=30, ha="right")
    axes.set_yticks(marks, [f"{mark:,g}" for mark in marks])
    axes.minorticks_off()
    axes.set_xlabel("borrowers")
    axes.set_ylabel(words)
