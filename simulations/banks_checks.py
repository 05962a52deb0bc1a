"""What is refused of a horizontal run before Flower starts, on a machine that plays all banks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clients.federation_file import FederationConfig
from clients.horizontal_plan import horizontal_plan
from clients.vault import RUN_NAME
from federation.errors import InputError
from federation.horizontal.plan import HorizontalPlan, differences
from server.coordinator.transcript_store import TranscriptStore

COORDINATOR, TRANSCRIPT = "coordinator", "transcript.json"


def make_folder(folder: Path) -> None:
    """Make a run's folder before anything starts.

    Raises:
        InputError: the output can't be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder.parent}: is not a folder that can be written to ({error.strerror}); set "
            "'output' of [federation], or --output, to one"
        ) from error


def refuse_resume(output: Path, run: str) -> None:
    """Refuse to go on with what is no run that was stopped, before anything is touched.

    Raises:
        InputError: there is no such run, it has ended, or its transcript is damaged.
    """
    if not RUN_NAME.fullmatch(run):
        raise InputError(f"--resume '{run}': is no run's name; name a folder in {output}")
    folder = output / run
    if not folder.is_dir():
        stopped = sorted(path.parts[-3] for path in output.glob(f"*/{COORDINATOR}/{TRANSCRIPT}"))
        stopped = [name for name in stopped if not (output / name / "metrics.json").exists()]
        there = f"these can go on: {', '.join(stopped)}" if stopped else "none there can go on"
        raise InputError(f"--resume {run}: there is no such run in {output}; {there}")
    if not (folder / COORDINATOR / TRANSCRIPT).is_file():
        raise InputError(
            f"--resume {run}: {folder} holds no horizontal run that was stopped after its banks "
            "had joined; start it without --resume"
        )
    if (folder / "metrics.json").exists():
        raise InputError(
            f"--resume {run}: the run has ended, its results are in {folder}; to train again, "
            "leave out --resume"
        )
    TranscriptStore(folder / COORDINATOR).read(run)


def plans_of(
    config: FederationConfig, overrides: Mapping[str, Any] | None
) -> dict[str, HorizontalPlan]:
    """Each bank's plan: refuses wrong settings before anything starts."""
    return {
        party.name: horizontal_plan(config, config.manifest_of(party.name), overrides)
        for party in config.parties
    }


def unlike_plans(config: FederationConfig, plans: Mapping[str, HorizontalPlan]) -> dict[str, str]:
    """The banks whose inputs differ from most banks', and how; the coordinator leaves them out.

    It compares digests and can't say how: on one machine the manifests can be compared.

    Raises:
        InputError: too few banks declare the same inputs.
    """
    counts = Counter(plan.digest for plan in plans.values()).most_common()
    common, alike = counts[0]
    reference = next(bank for bank, plan in plans.items() if plan.digest == common)
    unlike = {
        bank: differences(plan.schema, plans[reference].schema)
        for bank, plan in plans.items()
        if plan.digest != common
    }
    fewest = plans[reference].minimum_banks
    if alike < fewest or (len(counts) > 1 and counts[1][1] == alike):
        words = "; ".join(f"{bank}: {how}" for bank, how in unlike.items())
        raise InputError(
            f"{config.path}: the banks' manifests must declare the same [features], and too few "
            f"do: unlike {reference}, {words}; make at least {fewest} agree"
        )
    return unlike


def with_difference(bank: str, reason: str, unlike: Mapping[str, str]) -> str:
    """Why a bank was left out, with how its inputs differ where they do."""
    return f"{reason}: {unlike[bank]}" if bank in unlike else reason
