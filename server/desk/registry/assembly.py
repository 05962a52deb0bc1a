"""From a snapshot of the registry to the table of models that answer.

A model that was tampered with or does not work is left out, and where it answered before, the model
that answered goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from federation.errors import InputError
from federation.identity import PartyPublicKey
from federation.schema import FeatureColumn, FeatureKind, FeatureSpec
from federation.scoring import ServedModel, to_points
from server.desk.answers import Contributors, LoadedModel, Route
from server.desk.registry.records import ModelRecord, Routing
from server.desk.registry.routing import threshold
from server.desk.registry.snapshot import Snapshot
from server.desk.registry.table import CHALLENGER, CHAMPION, LineTable, ModelTable


@dataclass(frozen=True)
class Checked:
    """A snapshot whose tables agree with its event record.

    Attributes:
        changes: the registry's counter.
        models: by name, those that are not archived.
        routing: by line.
        served: models whose documents hold what their signers signed, by name.
        refused: why the others are not among them, by name.
    """

    changes: int
    models: Mapping[str, ModelRecord]
    routing: Mapping[str, Routing]
    served: Mapping[str, ServedModel]
    refused: Mapping[str, str]


def check_snapshot(snapshot: Snapshot, signers: Sequence[PartyPublicKey]) -> Checked:
    """Check a snapshot, every signature in it, and that the models compute.

    Raises:
        InputError: the tables are not what the event record says.
    """
    findings = snapshot.findings()
    if findings:
        raise InputError(f"the registry was changed by other hands than veilscore's: {findings[0]}")
    served, refused = {}, {}
    for name in snapshot.documents:
        try:
            model = snapshot.verified(name, signers)
            _try_out(model, name)
            served[name] = model
        except InputError as error:
            refused[name] = str(error)
    live = {name: snapshot.models[name] for name in snapshot.documents}
    return Checked(snapshot.head.length, live, snapshot.routing, served, refused)


@dataclass
class Assembly:
    """Builds one table after another.

    Attributes:
        checked: what the registry holds.
        before: the table that answers now; models that stay are taken from it.
        contributors, warm: as the directory was given them.
        refused: what can't answer and why, by model, once the table is made.
    """

    checked: Checked
    before: ModelTable
    contributors: Callable[[ServedModel], Contributors]
    warm: Callable[[LoadedModel], Awaitable[None]] | None = None
    refused: dict[str, str] = field(default_factory=dict)
    _made: list[Contributors] = field(default_factory=list)

    async def table(self) -> ModelTable:
        """The table to answer with; where it is not made, nothing that was begun stays open."""
        try:
            return await self._table()
        except BaseException:
            for contributors in self._made:
                await contributors.close()
            raise

    async def _table(self) -> ModelTable:
        self.refused |= self.checked.refused
        loaded: dict[str, LoadedModel] = {}
        there = {(model.name, model.digest): model for model in self.before.models}
        for name, record in self.checked.models.items():
            known = there.get((name, record.digest))
            model = known
            if known is not None and known.stage != record.stage:
                model = replace(known, stage=str(record.stage))
            if known is None and name in self.checked.served:
                model = await self._load(record, self.checked.served[name])
            if model is not None:
                loaded[name] = model
        lines = {
            line: self._line(line, routing, loaded)
            for line, routing in self.checked.routing.items()
        }
        champions = {r.champion for r in self.checked.routing.values()}
        return ModelTable(
            self.before.default,
            {line: made for line, made in lines.items() if made is not None},
            {
                name: Route(model, CHAMPION if name in champions else CHALLENGER)
                for name, model in loaded.items()
            },
        )

    def _line(
        self, line: str, routing: Routing, loaded: Mapping[str, LoadedModel]
    ) -> LineTable | None:
        champion = loaded.get(routing.champion or "")
        if champion is None:
            # A line that answered goes on answering as it did.
            return self.before.lines.get(line)
        shadows = tuple(loaded[name] for name in routing.shadows if name in loaded)
        challenger = loaded.get(routing.challenger or "")
        if challenger is None:
            return LineTable(Route(champion, CHAMPION, shadows))
        return LineTable(
            Route(champion, CHAMPION, shadows),
            Route(challenger, CHALLENGER, shadows),
            threshold(routing.share_millionths),
            routing.epoch_key,
        )

    async def _load(self, record: ModelRecord, served: ServedModel) -> LoadedModel | None:
        """A new model, ready; None where it does not work."""
        contributors: Contributors | None = None
        try:
            contributors = self.contributors(served)
            self._made.append(contributors)
            model = LoadedModel(record.name, str(record.stage), served, record.digest, contributors)
            if self.warm is not None:
                await self.warm(model)
        except Exception as error:
            # What a model's preparation raises must not stop the others.
            reason = str(error) if isinstance(error, InputError) else type(error).__name__
            self.refused[record.name] = f"model '{record.name}' can't be prepared ({reason})"
            if contributors is not None:
                self._made.remove(contributors)
                await contributors.close()
            return None
        return model


def _try_out(model: ServedModel, name: str) -> None:
    """Score a borrower of whom nothing is known with every variant.

    Raises:
        InputError: a variant does not give points.
    """
    columns = [_missing(spec) for spec in model.features]
    for variant in model.variants:
        try:
            points = to_points(variant.part.partial_scores(columns))
            variant.calibration.log_odds(points.astype(np.int64))
        except (InputError, ValueError, IndexError) as error:
            raise InputError(
                f"model '{name}' of the registry can't be served: its variant '{variant.name}' "
                "gives no points"
            ) from error


def _missing(spec: FeatureSpec) -> FeatureColumn:
    value: object = np.nan if spec.kind is FeatureKind.NUMERIC else None
    kind = np.float64 if spec.kind is FeatureKind.NUMERIC else object
    return FeatureColumn(spec, np.array([value], dtype=kind), np.ones(1, dtype=np.bool_))
