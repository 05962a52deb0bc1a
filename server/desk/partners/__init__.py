"""The desk's links to partners: who is asked, how long, and what answers when one is silent."""

from server.desk.partners.breaker import BreakerSettings, BreakerState
from server.desk.partners.link import LinkSettings
from server.desk.partners.links import PartnerLinks
from server.desk.partners.offers import PartnerOffer
from server.desk.partners.outcomes import Outcome, PartnerHooks
from server.desk.partners.pool import LinkPool, PartnerAddress

__all__ = [
    "BreakerSettings",
    "BreakerState",
    "LinkPool",
    "LinkSettings",
    "Outcome",
    "PartnerAddress",
    "PartnerHooks",
    "PartnerLinks",
    "PartnerOffer",
]
