"""The alignment: who shares which borrowers, in which order, and what is refused."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from rbcl import (
    crypto_core_ristretto255_is_valid_point,
    crypto_core_ristretto255_scalar_reduce,
    crypto_scalarmult_ristretto255,
)

from federation.alignment import (
    AlignmentMode,
    FeatureAlignment,
    InProcessGroup,
    LabelAlignment,
    MultiProcessGroup,
    announce_rows,
    blocks,
    feature_party_alignment,
    hash_to_group,
    label_party_alignment,
    open_group,
)
from federation.alignment.group import FIELD_PRIME, MULTI_PROCESS_IDS, POINT_BYTES
from federation.errors import InputError, ProtocolError
from federation.proto.session_pb2 import Envelope
from federation.session.machine import Machine, Progress, Step

DOMAIN = b"veilscore test"
SESSION = "session-1"
BANK_IDS = [f"b{number}" for number in range(20)]
PLATFORM_IDS = [f"b{number}" for number in range(30, 5, -1)]
Tamper = Callable[[str, str, bytes], list[bytes]]


def _pass_on(sender: str, recipient: str, frame: bytes) -> list[bytes]:
    return [frame]


def _pump(roles: Mapping[str, Generator[Step, object, Any]], tamper: Tamper = _pass_on) -> Any:
    """Run all roles to their ends, carrying frames; returns each party's result."""
    machines = {
        party: Machine(party=party, session=SESSION, role=role) for party, role in roles.items()
    }
    underway = deque(
        (party, *sent) for party, machine in machines.items() for sent in machine.start()
    )
    while underway:
        sender, recipient, frame = underway.popleft()
        for delivered in tamper(sender, recipient, frame):
            answers = machines[recipient].receive(delivered)
            underway.extend((recipient, *answer) for answer in answers)
    return {party: machine.result for party, machine in machines.items()}


def _label_role(
    ids: list[str], partners: list[str], mode: AlignmentMode
) -> Generator[Step, object, LabelAlignment]:
    with InProcessGroup() as group:
        alignment = yield from label_party_alignment(ids, partners, mode, group, DOMAIN)
    parts = (np.arange(alignment.rows.size) % 3).astype(np.uint8)
    yield from announce_rows(alignment, parts)
    return alignment


def _align(
    label_ids: list[str],
    partner_ids: dict[str, list[str]],
    mode: AlignmentMode = "inner",
    tamper: Tamper = _pass_on,
) -> tuple[LabelAlignment, dict[str, FeatureAlignment]]:
    roles: dict[str, Generator[Step, object, Any]] = {
        party: feature_party_alignment(ids, "bank", InProcessGroup(), DOMAIN, mode)
        for party, ids in partner_ids.items()
    }
    results = _pump({"bank": _label_role(label_ids, list(partner_ids), mode), **roles}, tamper)
    return results.pop("bank"), results


def _named(ids: list[str], rows: np.ndarray[Any, Any], present: np.ndarray[Any, Any]) -> list[Any]:
    return [
        ids[row] if here else None
        for row, here in zip(rows.tolist(), present.tolist(), strict=True)
    ]


_id_lists = st.lists(st.text(max_size=3), min_size=1, max_size=25, unique=True)


@settings(max_examples=60, deadline=None)
@given(label_ids=_id_lists, first=_id_lists, second=_id_lists)
def test_inner_alignment_is_the_set_intersection(
    label_ids: list[str], first: list[str], second: list[str]
) -> None:
    """Three parties end with exactly the borrowers that all know, in one row order."""
    partners = {"platform": first, "receivables": second}
    expected = set(label_ids) & set(first) & set(second)
    if not expected:
        with pytest.raises(InputError, match=r"none of the .* borrowers is known to"):
            _align(label_ids, partners)
        return
    alignment, features = _align(label_ids, partners)
    names = [label_ids[row] for row in alignment.rows]
    assert len(names) == len(expected)
    assert set(names) == expected
    for party, ids in partners.items():
        assert [ids[row] for row in features[party].rows] == names
        assert features[party].parts.tolist() == [row % 3 for row in range(len(names))]
        assert features[party].label_party_ids == len(label_ids)
        assert alignment.partner_ids[party] == len(ids)


