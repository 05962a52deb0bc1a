"""Scores a file of borrowers with a run's model, by the engine that answers callers.

The feature parties are asked by way of their answer sides, as the desk's settings name them.
Without a desk's folder, and for borrowers that a partner is silent about, fallbacks answer; every
row says which variant it was, and the closing sentence how many rows are degraded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clients.vault import load_served_model, party_key
from clients.vault.party_key_file import PARTY_KEY
from federation.errors import InputError
from federation.identity import PartyKey
from federation.scoring import ServedModel
from server.desk.answers import BatchAnswer, Contributors
from server.desk.engine import MOST_BORROWERS, BatchQuery, ScoringEngine
from server.desk.offline_input import BorrowerFile, read_borrowers, write_scores
from server.desk.partners import LinkPool, PartnerAddress, PartnerLinks
from server.desk.settings import SETTINGS_FILE, DeskSettings, read_settings
from server.desk.single_model import NoLinks, SingleModel, served_file

# A batch of borrowers may take this long: nobody waits for a single one.
BATCH_SECONDS = 60.0
WARM_SECONDS = 5.0


@dataclass
class OfflineScores:
    """The scores of a file.

    Attributes:
        identifiers: as the file has them.
        scores, probabilities: (n,).
        variants: which one answered (n,).
        failed: feature parties that were silent for some borrowers, and why.
    """

    identifiers: list[str] = field(default_factory=list)
    scores: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    variants: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, identifiers: list[str], answer: BatchAnswer) -> None:
        """Take a batch in."""
        self.identifiers += identifiers
        self.scores += answer.scores.tolist()
        self.probabilities += answer.probabilities.tolist()
        names = [variant.name for variant in answer.variants]
        self.variants += [names[place] for place in answer.variant.tolist()]
        self.failed |= {party: str(reason) for party, reason in answer.absent.items()}

    def nobody_was_asked(self) -> None:
        """The partners are not silent: nothing says where they answer."""
        self.failed = dict.fromkeys(self.failed, "not asked")

    def columns(self) -> dict[str, Any]:
        """As a table."""
        return {
            "id": self.identifiers,
            "score": np.array(self.scores, dtype=np.int32),
            "probability_of_default": np.array(self.probabilities),
            "variant": self.variants,
        }


def score_file(
    run: Path,
    model: str,
    source: Path,
    output: Path,
    desk: Path | None,
    id_column: str | None,
    on_progress: Callable[[int, int], None] = lambda done, all_of_them: None,
) -> tuple[ServedModel, OfflineScores]:
    """Score all borrowers of a file and write what came out.

    Args:
        run: a run's folder.
        model: which training's, of several.
        source, output: CSV or Parquet files.
        desk: a desk's folder, for the partners' addresses and the bank's key; None: the label
            party alone answers where the model has feature parties.
        id_column: the borrowers' ids.
        on_progress: told how many are done.

    Raises:
        InputError: a file is not right; nothing is written.
    """
    settings = read_settings(desk) if desk is not None else None
    key = _key(settings)
    served = load_served_model(served_file(run, model), key.public if key else None)
    borrowers = read_borrowers(source, served.features, id_column)
    scores = asyncio.run(_score(served, settings, key, borrowers, on_progress))
    if settings is None or key is None:
        scores.nobody_was_asked()
    write_scores(output, scores.columns())
    return served, scores


async def _score(
    served: ServedModel,
    settings: DeskSettings | None,
    key: PartyKey | None,
    borrowers: BorrowerFile,
    on_progress: Callable[[int, int], None],
) -> OfflineScores:
    contributors: Contributors = NoLinks(served)
    if served.main.parties and settings is not None and key is not None:
        addresses = {name: PartnerAddress(p.address) for name, p in settings.partners.items()}
        links = PartnerLinks(served, LinkPool(key, addresses))
        await links.start(WARM_SECONDS)
        contributors = links
    source = SingleModel(served, contributors)
    engine = ScoringEngine(source, batch_limit=BATCH_SECONDS)
    scores, count, shown = OfflineScores(), len(borrowers.identifiers), time.monotonic()
    try:
        for identifiers, columns in borrowers.slices(MOST_BORROWERS):
            first = len(scores.identifiers)
            try:
                answer = await engine.score_batch(BatchQuery(identifiers, columns), None)
            except InputError as error:
                last = first + len(identifiers)
                raise InputError(f"{borrowers.path}, rows {first + 1} to {last}: {error}") from None
            scores.add(identifiers, answer)
            if time.monotonic() - shown > 1:
                shown = time.monotonic()
                on_progress(len(scores.identifiers), count)
    finally:
        await engine.close()
        await source.close()
    return scores


def _key(settings: DeskSettings | None) -> PartyKey | None:
    if settings is None or settings.label_party_vault is None:
        return None
    # Reading a key that is not there would make one, which no partner has pinned.
    if not (settings.label_party_vault / PARTY_KEY).is_file():
        raise InputError(
            f"{settings.folder / SETTINGS_FILE}: [desk] label_party_vault names "
            f"{settings.label_party_vault}, which holds no {PARTY_KEY}; the bank's own vault is "
            "right"
        )
    return party_key(settings.label_party_vault)
