"""How a session of any kind begins: hello from every feature party, then the plan to each."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from federation.errors import ProtocolError
from federation.identity import Voucher
from federation.masking import PairwiseMasks
from federation.proto.session_pb2 import Hello, Plan
from federation.session.machine import Send, Step, expect
from federation.session.wire import PROTOCOL_VERSION

MASK_KEY = "mask key"


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


def send_plan(
    plan_json: str, hellos: Mapping[str, Hello], kept_alignment: str = ""
) -> Generator[Step, object, None]:
    """The label party's second step: the plan, with the mask keys of all feature parties.

    Args:
        plan_json: the plan.
        hellos: of all feature parties.
        kept_alignment: the session whose alignment goes on, one that all of them offered.
    """
    body = Plan(
        protocol_version=PROTOCOL_VERSION,
        plan_json=plan_json,
        mask_public_keys={party: hello.mask_public_key for party, hello in hellos.items()},
        mask_signatures={party: hello.mask_signature for party, hello in hellos.items()},
        kept_alignment=kept_alignment,
    )
    for party in hellos:
        yield Send(party, "plan", body)


def introduce(
    label_party: str,
    features: int,
    software: str,
    masks: PairwiseMasks,
    session: str,
    voucher: Voucher | None,
    kept_alignments: Sequence[str] = (),
) -> Generator[Step, object, Plan]:
    """A feature party's first step: say hello, take the plan.

    With a voucher, the other feature parties' mask keys must be signed with their pinned keys: the
    label party relays them, and one that put its own in their place would unmask partial scores.

    Raises:
        ProtocolError: a mask key is not its party's.
    """
    hello = Hello(
        protocol_version=PROTOCOL_VERSION,
        software=software,
        mask_public_key=masks.public_key,
        features=features,
        kept_alignments=kept_alignments,
    )
    if voucher is not None:
        hello.mask_signature = voucher.sign(MASK_KEY, session, masks.public_key)
    yield Send(label_party, "hello", hello)
    plan = yield from expect(label_party, Plan)
    if voucher is not None:
        voucher.check_all(MASK_KEY, session, plan.mask_public_keys, plan.mask_signatures)
    if plan.kept_alignment and plan.kept_alignment not in kept_alignments:
        raise ProtocolError(
            "the plan goes on with the alignment of a session that this party has not offered"
        )
    return plan