@settings(max_examples=60, deadline=None)
@given(label_ids=_id_lists, first=_id_lists, second=_id_lists)
def test_label_left_alignment_keeps_every_borrower_of_the_bank(
    label_ids: list[str], first: list[str], second: list[str]
) -> None:
    """All of the bank's borrowers are rows; those a partner does not know are absent there."""
    partners = {"platform": first, "receivables": second}
    if any(not set(label_ids) & set(ids) for ids in partners.values()):
        with pytest.raises(InputError, match="is known to"):
            _align(label_ids, partners, "label-left")
        return
    alignment, features = _align(label_ids, partners, "label-left")
    names = [label_ids[row] for row in alignment.rows]
    assert sorted(names) == sorted(label_ids)
    for party, ids in partners.items():
        expected = [name if name in set(ids) else None for name in names]
        assert _named(ids, features[party].rows, features[party].present) == expected
        assert alignment.present(party).tolist() == features[party].present.tolist()


@pytest.mark.parametrize("mode", ["inner", "label-left"])
def test_two_parties_over_many_blocks(mode: AlignmentMode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of several blocks, the last one short, align like a single block."""
    monkeypatch.setattr(blocks, "BLOCK_IDS", 4)
    alignment, features = _align(BANK_IDS, {"platform": PLATFORM_IDS}, mode)
    names = [BANK_IDS[row] for row in alignment.rows]
    platform = features["platform"]
    expected = [name if name in PLATFORM_IDS else None for name in names]
    assert _named(PLATFORM_IDS, platform.rows, platform.present) == expected
    assert len(names) == (14 if mode == "inner" else 20)


def test_the_row_order_is_fresh_in_every_alignment() -> None:
    """The agreed order is no party's file order and differs from run to run."""
    orders = {tuple(_align(BANK_IDS, {"platform": BANK_IDS})[0].rows.tolist()) for _ in range(3)}
    assert len(orders) == 3
    assert tuple(range(20)) not in orders


def test_positions_say_nothing_about_the_partners_file_order() -> None:
    """What the bank sees are positions in a shuffled list, not rows of the partner's file."""
    alignment, features = _align(BANK_IDS, {"platform": BANK_IDS})
    assert alignment.partner_positions["platform"].tolist() != features["platform"].rows.tolist()


def test_no_common_borrower_of_all_is_one_clear_sentence() -> None:
    """Partners that each share borrowers, but none in common, are told what to do."""
    with pytest.raises(InputError, match=r"known to all of p1, p2; .* 'label-left'"):
        _align(["a", "b"], {"p1": ["a"], "p2": ["b"]})


@pytest.mark.parametrize("ids", [[], ["a", "b", "a"]])
def test_own_ids_are_checked(ids: list[str]) -> None:
    """No ids, or an id twice, is an input error at the party that has them."""
    sentence = "has no borrower" if not ids else "row 3 has the same id as that of row 1"
    for role in (
        label_party_alignment(ids, ["platform"], "inner", InProcessGroup(), DOMAIN),
        feature_party_alignment(ids, "bank", InProcessGroup(), DOMAIN),
    ):
        with pytest.raises(InputError, match=sentence):
            next(role)


def test_an_id_that_is_not_unicode_is_refused() -> None:
    """A lone surrogate, as a broken decoder leaves it, gives a clear sentence."""
    with pytest.raises(InputError, match="valid Unicode"):
        hash_to_group("\ud800", DOMAIN)


def test_progress_reaches_one_and_never_falls() -> None:
    """A person watching sees fractions that grow to 1 at both parties."""
    seen: dict[str, list[Progress]] = {"bank": [], "platform": []}
    machines = {
        "bank": Machine[Any]("bank", SESSION, _label_role(BANK_IDS, ["platform"], "inner")),
        "platform": Machine[Any](
            "platform",
            SESSION,
            feature_party_alignment(PLATFORM_IDS, "bank", InProcessGroup(), DOMAIN),
        ),
    }
    for party, machine in machines.items():
        machine.on_progress = seen[party].append
    underway = deque(sent for machine in machines.values() for sent in machine.start())
    while underway:
        recipient, frame = underway.popleft()
        underway.extend(machines[recipient].receive(frame))
    for steps in seen.values():
        fractions = [step.fraction for step in steps]
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0
        assert {step.stage for step in steps} == {"alignment"}


# --- what is refused -------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(data=st.data(), to=st.sampled_from(["bank", "platform"]))
def test_a_truncated_frame_is_refused(data: st.DataObject, to: str) -> None:
    """Cutting any frame at any byte ends the session."""

    def cut(sender: str, recipient: str, frame: bytes) -> list[bytes]:
        if recipient != to:
            return [frame]
        return [frame[: data.draw(st.integers(0, len(frame) - 1))]]

    with pytest.raises(ProtocolError):
        _align(["a", "b"], {"platform": ["b", "c"]}, tamper=cut)


@pytest.mark.parametrize("kind", ["blinded_ids", "reblinded_ids", "aligned_rows"])
def test_a_replayed_frame_is_refused(kind: str) -> None:
    """A message given twice ends the session, whatever it is."""

    def twice(sender: str, recipient: str, frame: bytes) -> list[bytes]:
        return [frame] * (1 + (Envelope.FromString(frame).WhichOneof("body") == kind))

    with pytest.raises(ProtocolError, match=r"replayed|after the session had ended"):
        _align(BANK_IDS, {"platform": PLATFORM_IDS}, tamper=twice)


@dataclass(frozen=True)
class Forgery:
    """A change to one message, and the words it must be refused with."""

    kind: str
    sequence: int
    change: Callable[[Any], None]
    refusal: str


def _set(**fields: Any) -> Callable[[Any], None]:
    def change(body: Any) -> None:
        for name, value in fields.items():
            setattr(body, name, value)

    return change


def _points(edit: Callable[[bytes], bytes]) -> Callable[[Any], None]:
    def change(body: Any) -> None:
        body.points = edit(body.points)

    return change


_IDENTITY = bytes(POINT_BYTES)
_ORDER_TWO_OR_FOUR = (1).to_bytes(POINT_BYTES, "little")
_NOT_REDUCED = (FIELD_PRIME + 9).to_bytes(POINT_BYTES, "little")
_TOP_BIT = ((1 << 255) + 9).to_bytes(POINT_BYTES, "little")

# Lists of 20 and 25 ids in blocks of 8: three messages of ids (0, 1, 2) and what follows.
_FORGERIES = {
    "total grows": Forgery("blinded_ids", 1, _set(total=99), "announces 99 ids in all"),
    "total is nothing": Forgery("blinded_ids", 0, _set(total=0), "announces 0 ids in all"),
    "total is too large": Forgery("blinded_ids", 0, _set(total=2**32), "are possible"),
    "total too small": Forgery("blinded_ids", 0, _set(total=7), "beyond the 7 ids announced"),
    "block repeats": Forgery("blinded_ids", 1, _set(first=0), "is not the next one"),
    "blocks overlap": Forgery("blinded_ids", 1, _set(first=7), "is not the next one"),
    "blocks gap": Forgery("blinded_ids", 1, _set(first=9), "is not the next one"),
    "block is empty": Forgery("blinded_ids", 1, _set(points=b""), "is empty"),
    "point too short": Forgery("blinded_ids", 1, _points(lambda p: p[:-1]), "no whole number"),
    "identity": Forgery("blinded_ids", 1, _points(lambda p: _IDENTITY + p[32:]), "small order"),
    "small order": Forgery(
        "blinded_ids", 0, _points(lambda p: _ORDER_TWO_OR_FOUR + p[32:]), "small order"
    ),
    "not reduced": Forgery("blinded_ids", 0, _points(lambda p: _NOT_REDUCED + p[32:]), "2.255"),
    "top bit": Forgery("blinded_ids", 0, _points(lambda p: p[:32] + _TOP_BIT + p[64:]), "point 1"),
    "point twice": Forgery("blinded_ids", 0, _points(lambda p: p[:32] * 8), "a point twice"),
    "returned total": Forgery("reblinded_ids", 4, _set(total=19), "where 20 are right"),
    "returned order": Forgery("reblinded_ids", 4, _set(first=8), "is not the next one"),
    "returned twice": Forgery("reblinded_ids", 4, _points(lambda p: p[:32] * 8), "a point twice"),
    "returned length": Forgery("reblinded_ids", 4, _points(lambda p: p + b"1"), "no whole number"),
    "no rows": Forgery("aligned_rows", 3, _set(rows=0, positions=b"", parts=b""), "must be 1 to"),
    "too many rows": Forgery("aligned_rows", 3, _set(rows=21), "must be 1 to 20"),
    "other row count": Forgery("aligned_rows", 3, _set(rows=13), "52 are right"),
    "positions cut": Forgery("aligned_rows", 3, _set(positions=b"\0" * 55), "56 are right"),
    "parts cut": Forgery("aligned_rows", 3, _set(parts=b"\0" * 13), "14 are right"),
    "unknown part": Forgery("aligned_rows", 3, _set(parts=b"\3" * 14), "only 0 to 2 exist"),
    "repeated row": Forgery("aligned_rows", 3, _set(positions=b"\0" * 56), "twice"),
    "row beyond": Forgery(
        "aligned_rows", 3, _set(positions=np.arange(12, 26, dtype="<u4").tobytes()), "position 25"
    ),
    "absent under inner": Forgery(
        "aligned_rows", 3, _set(positions=b"\xff" * 4 + b"\0" * 52), "never does"
    ),
}


@pytest.mark.parametrize("name", _FORGERIES)
def test_a_forged_message_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A well-formed frame whose content breaks the protocol ends the session with a sentence."""
    monkeypatch.setattr(blocks, "BLOCK_IDS", 8)
    forgery = _FORGERIES[name]
    forged = []

    def forge(sender: str, recipient: str, frame: bytes) -> list[bytes]:
        envelope = Envelope.FromString(frame)
        kind = envelope.WhichOneof("body")
        if kind != forgery.kind or envelope.sequence != forgery.sequence:
            return [frame]
        forged.append(sender)
        forgery.change(getattr(envelope, kind))
        return [envelope.SerializeToString()]

    with pytest.raises(ProtocolError, match=forgery.refusal):
        _align(BANK_IDS, {"platform": PLATFORM_IDS}, tamper=forge)
    assert forged


def test_rows_that_name_nobody_are_refused() -> None:
    """Under 'label-left' rows may be absent at a partner, but not all of them."""

    def nobody(sender: str, recipient: str, frame: bytes) -> list[bytes]:
        envelope = Envelope.FromString(frame)
        if envelope.WhichOneof("body") == "aligned_rows":
            envelope.aligned_rows.positions = b"\xff" * len(envelope.aligned_rows.positions)
        return [envelope.SerializeToString()]

    with pytest.raises(ProtocolError, match="hold no borrower of this party"):
        _align(BANK_IDS, {"platform": PLATFORM_IDS}, "label-left", nobody)


# --- the group -------------------------------------------------------------------------------

# RFC 9496, A.3: elements from uniform byte strings; its inputs are SHA-512 of these sentences.
_RFC_9496 = {
    "Ristretto is traditionally a short shot of espresso coffee": (
        "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46"
    ),
    "made with the normal amount of ground coffee but extracted with": (
        "f26e5b6f7d362d2d2a94c5d0e7602cb4773c95a2e5c31a64f133189fa76ed61b"
    ),
    "about half the amount of water in the same amount of time": (
        "006ccd2a9e6867e6a2c5cea83d3302cc9de128dd2a9a57dd8ee7b9d7ffe02826"
    ),
    "by using a finer grind.": ("f8f0c87cf237953c5890aec3998169005dae3eca1fbb04548c635953c817f92a"),
    "This produces a concentrated shot of coffee per volume.": (
        "ae81e7dedf20a497e10c304a765c1767a42d6e06029758d2d7e8ef7cc4c41179"
    ),
    "Just pulling a normal shot short will produce a weaker shot": (
        "e2705652ff9f5e44d3e841bf1c251cf7dddb77d140870d1ab2ed64f1a9ce8628"
    ),
    "and is not a Ristretto as some believe.": (
        "80bd07262511cdde4863f8a7434cef696750681cb9510eea557088f76d9e5065"
    ),
}


@pytest.mark.parametrize("sentence", _RFC_9496)
def test_hash_to_group_gives_the_vectors_of_rfc_9496(sentence: str) -> None:
    """SHA-512 and the element derivation are those of the standard."""
    assert hash_to_group(sentence, b"").hex() == _RFC_9496[sentence]
    assert hash_to_group(sentence[9:], sentence[:9].encode()).hex() == _RFC_9496[sentence]


def test_blind_gives_the_vector_of_rfc_7748() -> None:
    """Multiplication is X25519 (RFC 7748, 5.2)."""
    key = X25519PrivateKey.from_private_bytes(
        bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    )
    point = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    expected = "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    assert InProcessGroup(key).blind(point).hex() == expected


@settings(max_examples=50, deadline=None)
@given(identifier=st.text(), key=st.binary(min_size=32, max_size=32))
def test_blinding_agrees_with_ristretto255_multiplication(identifier: str, key: bytes) -> None:
    """X25519 on a hashed id is libsodium's ristretto255 multiplication, read as a u coordinate."""
    clamped = bytearray(key)
    clamped[0] &= 248
    clamped[31] = (clamped[31] & 127) | 64
    scalar = crypto_core_ristretto255_scalar_reduce(bytes(clamped) + bytes(32))
    element = hash_to_group(identifier, DOMAIN)
    assert crypto_core_ristretto255_is_valid_point(element)
    product = crypto_scalarmult_ristretto255(scalar, element)
    # 8 times either removes the small-order point by which representatives of an element differ.
    coordinate = pow(int.from_bytes(product, "little"), -2, FIELD_PRIME)
    blinded = InProcessGroup(X25519PrivateKey.from_private_bytes(key)).hash_and_blind(
        [identifier], DOMAIN
    )
    clear = InProcessGroup()
    assert clear.blind(blinded) == clear.blind(coordinate.to_bytes(POINT_BYTES, "little"))


@settings(max_examples=30, deadline=None)
@given(ids=_id_lists)
def test_blinding_commutes(ids: list[str]) -> None:
    """a·(b·H) equals b·(a·H), and differs from both a·H and b·H."""
    first, second = InProcessGroup(), InProcessGroup()
    once = first.hash_and_blind(ids, DOMAIN)
    assert len(once) == POINT_BYTES * len(ids)
    assert second.blind(once) == first.blind(second.hash_and_blind(ids, DOMAIN))
    assert second.blind(once) != once


def test_every_hashed_id_is_on_the_curve_and_never_on_its_twist() -> None:
    """No blinded id tells a bit of its hash by the side of the curve that it lies on."""
    points = InProcessGroup().hash_and_blind([str(number) for number in range(50)], DOMAIN)
    for start in range(0, len(points), POINT_BYTES):
        u = int.from_bytes(points[start : start + POINT_BYTES], "little")
        squared = (u**3 + 486662 * u**2 + u) % FIELD_PRIME
        assert pow(squared, (FIELD_PRIME - 1) // 2, FIELD_PRIME) == 1


def test_domains_separate() -> None:
    """The same id in another domain is another point."""
    assert hash_to_group("b1", b"one") != hash_to_group("b1", b"two")


def test_keys_are_fresh_and_never_shown() -> None:
    """Two groups blind differently, and neither text of a group holds its key."""
    key = X25519PrivateKey.generate()
    secret = key.private_bytes_raw()
    group = InProcessGroup(key)
    assert InProcessGroup().hash_and_blind(["b1"], DOMAIN) != group.hash_and_blind(["b1"], DOMAIN)
    with MultiProcessGroup(2, key) as pool:
        for shown in (repr(group), str(group), repr(pool), str(pool)):
            assert "key hidden" in shown
            assert secret.hex() not in shown
            assert repr(secret) not in shown


def test_a_closed_group_multiplies_no_more() -> None:
    """After its alignment a key is gone."""
    group = InProcessGroup()
    group.close()
    with pytest.raises(RuntimeError, match="closed"):
        group.hash_and_blind(["b1"], DOMAIN)


def test_many_processes_agree_with_one() -> None:
    """A pool gives byte for byte what one process gives, and refuses the same points."""
    key = X25519PrivateKey.generate()
    ids = [f"b{number}" for number in range(1_300)]
    single = InProcessGroup(key)
    with MultiProcessGroup(2, key) as pool:
        blinded = pool.hash_and_blind(ids, DOMAIN)
        assert blinded == single.hash_and_blind(ids, DOMAIN)
        assert pool.blind(blinded) == single.blind(blinded)
        with pytest.raises(ProtocolError, match="small order"):
            pool.blind(blinded + _IDENTITY)


def test_worker_processes_are_not_told_the_key_on_a_command_line() -> None:
    """No command line or environment on this machine's process list holds a pool's key."""
    key = X25519PrivateKey.generate()
    secret = key.private_bytes_raw()
    with MultiProcessGroup(1, key) as pool:
        pool.hash_and_blind(["b1"], DOMAIN)
        workers = 0
        for process in Path("/proc").glob("[0-9]*"):
            try:
                shown = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            except OSError:
                continue
            workers += b"multiprocessing" in shown
            assert secret not in shown
            assert secret.hex().encode() not in shown
        assert workers


def test_the_group_fits_the_list_and_the_cores() -> None:
    """Processes are started only for long lists on spare cores."""
    assert isinstance(open_group(MULTI_PROCESS_IDS, cores=1), InProcessGroup)
    assert isinstance(open_group(10, cores=4), InProcessGroup)
    with open_group(MULTI_PROCESS_IDS, cores=2) as group:
        assert isinstance(group, MultiProcessGroup)


def test_frames_hold_no_id_and_no_plain_hash() -> None:
    """Neither an id nor its unblinded hash is in anything that leaves a party."""
    everything = []

    def record(sender: str, recipient: str, frame: bytes) -> list[bytes]:
        everything.append(frame)
        return [frame]

    ids = [f"borrower-{number}" for number in range(10)]
    _align(ids, {"platform": ids}, tamper=record)
    sent = b"".join(everything)
    for identifier in ids:
        assert identifier.encode() not in sent
        assert hash_to_group(identifier, DOMAIN) not in sent
        assert hashlib.sha512(DOMAIN + identifier.encode()).digest() not in sent
