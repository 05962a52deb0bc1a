"""How a session of any kind begins: hello from every feature party, then the plan to each."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from federation.errors import ProtocolError
from federation.masking import PairwiseMasks
from federation.proto.session_pb2 import Hello, Plan
from federation.session.machine import Send, Step, expect
from federation.session.wire import PROTOCOL_VERSION


def alignment_domain(session: str) -> bytes:
    """Separates a session's id hashes from any other's; the same bytes at every party."""
    return f"veilscore alignment 1\0{session}".encode()


def collect_hellos(
    parties: Sequence[str], label_party: str
) -> Generator[Step, object, dict[str, Hello]]:
    """The label party's first step: every feature party's hello, of its own protocol version."""
    hellos = {}
    for party in parties:
        hello = yield from expect(party, Hello)
        if hello.protocol_version != PROTOCOL_VERSION:
            raise ProtocolError(
                f"{party} speaks protocol version {hello.protocol_version} "
                f"({hello.software or 'unknown software'}), {label_party} speaks "
                f"{PROTOCOL_VERSION}; install the same veilscore release on both sides"
            )
        hellos[party] = hello
    return hellos


def send_plan(plan_json: str, hellos: Mapping[str, Hello]) -> Generator[Step, object, None]:
    """The label party's second step: the plan, with the mask keys of all feature parties."""
    keys = {party: hello.mask_public_key for party, hello in hellos.items()}
    for party in hellos:
        body = Plan(protocol_version=PROTOCOL_VERSION, plan_json=plan_json, mask_public_keys=keys)
        yield Send(party, "plan", body)


def introduce(
    label_party: str, features: int, software: str, masks: PairwiseMasks
) -> Generator[Step, object, Plan]:
    """A feature party's first step: say hello, take the plan."""
    hello = Hello(
        protocol_version=PROTOCOL_VERSION,
        software=software,
        mask_public_key=masks.public_key,
        features=features,
    )
    yield Send(label_party, "hello", hello)
    return (yield from expect(label_party, Plan))
