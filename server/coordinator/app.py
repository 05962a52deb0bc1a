"""The Flower ServerApp: starts the relay, sends each party one `train.session`, waits for the end.

The coordinator proposes trainings by name and knows parties by name; it holds no key, row or model.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

from federation.errors import InputError, PartyFailure
from federation.horizontal.server import Limits
from federation.identity import PartyPublicKey, check_pins
from federation.proto.relay_pb2 import ProgressNote
from federation.session.relay_messages import one_line
from federation.session.wire import RUN_NAME
from server.coordinator.horizontal_run import HorizontalJob, run_horizontal
from server.coordinator.nodes import PARTY_SECONDS, find_parties, missing
from server.coordinator.relay import Relay
from server.coordinator.transcript_store import TranscriptStore

LOOPBACK = "127.0.0.1:0"
# Longer than any training: a message that is lost costs its session, not the run.
SESSION_TTL_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class SessionJob:
    """One session to run.

    Attributes:
        run, session: ids.
        label_party: its name.
        parties: all parties' names, the label party's first.
        trainings: overrides of the settings in the federation file, one a training.
        task: 'train', or 'predict' with the model of another run.
        model_run, training: that model.
        party_seconds: how long to wait for all parties to come.
        pins: the parties' public keys: who may take a seat at the relay, and which.
        listen: host:port at which the relay listens; port 0 takes a free one.
        address: host:port that parties are told; where they reach `listen` if it is empty.
    """

    run: str
    session: str
    label_party: str
    parties: tuple[str, ...]
    pins: Mapping[str, PartyPublicKey]
    trainings: tuple[Mapping[str, Any], ...] = ()
    task: str = "train"
    model_run: str = ""
    training: str = ""
    party_seconds: float = PARTY_SECONDS
    listen: str = LOOPBACK
    address: str = ""


@dataclass(frozen=True)
class SessionOutcome:
    """What a session left at the coordinator: figures, no rows.

    Attributes:
        summaries: each party's own summary.
        bytes_relayed, frames_relayed: by sending party.
        seconds: from the first stream to the end.
    """

    summaries: Mapping[str, Mapping[str, Any]]
    bytes_relayed: Mapping[str, int]
    frames_relayed: Mapping[str, int]
    seconds: Mapping[str, float] = field(default_factory=dict)


def run_session(
    grid: Grid,
    job: SessionJob,
    on_progress: Callable[[str, ProgressNote], None] = lambda party, note: None,
) -> SessionOutcome:
    """Run one session with the nodes of a grid.

    Raises:
        PartyFailure: one clear sentence; no party is left hanging.
    """
    started = time.monotonic()
    nodes = _find_all(grid, job)
    found = time.monotonic()
    pins = {party: job.pins[party] for party in job.parties}
    with Relay(job.session, pins, job.party_seconds, on_progress, listen=job.listen) as relay:
        pending = {}
        for party, node in nodes.items():
            asked = ConfigRecord(
                {
                    "run": job.run,
                    "session": job.session,
                    "party": party,
                    "address": job.address or relay.address,
                    "certificate": relay.certificate,
                    "trainings": json.dumps([dict(training) for training in job.trainings]),
                    "task": job.task,
                    "model_run": job.model_run,
                    "training": job.training,
                }
            )
            message = Message(
                RecordDict({"session": asked}),
                dst_node_id=node,
                message_type="train.session",
                ttl=SESSION_TTL_SECONDS,
            )
            pending[next(iter(grid.push_messages([message])))] = party
        summaries = relay.wait(alive=lambda: _check_replies(grid, pending))
        traffic = relay.traffic
        _await_replies(grid, pending)
    return SessionOutcome(
        summaries={party: _summary(party, text) for party, text in summaries.items()},
        bytes_relayed={party: seen.bytes for party, seen in traffic.items()},
        frames_relayed={party: seen.frames for party, seen in traffic.items()},
        seconds={"find parties": found - started, "session": time.monotonic() - found},
    )


def _summary(party: str, text: str) -> Mapping[str, Any]:
    """A party's summary, which may be anything that it sent."""
    try:
        summary = json.loads(text)
    except (ValueError, RecursionError):
        summary = None
    if not isinstance(summary, dict):
        raise PartyFailure(
            f"{party} ended the session with a summary that is no JSON object; the parties keep "
            "their model parts, but the run has no record of it"
        )
    return summary


