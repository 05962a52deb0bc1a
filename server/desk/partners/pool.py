"""The desk's links to all its partners, shared by the models that it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from federation.identity import PartyKey, PartyPublicKey
from server.desk.partners.breaker import BreakerState
from server.desk.partners.line import Dialling
from server.desk.partners.link import Link, LinkSettings
from server.desk.partners.outcomes import PartnerHooks


@dataclass(frozen=True)
class PartnerAddress:
    """Where a partner answers.

    Attributes:
        address: host:port.
        deadline_seconds: the most that any answer of it is waited for; None: as long as there is.
    """

    address: str
    deadline_seconds: float | None = None


@dataclass
class _Shared:
    link: Link
    users: int = field(default=0)


class LinkPool:
    """Links by partner and pinned key, made when a model first needs one, closed after the last.

    A model that is loaded beside or after another finds connections, latencies and breakers as
    they are; partners see no more connections than one model needs.

    Args:
        key: the label party's long-term key.
        addresses: of partners, by name.
        hooks: who is told of what.
        settings: how partners are dealt with.
    """

    def __init__(
        self,
        key: PartyKey,
        addresses: Mapping[str, PartnerAddress],
        hooks: PartnerHooks | None = None,
        settings: LinkSettings | None = None,
    ) -> None:
        """Nothing is connected yet."""
        self.key = key
        self.hooks = hooks or PartnerHooks()
        self._addresses = dict(addresses)
        self._settings = settings or LinkSettings()
        self._links: dict[tuple[str, str, str], _Shared] = {}

    def take(self, party: str, pin: PartyPublicKey, label_party: str) -> Link | None:
        """A link to a partner, to be handed back with `give_back`; None: it has no address here.

        On the event loop that asks.
        """
        address = self._addresses.get(party)
        if address is None:
            return None
        key = (party, pin.text, label_party)
        shared = self._links.get(key)
        if shared is None:
            dialling = Dialling(address.address, party, pin, label_party, self.key)
            settings = self._settings
            if address.deadline_seconds is not None:
                settings = replace(settings, most_seconds=address.deadline_seconds)
            shared = self._links[key] = _Shared(Link(dialling, self.hooks, settings))
        shared.users += 1
        return shared.link

    async def give_back(self, link: Link) -> None:
        """A model needs this link no more; the last one closes it."""
        for key, shared in tuple(self._links.items()):
            if shared.link is link:
                shared.users -= 1
                if shared.users <= 0:
                    del self._links[key]
                    await link.close()

    @property
    def states(self) -> Mapping[str, BreakerState]:
        """Every connected partner's breaker; of two links to one partner, the one not closed."""
        states: dict[str, BreakerState] = {}
        for (party, _, _), shared in self._links.items():
            if states.get(party, BreakerState.CLOSED) is BreakerState.CLOSED:
                states[party] = shared.link.breaker.state
        return states

    async def close(self) -> None:
        """Close all links, whoever uses them."""
        links = [shared.link for shared in self._links.values()]
        self._links.clear()
        await asyncio.gather(*(link.close() for link in links))
