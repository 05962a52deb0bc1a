"""What all banks have alike at a step, as a digest: it follows from the plan and the totals alone.

Sums are bound to it (`SecureSumClient.bind`). A coordinator that gives banks different totals so
splits them for good: no bank opens a sum to which one with another history contributed.
"""

from __future__ import annotations

import hashlib

from federation.horizontal.client_state import BankState
from federation.neural.weights import digest
from federation.record_chain import canonical_json


def common_digest(state: BankState) -> str:
    """SHA-256, in hexadecimal, over what decides the next contribution but a bank's own rows.

    The server optimiser and the best weights are not in it: they follow from the weights of earlier
    sums, but for what float32 rounds off, and show in the next ones.
    """
    content = {
        "run": state.run,
        "plan": state.plan_digest,
        "opened": state.opened,
        "phase": state.phase,
        "round": state.rounds,
        "rows": state.total_rows,
        "scaling": state.scaling,
        "weights": digest(state.weights),
        "range": state.update_range,
        "best": [state.best_round, repr(state.best_loss), state.stale],  # infinity is no JSON
    }
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()
