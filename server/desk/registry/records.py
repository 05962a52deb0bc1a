"""What the registry knows of models and routing, and what its event record says it must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from federation.record_chain import Entry
from server.desk.registry.names import split_name

MILLION = 1_000_000


class Stage(StrEnum):
    """Where a model stands."""

    STAGING = "staging"  # may be a challenger or a shadow
    PRODUCTION = "production"  # one a line: the champion
    ARCHIVED = "archived"  # answers nothing


class Change(StrEnum):
    """What an event of the registry did."""

    ADDED = "added"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    CHALLENGED = "challenged"
    CHALLENGE_ENDED = "challenge ended"
    SHADOWED = "shadowed"
    SHADOW_ENDED = "shadow ended"
    ARCHIVED = "archived"


@dataclass(frozen=True)
class ModelRecord:
    """A registered model, without its document.

    Attributes:
        name: line and version, 'default:3'.
        digest: SHA-256 of the served model.
        signer: fingerprint of the key that signed it.
        run, session, training: where it comes from.
        created_ms, created_by: when it was added, by whom.
    """

    name: str
    stage: Stage
    digest: str
    signer: str
    run: str
    session: str
    training: str
    created_ms: int
    created_by: str

    @property
    def line(self) -> str:
        """The line it belongs to."""
        return split_name(self.name)[0]


@dataclass(frozen=True)
class StageChange:
    """One entry of a model's history."""

    stage: Stage
    at_ms: int
    by: str
    why: str


@dataclass(frozen=True)
class Routing:
    """Which models of a line answer.

    Attributes:
        champion: in production, or None.
        challenger: answers a share of the borrowers, or None.
        share_millionths: that share.
        epoch_key: keys the choice of borrowers; a new one with each new challenger.
        shadows: score too, untold; sorted.
    """

    champion: str | None = None
    challenger: str | None = None
    share_millionths: int = 0
    epoch_key: bytes = field(default=b"", repr=False)
    shadows: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The challenger's share of the borrowers."""
        return self.share_millionths / MILLION


@dataclass
class Projection:
    """What the events say: digests and stages by model, and routing by line."""

    digests: dict[str, str] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)
    productions: dict[str, list[str]] = field(default_factory=dict)
    challengers: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    shadows: dict[str, set[str]] = field(default_factory=dict)

    def apply(self, body: Mapping[str, Any]) -> None:
        """Take one event in."""
        name, change = str(body["model"]), Change(body["change"])
        line = split_name(name)[0]
        stack = self.productions.setdefault(line, [])
        shadows = self.shadows.setdefault(line, set())
        if change is Change.ADDED:
            self.digests[name] = str(body["digest"])
            self.stages[name] = Stage.STAGING
        elif change in (Change.PROMOTED, Change.ROLLED_BACK):
            if stack:
                self.stages[stack[-1]] = Stage.ARCHIVED
            if change is Change.PROMOTED:
                stack.append(name)
            else:
                stack.pop()
            self.stages[name] = Stage.PRODUCTION
            self._leave(line, name)
        elif change is Change.CHALLENGED:
            self._leave(line, name)
            self.stages[name] = Stage.STAGING
            share, epoch = int(body["share_millionths"]), str(body["epoch"])
            self.challengers[line] = (name, share, epoch)
        elif change is Change.CHALLENGE_ENDED:
            self._leave(line, name)
        elif change is Change.SHADOWED:
            self.stages[name] = Stage.STAGING
            shadows.add(name)
        elif change is Change.SHADOW_ENDED:
            shadows.discard(name)
        else:
            self.stages[name] = Stage.ARCHIVED

    def champion(self, line: str) -> str | None:
        """What the events say is in production."""
        stack = self.productions.get(line)
        return stack[-1] if stack else None

    def _leave(self, line: str, name: str) -> None:
        if self.challengers.get(line, ("",))[0] == name:
            del self.challengers[line]
        self.shadows.get(line, set()).discard(name)


def project(entries: Iterable[Entry]) -> Projection:
    """Replay a record.

    Raises:
        KeyError, ValueError, IndexError, InputError: an event is none of the registry's.
    """
    projection = Projection()
    for entry in entries:
        projection.apply(entry.body)
    return projection
