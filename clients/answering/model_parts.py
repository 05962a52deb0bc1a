"""The model parts that a feature party answers with: those of its runs' folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clients.vault import load_binned, load_model
from federation.additive.model_part import ModelPart
from federation.boosting.model_part import BoostedPart
from federation.errors import InputError
from federation.split.part import SUFFIX, NetworkPart


@dataclass(frozen=True)
class ServedPart:
    """One variant's part at this party.

    Attributes:
        part: over bins.
        encoder: makes the columns of a blind training; None for others.
        parties: the feature parties of the variant, sorted.
    """

    part: ModelPart
    encoder: NetworkPart | None
    parties: tuple[str, ...]


@dataclass(frozen=True)
class RunParts:
    """What a party serves of one run.

    Attributes:
        session: that trained all of it.
        parts: one a variant.
        notes: what of the run is not served and why, a sentence each.
    """

    session: str
    parts: tuple[ServedPart, ...]
    notes: tuple[str, ...] = ()


def read_run(run: Path, party: str, feature_parties: Sequence[str]) -> RunParts:
    """Read a party's parts of a run.

    Args:
        run: the run's folder, or the party's own in it.
        party: whose.
        feature_parties: all of the federation.

    Raises:
        InputError: there is no part to answer with, one is damaged, of another party or session, or
            of a variant with parties that the federation does not have.
    """
    folder = run if run.name == party and _parts_of(run) else run / party
    if not folder.is_dir():
        raise InputError(
            f"{folder}: there is no such folder; name a run in which {party} took part, such as "
            "runs/latest"
        )
    paths = _parts_of(folder)
    notes = tuple(
        f"{path.name} is not served: the label party's network takes embeddings of a split "
        "training, which are no points to add up"
        for path in sorted(folder.glob(f"model-*{SUFFIX}"))
        if path.with_suffix(".json") not in paths
    )
    boosted = [path for path in paths if isinstance(load_binned(path), BoostedPart)]
    notes += tuple(
        f"{path.name} is not served: the label party's trees take split bits of a boosted "
        "training, which are no points to add up"
        for path in boosted
    )
    paths = [path for path in paths if path not in boosted]
    if not paths:
        why = f" ({notes[0]})" if notes else "; train first"
        raise InputError(f"{folder}: there is no model part to answer with{why}")
    parts = tuple(_read(path, party, tuple(sorted(feature_parties))) for path in paths)
    sessions = sorted({one.part.session for one in parts})
    if len(sessions) > 1:
        raise InputError(
            f"{folder}: has model parts of several sessions ({', '.join(sessions)}); a run's "
            "folder holds those of one"
        )
    return RunParts(sessions[0], parts, notes)


def variant_parties(name: str, feature_parties: tuple[str, ...]) -> tuple[str, ...]:
    """The feature parties of a variant by its name (see `federation.scoring.variant_name`)."""
    _, mark, some = name.partition("~")
    return tuple(sorted(some.split("+"))) if mark else feature_parties


def _parts_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("model-*.json"))


def _read(path: Path, party: str, feature_parties: tuple[str, ...]) -> ServedPart:
    part, encoder = load_model(path)
    if not isinstance(part, ModelPart):  # the file is there, so it is one over bins
        raise InputError(f"{path}: is no model part over bins")
    if part.party != party:
        raise InputError(
            f"{path}: is the model part of '{part.party}', not of '{party}'; a party answers with "
            "its own"
        )
    if path.name != f"model-{part.training}.json":
        raise InputError(
            f"{path}: holds the part of '{part.training}'; its name must be "
            f"model-{part.training}.json"
        )
    parties = variant_parties(part.training, feature_parties)
    if party not in parties or not set(parties) <= set(feature_parties):
        raise InputError(
            f"{path}: is of a variant with the feature parties {', '.join(parties)}, but those of "
            f"the federation file are {', '.join(feature_parties)}; name the file that the run was "
            "trained with"
        )
    return ServedPart(part, encoder, parties)
