"""A model source of one served model's file, for a desk without a registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from clients.vault import load_served_model
from federation.errors import InputError
from federation.identity import PartyPublicKey
from federation.scoring import ServedModel, ServedVariant
from server.desk.answers import Absence, Contributors, Gathered, GivenReason, LoadedModel, Route


class NoLinks:
    """Contributors where there is no way to the feature parties: all are silent, always."""

    def __init__(self, served: ServedModel) -> None:
        """Of one model."""
        self._alone = (served.alone,)
        self._failed = dict.fromkeys(served.main.parties, Absence.SILENT)

    async def gather(self, borrowers: Sequence[str], seconds: float) -> Gathered:
        """The label party alone answers."""
        count = len(borrowers)
        return Gathered(
            self._alone,
            np.zeros(count, dtype=np.uint8),
            np.zeros(count, dtype=np.int64),
            self._failed,
        )

    async def reasons(
        self, borrower: str, variant: ServedVariant, most: int, seconds: float
    ) -> Mapping[str, list[GivenReason] | None]:
        """None."""
        return {}

    async def close(self) -> None:
        """Nothing is open."""


class SingleModel:
    """Serves one model as champion, under its training's name.

    Args:
        served: the model.
        contributors: asks its feature parties.
    """

    def __init__(self, served: ServedModel, contributors: Contributors) -> None:
        """Nothing is asked yet."""
        self.loaded = LoadedModel(
            served.training, "production", served, served.digest, contributors
        )
        self._route = Route(self.loaded, "champion")

    def route(self, borrower: str, asked: str) -> Route:
        """The one model.

        Raises:
            InputError: another one was asked for.
        """
        if asked not in ("", self.loaded.name):
            raise InputError(
                f"no model is called '{asked[:60]}' here; '{self.loaded.name}' is the only one, "
                "and an empty name asks for it"
            )
        return self._route

    def champion(self, asked: str) -> LoadedModel:
        """The one model; raises as `route`."""
        return self.route("", asked).model

    async def close(self) -> None:
        """Let go of the partners."""
        await self.loaded.contributors.close()


def served_file(run: Path, name: str = "") -> Path:
    """The served model in a run's folder: BANK/served-NAME.json.

    Args:
        run: the run's folder.
        name: of the training; may be empty where there is one only.

    Raises:
        InputError: there is none, or several.
    """
    if not run.is_dir():
        raise InputError(f"{run}: there is no such folder; name a run's, such as runs/latest")
    found = sorted(run.glob(f"*/served-{name or '*'}.json"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(
            f"{run}: holds no served model (BANK/served-{name or 'NAME'}.json); `veilscore train` "
            "writes one for additive and blind models"
        )
    names = ", ".join(sorted({path.stem.removeprefix("served-") for path in found}))
    raise InputError(f"{run}: holds several served models; choose one by --model: {names}")


def load_single(path: Path, signer: PartyPublicKey | None) -> ServedModel:
    """Read and verify a served model's file; raises `InputError` as `load_served_model`."""
    return load_served_model(path, signer)
