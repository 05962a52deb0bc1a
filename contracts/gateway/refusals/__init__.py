"""Every refusal of our contracts and of the library under them, by name.

One class an error; equal signatures in several contracts share a class, for the chain can't tell
them apart. A test holds them against the committed ABIs.
"""

from __future__ import annotations

from contracts.gateway.refusals.attestations import *  # noqa: F403
from contracts.gateway.refusals.library import *  # noqa: F403
from contracts.gateway.refusals.orders import *  # noqa: F403
from contracts.gateway.refusals.pool import *  # noqa: F403
from contracts.gateway.refusals.registry import *  # noqa: F403
from contracts.gateway.refusals.shared import *  # noqa: F403
