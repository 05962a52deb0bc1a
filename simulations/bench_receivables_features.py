"""How long the features of all suppliers take, from an index in SQLite, on one core."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def bench_receivables_features(
    suppliers: int, events: int, say: Callable[[str], None] = lambda words: None
) -> dict[str, Any]:
    """Write a simulated index, and compute all features of all its suppliers.

    Args:
        suppliers: of the population.
        events: rows of 'movements' wanted.
        say: told what is going on.

    Returns:
        suppliers, movements, invoices and features counted; simulate_seconds (the index);
        read_seconds and compute_seconds, and seconds, their sum; cpu_seconds of both (when others
        use the machine too, seconds is well above it); peak_rss_mb of this process, the simulation
        included.
    """
    import sqlalchemy as sa
    from threadpoolctl import threadpool_limits

    from contracts.features import cut_of
    from contracts.features.computing import features_of
    from contracts.features.reading import read_facts
    from simulations.supply_chain import SupplyChainPlan, draw_supply_chain
    from simulations.supply_chain_index import write_index

    plan = SupplyChainPlan(suppliers=suppliers, events=events)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        path = Path(folder) / "index.db"
        say(f"simulating {suppliers:,} suppliers")
        started = time.perf_counter()
        written = write_index(draw_supply_chain(plan), path, with_events=False)
        simulated = time.perf_counter() - started
        say(f"computing features from {written.movements:,} movements")
        engine = sa.create_engine(f"sqlite:///{path}")
        started, cpu_started = time.perf_counter(), time.process_time()
        with engine.connect() as connection:
            facts = read_facts(connection, cut_of(plan.cut))
        read = time.perf_counter() - started
        started = time.perf_counter()
        features = features_of(facts)
        computed = time.perf_counter() - started
        cpu = time.process_time() - cpu_started
        engine.dispose()
    return {
        "suppliers": len(features.suppliers),
        "movements": written.movements,
        "invoices": written.invoices,
        "features": len(features.columns),
        "seconds": round(read + computed, 3),
        "read_seconds": round(read, 3),
        "compute_seconds": round(computed, 3),
        "cpu_seconds": round(cpu, 3),
        "simulate_seconds": round(simulated, 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