def _find_all(grid: Grid, job: SessionJob) -> dict[str, int]:
    """The nodes of all parties of a session, which needs every one."""
    nodes = find_parties(grid, job.parties, job.party_seconds)
    late = missing(job.parties, nodes)
    if late:
        raise PartyFailure(
            f"{', '.join(late)} did not come within {job.party_seconds:g} s; start its node "
            "with the right name and federation file, then run again"
        )
    return nodes


def _check_replies(grid: Grid, pending: dict[str, str]) -> None:
    """Give the session up as soon as a party replies that it failed."""
    for reply in grid.pull_messages(list(pending)):
        party = pending.pop(reply.metadata.reply_to_message_id, "a party")
        if reply.has_error():
            reason = one_line(reply.error.reason or "no reason given", 500)
            raise PartyFailure(f"{party}: its process failed ({reason})")
        try:
            outcome = reply.content["outcome"]
            sentence, kind = str(outcome["sentence"]), outcome.get("kind")
        except (KeyError, TypeError, AttributeError):
            sentence, kind = "its reply does not say how the session ended", None
        if sentence:
            # A party that only heard of a failure, or can't reach the relay, is not to blame.
            who = f"{party} reports" if kind == "PartyFailure" else party
            raise PartyFailure(f"{who}: {one_line(sentence)}")


def _await_replies(grid: Grid, pending: dict[str, str]) -> None:
    """Let the parties' handlers return after a session that ended well."""
    deadline = time.monotonic() + 10
    while pending and time.monotonic() < deadline:
        _check_replies(grid, pending)
        time.sleep(0.02)


app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """`flwr run`: the run's configuration names the parties, and what they share.

    Vertical (the default): a session, label party first. Horizontal: several banks' rounds, with
    the banks' limits and, to go on with a run that was stopped, its name (`resume`).
    """
    names = tuple(map(str.strip, str(context.run_config["parties"]).split(",")))
    if context.run_config.get("topology", "vertical") == "horizontal":
        job = horizontal_job(names, str(context.run_id), context.run_config)
        folder = Path(str(context.run_config.get("transcripts", "transcripts"))) / job.run
        run_horizontal(grid, job, TranscriptStore(folder))
        return
    session = f"{context.run_id:x}-{secrets.token_hex(4)}"
    pins = read_pins(str(context.run_config.get("party-keys", "")), names)
    session_job = SessionJob(
        str(context.run_id),
        session,
        names[0],
        names,
        pins,
        listen=str(context.run_config.get("relay-listen", LOOPBACK)),
        address=str(context.run_config.get("relay-address", "")),
    )
    run_session(grid, session_job)


def read_pins(text: str, names: tuple[str, ...]) -> dict[str, PartyPublicKey]:
    """The parties' public keys from Flower's flat configuration: NAME=KEY, commas between.

    Raises:
        InputError: a party's key is missing or mistyped, or two parties have the same one.
    """
    pins: dict[str, PartyPublicKey] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        name, _, key = (part.strip() for part in entry.partition("="))
        if name in pins:
            raise InputError(f"run configuration: party-keys has two keys of {name}; one is right")
        pins[name] = PartyPublicKey.from_text(key, f"run configuration, party-keys: {name}")
    late = missing(names, pins)
    if late:
        raise InputError(
            f"run configuration: party-keys has no key of {', '.join(late)}; give "
            'party-keys="NAME=KEY,NAME=KEY" with the lines that `veilscore keys` prints there'
        )
    check_pins(pins)
    return pins


def horizontal_job(
    names: tuple[str, ...], run: str, configuration: Mapping[str, Any]
) -> HorizontalJob:
    """A horizontal run from Flower's flat configuration; the numbers are those of [aggregation].

    Raises:
        InputError: the run to resume is no run's name.
    """
    default = Limits()
    resume = str(configuration.get("resume", ""))
    if resume and not RUN_NAME.fullmatch(resume):
        raise InputError(f"'resume' is '{resume}', which is no run's name")
    return HorizontalJob(
        run=resume or run,
        banks=names,
        limits=Limits(
            minimum_banks=int(configuration.get("minimum-clients", default.minimum_banks)),
            dropouts=int(configuration.get("dropouts", default.dropouts)),
            sample_share=float(configuration.get("sample-share", default.sample_share)),
        ),
        round_seconds=float(configuration.get("round-seconds", 120.0)),
        resume=bool(resume),
    )
