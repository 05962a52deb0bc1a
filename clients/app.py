"""The Flower ClientApp of a party: says who it is, and takes part in a session.

A party's process learns which party it is from its node's configuration (`party`, `federation`),
or, in Flower's simulation, from the federation file that the environment names and its partition.
No state lives in globals: in simulation, nodes share processes from one message to the next.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import traceback
from pathlib import Path
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from clients.channels.stream import StreamChannel, told
from clients.federation_file import FederationConfig, read_federation
from clients.party import PartyJob, PartyRun, software, summary_text
from clients.pins import Identity, identity_of
from clients.plan import epsilon_budget, session_plan
from clients.prediction import PredictionJob, PredictionRun
from clients.vault import RUN_NAME, Vault, write_private
from federation.errors import InputError, ProtocolError, VeilscoreError
from federation.horizontal.messages import declined
from federation.identity import PartyPublicKey
from federation.session.machine import Sent
from federation.session.relay_messages import one_line

# Set by whoever runs all parties on one machine; never in a deployment.
SIMULATION_FEDERATION = "VEILSCORE_SIMULATION_FEDERATION"
SIMULATION_OUTPUT = "VEILSCORE_SIMULATION_OUTPUT"
# All parties' public keys as JSON: no party's process opens another's vault, even then.
SIMULATION_KEYS = "VEILSCORE_SIMULATION_KEYS"
FRAME = "frame"

app = ClientApp()
log = logging.getLogger("veilscore.party")


def _identity(context: Context) -> tuple[FederationConfig, str]:
    """The federation file of this node, and the party that it is."""
    path = context.node_config.get("federation") or os.environ.get(SIMULATION_FEDERATION)
    if not path:
        raise InputError(
            "this node does not know its federation: start it with "
            '--node-config \'party="NAME" federation="PATH"\''
        )
    config = read_federation(Path(str(path)))
    if SIMULATION_OUTPUT in os.environ:
        config = config.with_output(Path(os.environ[SIMULATION_OUTPUT]))
    if SIMULATION_KEYS in os.environ:
        handed = json.loads(os.environ[SIMULATION_KEYS])
        keys = {name: PartyPublicKey.from_text(key, name) for name, key in handed.items()}
        config = config.with_keys(keys)
    party = context.node_config.get("party")
    if party is None:
        party = config.parties[int(context.node_config["partition-id"])].name
    return config, config.party(str(party)).name


@app.query("party")
def party_name(message: Message, context: Context) -> Message:
    """Tell the coordinator which party this node is; '' if it does not know."""
    try:
        _, party = _identity(context)
    except VeilscoreError as error:  # Flower would tell the coordinator what it says
        log.error("%s", one_line(str(error)))
        party = ""
    return Message(RecordDict({"party": ConfigRecord({"name": party})}), reply_to=message)


@app.train("session")
def take_part(message: Message, context: Context) -> Message:
    """Take part in one session: one stream to the relay, held until the session ends."""
    simulated = SIMULATION_FEDERATION in os.environ
    try:
        _take_part(dict(message.content["session"]), context, simulated)
        record = ConfigRecord({"sentence": ""})
    except VeilscoreError as error:
        log.error("%s", one_line(str(error)))
        record = ConfigRecord({"sentence": told(error, simulated), "kind": type(error).__name__})
    except Exception as error:
        # Flower would tell the coordinator what it says.
        log.exception("the session failed")
        _keep_trace(context)
        record = ConfigRecord({"sentence": told(error, simulated), "kind": type(error).__name__})
    return Message(RecordDict({"outcome": record}), reply_to=message)


@app.train("step")
def horizontal_step(message: Message, context: Context) -> Message:
    """Answer one order of a horizontal run; what this bank remembers lies in its vault."""
    simulated = SIMULATION_FEDERATION in os.environ
    asked = dict(message.content["job"])
    order = message.content.array_records[FRAME][FRAME].data
    try:
        reply = _horizontal_step(asked, order, context)
    except Exception as error:
        if isinstance(error, VeilscoreError):
            log.error("%s", one_line(str(error)))
        else:
            log.exception("a step failed")
            _keep_trace(context)
        # Flower would tell the coordinator what it says.
        reply = declined(order, told(error, simulated))
        _log_declined(context, str(asked["run"]), reply)
    frame = ArrayRecord({FRAME: Array("uint8", (len(reply),), "veilscore.frame", reply)})
    return Message(RecordDict({FRAME: frame}), reply_to=message)


def _horizontal_step(asked: dict[str, Any], order: bytes, context: Context) -> bytes:
    # Torch is imported with it, which a vertical session of an additive model does without.
    from clients.bank.horizontal_training import BankJob, BankTraining

    config, party = _identity(context)
    run = str(asked["run"])
    if not RUN_NAME.fullmatch(run):
        raise ProtocolError("the coordinator's 'run' is not a plain name")
    if asked["bank"] != party:
        raise InputError(f"the coordinator took this node for '{asked['bank']}'; it is '{party}'")
    overrides = json.loads(str(asked["overrides"]))
    output = config.output / run / party
    return BankTraining(BankJob(run, party, config, overrides, output, software())).answer(order)


def _log_declined(context: Context, run: str, reply: bytes) -> None:
    """Enter a refusal in the disclosure log, like everything else that leaves."""
    with contextlib.suppress(Exception):  # the refusal's own reason is the one to be told
        from clients.bank.kept_rows import one_at_a_time

        config, party = _identity(context)
        vault = Vault(config.party(party).manifest.parent / "vault")
        with one_at_a_time(vault.run_folder(run) / "lock"):
            log_of_run = vault.disclosure_log(run, run)
            log_of_run.enter(Sent(log_of_run.length, "coordinator", "declined", len(reply)))


def _keep_trace(context: Context) -> None:
    """Keep an unexpected error where only this party reads it: errors.log of its vault."""
    trace = traceback.format_exc()
    with contextlib.suppress(Exception):  # the first error is the one to be told
        config, party = _identity(context)
        vault = config.party(party).manifest.parent / "vault"
        write_private(vault / "errors.log", trace.encode())


def _take_part(asked: dict[str, Any], context: Context, simulated: bool) -> None:
    config, party = _identity(context)
    for name in ("run", "session", "model_run", "training"):
        # They become parts of paths and file names at this party.
        if asked[name] and not RUN_NAME.fullmatch(str(asked[name])):
            raise ProtocolError(f"the coordinator's '{name}' is not a plain name")
    if asked["party"] != party:
        raise InputError(f"the coordinator took this node for '{asked['party']}'; it is '{party}'")
    identity = identity_of(config, party)
    channel = StreamChannel(
        str(asked["address"]), identity.key, bytes(asked["certificate"]), tell_inputs=simulated
    )
    # Joined before the table is read: that may take longer than others wait for a party to come.
    with channel.joined(party, str(asked["session"])):
        run: PartyRun | PredictionRun
        if asked["task"] == "predict":
            run = PredictionRun(_prediction_job(asked, config, identity), channel.note)
        else:
            run = PartyRun(_training_job(asked, config, identity), channel.note)
        try:
            channel.run(run.machine, lambda: summary_text(run.finish()))
        finally:
            run.close()


def _training_job(asked: dict[str, Any], config: FederationConfig, identity: Identity) -> PartyJob:
    party = identity.party
    is_label_party = party == config.label_party.name
    session = str(asked["session"])
    overrides = json.loads(str(asked["trainings"]))
    return PartyJob(
        run=str(asked["run"]),
        session=session,
        manifest=config.manifest_of(party),
        identity=identity,
        label_party=config.label_party.name,
        output=config.output / str(asked["run"]) / party,
        feature_parties=tuple(entry.name for entry in config.feature_parties),
        fallbacks=config.fallbacks,
        plan=session_plan(config, session, overrides) if is_label_party else None,
        split_column=config.split.column if is_label_party else None,
        epsilon_budget=epsilon_budget(config) if is_label_party else None,
        cores=_free_cores(config),
    )


def _free_cores(config: FederationConfig) -> int:
    """Cores for this party's alignment: all of its machine's, or its share of a shared one's."""
    sharing = len(config.parties) if SIMULATION_FEDERATION in os.environ else 1
    return max(1, len(os.sched_getaffinity(0)) // sharing)


def _prediction_job(
    asked: dict[str, Any], config: FederationConfig, identity: Identity
) -> PredictionJob:
    party = identity.party
    model = config.output / str(asked["model_run"]) / party / f"model-{asked['training']}.json"
    return PredictionJob(
        run=str(asked["run"]),
        session=str(asked["session"]),
        manifest=config.manifest_of(party),
        identity=identity,
        label_party=config.label_party.name,
        feature_parties=tuple(entry.name for entry in config.feature_parties),
        alignment=config.alignment,
        model=model,
        output=config.output / str(asked["run"]) / party,
        cores=_free_cores(config),
    )
