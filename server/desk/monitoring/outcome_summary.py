"""Measured outcomes on disk: written by the importer, read by the metrics, printed as tables."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clients.vault.private_files import write_private
from federation.errors import InputError
from federation.metrics import Estimate
from federation.record_chain import canonical_json
from server.desk.monitoring.outcomes import ModelOutcomes, Period, RateBin

FORMAT = "veilscore outcomes 1"
SUMMARY_NAME = "outcomes.json"  # in the desk's folder


@dataclass(frozen=True)
class OutcomeSummary:
    """What one import found.

    Attributes:
        models: each model's outcomes.
        joined, unknown: outcomes whose score was found, and those whose was not.
    """

    models: tuple[ModelOutcomes, ...]
    joined: int
    unknown: int


def save_summary(path: Path, summary: OutcomeSummary) -> None:
    """Write the summary; it holds no borrower."""
    write_private(path, canonical_json({"format": FORMAT} | asdict(summary)).encode())


def load_summary(path: Path) -> OutcomeSummary:
    """Read a summary.

    Raises:
        InputError: not one, or damaged.
    """
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT:
            raise ValueError(content["format"])
        return OutcomeSummary(
            tuple(_model(one) for one in content["models"]),
            int(content["joined"]),
            int(content["unknown"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: not a summary of outcomes; `veilscore desk outcomes` writes one"
        ) from error


class SummaryFile:
    """A summary that is read again when its file changes."""

    def __init__(self, path: Path) -> None:
        """The file may be missing yet."""
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._summary: OutcomeSummary | None = None

    def read(self) -> OutcomeSummary | None:
        """The summary, or None where there is none that can be read."""
        try:
            status = self._path.stat()
        except OSError:
            self._seen, self._summary = None, None
            return None
        seen = (status.st_mtime_ns, status.st_ino)
        if seen != self._seen:
            try:
                self._summary = load_summary(self._path)
            except InputError:
                self._summary = None
            self._seen = seen
        return self._summary


def tables(summary: OutcomeSummary) -> Iterator[str]:
    """The summary as lines of text."""
    yield f"{summary.joined} outcomes joined with their scores, {summary.unknown} without one"
    for model in summary.models:
        yield ""
        yield (
            f"model {model.model[:12]}: {model.outcomes} outcomes, {model.defaults} defaults, "
            f"AUC {model.auc or 'not measured (too few of one class)'}, "
            f"observed/predicted {model.ratio or 'not measured'}"
        )
        yield "  score          borrowers  predicted  observed  95% interval"
        yield from _lines(model.bands, "{:.0f}")
        if model.calibration:
            yield "  probability    borrowers  predicted  observed  95% interval"
            yield from _lines(model.calibration, "{:.4f}")
        yield "  month    outcomes  defaults  AUC"
        for one in model.periods:
            yield f"  {one.month:<8} {one.outcomes:>8}  {one.defaults:>8}  {one.auc or '-'}"


def _lines(bins: Sequence[RateBin], form: str) -> Iterator[str]:
    for one in bins:
        ends = f"{form.format(one.lowest)}-{form.format(one.highest)}"
        yield (
            f"  {ends:<14} {one.borrowers:>9}  {one.predicted:>9.4f}  {one.observed:>8.4f}  "
            f"[{one.low:.4f}, {one.high:.4f}]"
        )


def _number(value: object) -> float:
    number = float(str(value))
    if not math.isfinite(number):
        raise ValueError("a number must be finite")
    return number


def _estimate(content: Mapping[str, Any] | None) -> Estimate | None:
    if content is None:
        return None
    return Estimate(*(_number(content[name]) for name in ("value", "low", "high")))


def _bin(content: Mapping[str, Any]) -> RateBin:
    rates = (_number(content[name]) for name in ("predicted", "observed", "low", "high"))
    ends = (_number(content["lowest"]), _number(content["highest"]))
    return RateBin(*ends, int(content["borrowers"]), *rates)


def _model(content: Mapping[str, Any]) -> ModelOutcomes:
    return ModelOutcomes(
        model=str(content["model"]),
        outcomes=int(content["outcomes"]),
        defaults=int(content["defaults"]),
        bands=tuple(map(_bin, content["bands"])),
        calibration=tuple(map(_bin, content["calibration"])),
        auc=_estimate(content["auc"]),
        ratio=_estimate(content["ratio"]),
        periods=tuple(
            Period(
                str(one["month"]),
                int(one["outcomes"]),
                int(one["defaults"]),
                _estimate(one["auc"]),
            )
            for one in content["periods"]
        ),
    )
