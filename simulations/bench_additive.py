"""`veilscore bench additive`: a whole session of the additive model, measured against plaintext.

Over 'stream' every party is a process of its own and every message goes over the relay; over
'memory' all machines run in this process. Figures after alignment only, as a training that is
repeated on the same alignment would see them.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clients.channels.stream import StreamChannel
from clients.vault import Vault, party_key
from federation.additive.model_part import ModelPart
from federation.additive.schedule import Round
from federation.additive.settings import AdditiveSettings
from federation.alignment import open_group
from federation.errors import InputError
from federation.linear_maps import full_width_bytes, message_bytes
from federation.linear_maps.lattice import SCHEME as LATTICE
from federation.linear_maps.parameters import choose_parameters
from federation.metrics import auc, ks
from federation.quantisation import RESIDUAL_SCALE
from federation.sealing import SealedMachine
from federation.session.in_process import run_in_process
from federation.session.machine import Machine
from federation.vertical import (
    FeatureSessionResult,
    LabelSessionResult,
    SessionPlan,
    SplitPlan,
    feature_party_session,
    label_party_session,
)
from server.coordinator.relay import Relay
from simulations.bench_plaintext import plaintext_figures
from simulations.bench_population import FEATURE_PARTY, LABEL_PARTY, load, write_population
from simulations.flame_graph import find_spy, flame_graph
from simulations.slow_link import Link, slow_link

PARTIES = (LABEL_PARTY, FEATURE_PARTY)
TRAINING = "exact"
TEST_ROWS = "test-rows.npy"
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Setting:
    """What a run of the benchmark is put to.

    Attributes:
        link: the network between each party and the relay; None: this machine's own.
        again: a second session on the same tables: what was kept of the first is not made again.
        flames: a folder for one flame graph a party and session ('stream' only; needs py-spy).
    """

    link: Link | None = None
    again: bool = False
    flames: Path | None = None


def party_machine(
    folder: Path, party: str, data: str, plan: SessionPlan
) -> tuple[SealedMachine, list[tuple[str, int]]]:
    """A party's sealed machine, and the list of what it sends: kinds and bytes.

    Its key lies in a vault of its own, and there it keeps alignment and map, as in any run.
    """
    table = load(folder, party, data)
    group = open_group(len(table.identifiers))
    kept = Vault(folder / f"vault-{party}").kept
    role: Any
    if party == LABEL_PARTY:
        role = label_party_session(table, plan, group, "bench", store=kept)
    else:
        session = plan.session
        role = feature_party_session(table, party, LABEL_PARTY, session, group, "bench", store=kept)
    sent: list[tuple[str, int]] = []
    machine: Machine[Any] = Machine(
        party, plan.session, role, on_sent=lambda s: sent.append((s.kind, s.size_bytes))
    )
    pins = {peer: party_key(folder / f"vault-{peer}").public for peer in PARTIES}
    key = party_key(folder / f"vault-{party}")
    return SealedMachine(machine, key, pins, opens=party == LABEL_PARTY), sent


ALIGNMENT_KINDS = ("blinded_ids", "reblinded_ids", "aligned_rows")


def _summary(folder: Path, machine: SealedMachine, sent: list[tuple[str, int]]) -> dict[str, Any]:
    after = sum(size for kind, size in sent if kind not in ALIGNMENT_KINDS)
    by_kind: Counter[str] = Counter()
    for kind, size in sent:
        by_kind[kind] += size
    summary: dict[str, Any] = {
        "sent": dict(by_kind),
        "bytes": after,
        "alignment_bytes": sum(size for _, size in sent) - after,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "cpu_seconds": round(time.process_time(), 3),
    }
    result = machine.result
    summary["seconds"] = {stage: round(value, 4) for stage, value in result.seconds.items()}
    if isinstance(result, LabelSessionResult):
        training = result.trainings[0]
        last = training.fit.rounds[-1]
        if not isinstance(last, Round):
            raise TypeError("the benchmark trains the additive model")
        np.save(folder / TEST_ROWS, result.test_rows)
        summary |= {
            "rounds": len(training.fit.rounds),
            "auc_alone": float(auc(result.test_labels, result.alone_test_scores)),
            "auc": float(auc(result.test_labels, training.test_scores)),
            "ks": float(ks(result.test_labels, training.test_scores)),
            "strengths": [last.smoothness, last.ridge],
            "scheme": result.scheme,
            "borrowers": result.counts["training"] + result.counts["validation"],
            "features": dict(result.features),
        }
    else:
        summary["max_bins"] = next(iter(result.max_bins.values()))
    summary["pairs"] = len(_part(result).pairs)
    return summary


def _part(result: LabelSessionResult | FeatureSessionResult) -> ModelPart:
    part = result.parts[TRAINING] if isinstance(result, FeatureSessionResult) else None
    part = result.trainings[0].part if isinstance(result, LabelSessionResult) else part
    if not isinstance(part, ModelPart):
        raise TypeError("the benchmark trains the additive model")
    return part


def _party_process(
    folder: Path, party: str, data: str, plan: SessionPlan, address: str, certificate: bytes
) -> None:
    machine, sent = party_machine(folder, party, data, plan)
    key = party_key(folder / f"vault-{party}")
    StreamChannel(address, key, certificate, tell_inputs=True).run(
        machine, lambda: json.dumps(_summary(folder, machine, sent))
    )


def _over_stream(
    folder: Path, data: str, plan: SessionPlan, setting: Setting, session: str
) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    pins = {party: party_key(folder / f"vault-{party}").public for party in PARTIES}
    with Relay(plan.session, pins, join_seconds=300) as relay, ExitStack() as stack:
        processes = {}
        for party in PARTIES:
            address = relay.address
            if setting.link is not None:  # each party has a line of its own
                address = stack.enter_context(slow_link(address, setting.link))
            processes[party] = context.Process(
                target=_party_process,
                args=(folder, party, data, plan, address, relay.certificate),
            )
        for party, process in processes.items():
            process.start()
            if setting.flames is not None:
                picture = setting.flames / f"flame-{party}{session}.svg"
                stack.enter_context(flame_graph(process.pid, picture))
        try:
            return {party: json.loads(text) for party, text in relay.wait().items()}
        finally:
            for process in processes.values():
                process.join(timeout=20)
                if process.is_alive():
                    process.terminate()


def _in_memory(
    folder: Path, data: str, plan: SessionPlan, setting: Setting, session: str
) -> dict[str, Any]:
    made = {party: party_machine(folder, party, data, plan) for party in PARTIES}
    run_in_process({party: machine for party, (machine, _) in made.items()})
    return {party: _summary(folder, machine, sent) for party, (machine, sent) in made.items()}


def bench(
    rows: int,
    label_features: int,
    party_features: int,
    bins: int,
    transport: str,
    data: str,
    setting: Setting = Setting(),
    pairs: int = 0,
) -> dict[str, Any]:
    """Run one session and the plaintext comparison; returns the figures.

    Args:
        rows: borrowers in all, a fifth of them for the test.
        label_features, party_features: features at each side.
        bins: most bins a feature.
        transport: 'memory' or 'stream'.
        data: 'simulated', or 'uci' (its own sizes).
        setting: the link, a second session, flame graphs.
        pairs: most pairs of features a party; what is compared with has none.

    Raises:
        InputError: an unknown transport or data.
    """
    if transport not in ("memory", "stream") or data not in ("simulated", "uci"):
        raise InputError(
            f"bench additive: transport is '{transport}' and data '{data}'; transport may be "
            "'memory' or 'stream', data 'simulated' or 'uci'"
        )
    if data == "simulated" and (rows < 500 or min(label_features, party_features) < 1):
        raise InputError("bench additive: at least 500 rows and one feature a party are needed")
    if setting.flames is not None:
        find_spy()
        setting.flames.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="veilscore-bench-") as scratch:
        folder = Path(scratch)
        if data == "uci":
            from simulations.uci import write_parties

            write_parties(folder)
        else:
            write_population(folder, rows, label_features, party_features)
        run = _over_stream if transport == "stream" else _in_memory
        summaries = run(folder, data, _plan(bins, pairs), setting, "")
        bank = summaries[LABEL_PARTY]
        again = run(folder, data, _plan(bins, pairs), setting, "-again") if setting.again else None
        partner_bins = int(summaries[FEATURE_PARTY]["max_bins"])
        plain = plaintext_figures(
            folder, data, np.load(folder / TEST_ROWS), (bins, partner_bins), bank["strengths"]
        )
    figures = {
        "rows": rows if data == "simulated" else 30000,
        "label_features": label_features if data == "simulated" else 5,
        "party_features": party_features if data == "simulated" else 30,
        "bins": bins,
        "pairs": {party: one["pairs"] for party, one in summaries.items()},
        "transport": transport,
        "data": data,
        "map": bank["scheme"],
        **_session_figures(summaries),
        "auc": bank["auc"],
        "auc_alone": bank["auc_alone"],
        "ks": bank["ks"],
        **plain,
    }
    training = figures["training_seconds"]
    figures["training_over_same_model"] = round(training / plain["same_model_seconds"], 3)
    if setting.link is not None:
        figures["link"] = {"megabits": setting.link.megabits, "delay_ms": 1e3 * setting.link.delay}
    if again is not None:
        figures["again"] = _session_figures(again)
    return figures


def _plan(bins: int, pairs: int) -> SessionPlan:
    return SessionPlan(
        f"bench-{secrets.token_hex(4)}",
        LABEL_PARTY,
        (FEATURE_PARTY,),
        trainings=(AdditiveSettings(name=TRAINING, bins=bins, pairs=pairs),),
        split=SplitPlan(TEST_SHARE, 0.2, 42),
    )


def _session_figures(summaries: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Seconds as the label party sees them, and what both parties took and sent."""
    bank = summaries[LABEL_PARTY]
    stages = bank["seconds"]
    training = stages[f"training '{TRAINING}'"]
    return {
        "seconds": round(stages["set-up"] + training, 4),
        "setup_seconds": stages["set-up"],
        "training_seconds": training,
        "alignment_seconds": stages["alignment"],
        "parties": {
            party: {"cpu_seconds": one["cpu_seconds"], "seconds": one["seconds"]}
            for party, one in summaries.items()
        },
        "rounds": bank["rounds"],
        "bytes": sum(int(one["bytes"]) for one in summaries.values()),
        "bytes_full_width": sum(_full_width(summaries).values()),
        "alignment_bytes": sum(int(one["alignment_bytes"]) for one in summaries.values()),
        "peak_rss_mb": round(max(float(one["peak_rss_mb"]) for one in summaries.values()), 1),
    }


def _full_width(summaries: Mapping[str, dict[str, Any]]) -> Counter[str]:
    """Bytes by kind, after alignment, as they were at 8 bytes a word and a score."""
    bank = summaries[LABEL_PARTY]
    wide: dict[str, int] = {}
    sent: dict[str, int] = {}
    if bank["scheme"] == LATTICE:
        borrowers = int(bank["borrowers"])
        wide = full_width_bytes(1, borrowers)
        sent = message_bytes(choose_parameters(borrowers, RESIDUAL_SCALE), 1)
    full: Counter[str] = Counter()
    for one in summaries.values():
        for kind, size in one["sent"].items():
            if kind not in ALIGNMENT_KINDS:
                full[kind] += size * wide.get(kind, 1) // sent.get(kind, 1)
    return full
