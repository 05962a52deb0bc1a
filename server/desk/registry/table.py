"""The models that a desk answers with at one moment; never changed, only replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from federation.errors import InputError
from server.desk.answers import LoadedModel, Route
from server.desk.registry.routing import place

CHAMPION = "champion"
CHALLENGER = "challenger"


@dataclass(frozen=True)
class LineTable:
    """Who answers for one line.

    Attributes:
        champion: for borrowers beyond the threshold.
        challenger: for those below it, or None.
        threshold: of 64-bit places; 0 where there is no challenger.
        key: keys the places.
    """

    champion: Route
    challenger: Route | None = None
    threshold: int = 0
    key: bytes = field(default=b"", repr=False)

    def route(self, borrower: str) -> Route:
        """The models for a borrower."""
        if self.challenger is not None and place(borrower, self.key) < self.threshold:
            return self.challenger
        return self.champion

    @property
    def models(self) -> list[LoadedModel]:
        """All models that take part."""
        taking = [self.champion.model, *self.champion.shadows]
        return taking if self.challenger is None else [*taking, self.challenger.model]


@dataclass(frozen=True)
class ModelTable:
    """All lines, and models by name.

    Attributes:
        default: the line of requests that name none.
        lines: by name, those with a champion.
        named: by the model's name.
    """

    default: str
    lines: Mapping[str, LineTable] = field(default_factory=dict)
    named: Mapping[str, Route] = field(default_factory=dict)

    def route(self, borrower: str, asked: str) -> Route:
        """The models for a borrower (normalised id).

        Args:
            borrower: whose place decides between champion and challenger.
            asked: a line, a model's name, or empty for the default line.

        Raises:
            InputError: there is none.
        """
        line = self.lines.get(asked or self.default)
        return self._named(asked) if line is None else line.route(borrower)

    def champion(self, asked: str) -> LoadedModel:
        """The line's champion, or the model of that name; `asked` and errors as for `route`."""
        line = self.lines.get(asked or self.default)
        return (self._named(asked) if line is None else line.champion).model

    def _named(self, asked: str) -> Route:
        named = self.named.get(asked)
        if named is not None:
            return named
        if not asked:
            raise InputError(
                f"no model of the line '{self.default}' is in production; put one there with "
                "`veilscore models promote`"
            )
        raise InputError(
            "the model asked for is not served here; ModelInfo and `veilscore models list` name "
            "those that are"
        )

    @property
    def models(self) -> list[LoadedModel]:
        """All models, each once."""
        found = {id(route.model): route.model for route in self.named.values()}
        for line in self.lines.values():
            found |= {id(model): model for model in line.models}
        return list(found.values())
