"""Short-lived keys are taken only under their party's signature."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from federation.alignment import open_group
from federation.errors import ProtocolError
from federation.identity import PartyKey, Voucher
from federation.masking import PairwiseMasks
from federation.proto.session_pb2 import Plan
from federation.session.machine import Machine
from federation.session.wire import decode, encode
from federation.vertical import feature_party_session
from tests.federation.test_vertical_session import population

KEYS = {name: PartyKey(PartyKey.new_seed()) for name in ("bank", "one", "two")}
PINS = {name: key.public for name, key in KEYS.items()}


def voucher(party: str) -> Voucher:
    return Voucher(party, KEYS[party], PINS)


def test_a_signature_holds_for_its_run_party_key_and_purpose() -> None:
    public = bytes(range(32))
    signature = voucher("one").sign("run key", "run-1", public)
    check = voucher("two").check
    check("run key", "run-1", "one", public, signature)
    for purpose, run, party, key in (
        ("mask key", "run-1", "one", public),
        ("run key", "run-2", "one", public),
        ("run key", "run-1", "bank", public),
        ("run key", "run-1", "one", bytes(32)),
    ):
        with pytest.raises(ProtocolError, match=f"the {purpose} of {party} was not signed"):
            check(purpose, run, party, key, signature)
    with pytest.raises(ProtocolError, match="two has no pinned key of mallory"):
        check("run key", "run-1", "mallory", public, signature)


def test_every_peer_must_have_signed_and_oneself_need_not() -> None:
    keys = {name: PartyKey.new_seed() for name in ("one", "two")}
    signed = {"two": voucher("two").sign("run key", "r", keys["two"])}
    voucher("one").check_all("run key", "r", keys, signed)
    with pytest.raises(ProtocolError, match="the run key of one was not signed"):
        voucher("two").check_all("run key", "r", keys, signed)


def test_a_label_party_that_swaps_a_mask_key_is_found_out() -> None:
    """With keys of its own in the middle it would read each partner's partial scores."""
    table = population(300, ("one",))["one"]

    def replies(swapped: bool) -> Iterator[bytes]:
        other, mallory = PairwiseMasks("two"), PairwiseMasks("two")
        hello = decode(frames.pop()[1]).hello
        plan = Plan(protocol_version=2, plan_json="{}")
        plan.mask_public_keys["one"] = hello.mask_public_key
        plan.mask_signatures["one"] = hello.mask_signature
        plan.mask_public_keys["two"] = (mallory if swapped else other).public_key
        plan.mask_signatures["two"] = voucher("two").sign("mask key", "s1", other.public_key)
        yield encode("s1", "bank", "one", 0, "plan", plan)

    for swapped, sentence in (
        (True, "the mask key of two was not signed"),
        (False, "plan can't be read|plan has no|the plan"),
    ):
        role = feature_party_session(
            table, "one", "bank", "s1", open_group(10), "test", voucher=voucher("one")
        )
        machine: Machine[object] = Machine("one", "s1", role)
        frames = list(machine.start())
        (answer,) = replies(swapped)
        with pytest.raises(ProtocolError, match=sentence) as refused:
            list(machine.receive(answer, "bank"))
        assert ("was not signed" in str(refused.value)) is swapped
