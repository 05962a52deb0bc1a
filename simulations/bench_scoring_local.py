"""A bank that holds all features itself: the federated model in one part, served without partners.

It is the largest model at hand: all parties' weights, and all their features in every request.
"""

from __future__ import annotations

from dataclasses import replace

from clients.vault import load_part, party_key, save_served_model
from federation.additive.model_part import ModelPart
from simulations.bench_scoring_federation import BANK, Trained
from simulations.bench_scoring_offline import Offline, pooled_columns, pooled_offline, read_served

RUN = "run-of-one"


def pooled_model(trained: Trained) -> tuple[Trained, Offline]:
    """Write and sign the pooled model as a run of its own; returns it and its offline scores."""
    served = read_served(trained)
    main = served.main
    theirs = [load_part(trained.run / p / f"model-{main.name}.json") for p in main.parties]
    part = _joined([main.part, *theirs])
    used = {binning.feature for binning in part.binnings}
    pooled = replace(
        served,
        pins={},
        features=tuple(c.spec for c in pooled_columns(trained) if c.spec.name in used),
        variants=(replace(main, parties=(), part=part),),
        development={},
    )
    run = trained.run.parent / RUN
    (run / BANK).mkdir(parents=True)
    key = party_key(trained.folder / BANK / "vault")
    save_served_model(run / BANK / f"served-{main.name}.json", pooled, key)
    return replace(trained, run=run), pooled_offline(trained, pooled)


def _joined(parts: list[ModelPart]) -> ModelPart:
    """One part that adds up what all do."""
    return replace(
        parts[0],
        intercept=sum(part.intercept for part in parts),
        binnings=tuple(binning for part in parts for binning in part.binnings),
        labels=tuple(label for part in parts for label in part.labels),
        weights=tuple(weights for part in parts for weights in part.weights),
        pairs=tuple(pair for part in parts for pair in part.pairs),
        shares=tuple(shares for part in parts for shares in part.shares),
    )
