"""The server refuses whatever is no honest contribution, by name, and can decrypt nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from federation.aggregation import BlamedError, SecureSumServer, read_message
from federation.errors import ProtocolError
from federation.proto.secure_sum_pb2 import ClientState, Contribution, KeyParcel
from tests.federation.aggregation.runs import Run

THREE = ("ash", "birch", "cedar")
RUN = Run(names=THREE, dropouts=0)
RUN.order(0)
RUN.order(1)
VECTORS = RUN.vectors()
GOOD = RUN.contribute("ash", VECTORS["ash"])
GOOD_BYTES = GOOD.SerializeToString()


def copy(message: Contribution) -> Contribution:
    """A message that may be changed."""
    return Contribution.FromString(message.SerializeToString())


def blamed(server: SecureSumServer, message: Contribution, step: int = 0) -> str:
    """The sentence with which ash's message is refused."""
    with pytest.raises(BlamedError) as caught:
        server.check("ash", step, message)
    assert caught.value.party == "ash"
    assert "ash" in str(caught.value)
    return str(caught.value)


def culprit(data: bytes) -> str:
    """Who is named when these bytes come from ash; '' when they are accepted."""
    try:
        RUN.server().check("ash", 0, read_message(Contribution, data, "ash"))
    except BlamedError as error:
        return error.party if error.party in str(error) else ""
    return ""


def test_an_honest_contribution_is_accepted() -> None:
    """What the tests below change is fine as it is."""
    RUN.server().check("ash", 0, GOOD)
    assert culprit(GOOD_BYTES) == ""


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=2_000))
def test_random_bytes_name_their_sender(data: bytes) -> None:
    """Bytes that are no message, or an empty one, end in a sentence with the party."""
    assert culprit(data) == "ash"


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, len(GOOD_BYTES) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_names_its_sender(place: int, bit: int) -> None:
    """Any single damaged bit of a message is found."""
    data = bytearray(GOOD_BYTES)
    data[place] ^= 1 << bit
    assert culprit(bytes(data)) == "ash"


@settings(max_examples=60, deadline=None)
@given(length=st.integers(0, len(GOOD_BYTES) - 1), tail=st.binary(max_size=40))
def test_a_truncated_message_names_its_sender(length: int, tail: bytes) -> None:
    """Cut anywhere, with anything after it, a message is refused."""
    assume(GOOD_BYTES[length:] != tail)
    assert culprit(GOOD_BYTES[:length] + tail) == "ash"


def test_the_wrong_number_of_chunks() -> None:
    """Too few or too many chunks, and slots that nobody asked for."""
    server = RUN.server()
    for ciphertext in (b"", GOOD.ciphertext * 2, GOOD.ciphertext[:-8], GOOD.ciphertext + b"\0"):
        message = copy(GOOD)
        message.ciphertext = ciphertext
        assert "where 51 values take 1 chunks" in blamed(server, message)
    message = copy(GOOD)
    message.slots = 51
    assert "51 slots to step 0 where 50 are right" in blamed(server, message)


def test_a_ciphertext_of_another_parameter_set() -> None:
    """CKKS's are as long as BFV's chunks, but are of another key; other moduli show in a word."""
    other = Run(names=THREE, dropouts=0, scheme="ckks")
    message = copy(GOOD)
    foreign = other.contribute("ash", np.zeros(50, dtype=np.uint64))
    message.key_id, message.ciphertext = foreign.key_id, foreign.ciphertext
    assert "another key than this run's" in blamed(RUN.server(), message)
    message = copy(GOOD)
    message.ciphertext = b"\xff" * len(message.ciphertext)
    assert "beyond the modulus of the run's parameters" in blamed(RUN.server(), message)


def test_a_message_of_another_run_party_or_step() -> None:
    """Every field that says whose it is must say what the server expects."""
    server = RUN.server()
    changes: list[tuple[str, object, str]] = [
        ("run", "run-2", "another run or party"),
        ("party", "birch", "another run or party"),
        ("step", 1, "a vector of step 1 to step 0"),
        ("key_id", bytes(16), "another key"),
        ("checksum", bytes(16), "damaged on the way"),
    ]
    for field, value, sentence in changes:
        message = copy(GOOD)
        setattr(message, field, value)
        assert sentence in blamed(server, message)
    message = copy(GOOD)
    message.participants.append("fir")
    assert "masked for other participants" in blamed(server, message)
    with pytest.raises(ValueError, match="step 7 was not ordered"):
        server.check("ash", 7, GOOD)
    with pytest.raises(BlamedError, match="fir sent a vector to step 0, where it has no part"):
        server.check("fir", 0, GOOD)


def test_a_ciphertext_is_accepted_once() -> None:
    """Sent again in a later step, by another client, or with its first half changed: a replay."""
    from federation.aggregation.messages import checksum

    server = RUN.server()
    server.check("ash", 0, GOOD)
    server = SecureSumServer.from_bytes(server.to_bytes())
    assert "sent a ciphertext again that ash had sent to step 0" in blamed(server, GOOD)
    replayed = copy(GOOD)
    replayed.step = 1
    replayed.checksum = checksum(replayed, replayed.ciphertext)
    assert "sent a ciphertext again that ash had sent to step 0" in blamed(server, replayed, 1)
    copied = copy(GOOD)
    copied.party = "birch"
    copied.ciphertext = bytes(8) + copied.ciphertext[8:]
    copied.checksum = checksum(copied, copied.ciphertext)
    with pytest.raises(BlamedError, match="birch sent a ciphertext again that ash had sent"):
        server.check("birch", 0, copied)


def test_a_second_vector_in_one_step_is_refused() -> None:
    """A fresh encryption does not make a second contribution right."""
    run = Run(names=THREE, dropouts=0)
    run.order()
    before = run.states["ash"]
    run.check("ash", run.contribute("ash", VECTORS["ash"]))
    run.states["ash"] = before
    with pytest.raises(BlamedError, match="ash sent a second vector to step 0"):
        run.check("ash", run.contribute("ash", VECTORS["ash"]))


def test_only_checked_contributions_are_added() -> None:
    """A contribution that `check` did not see does not get into a sum."""
    run = Run(names=THREE, dropouts=0)
    messages = run.contributions(VECTORS, list(THREE))
    shares = {name: run.unmask(name, list(THREE)) for name in THREE}
    messages["ash"] = GOOD
    with pytest.raises(ValueError, match="the contribution of ash was not accepted"):
        run.server().add(0, messages, shares)


def test_shares_that_are_not_what_was_asked_for_name_their_holder() -> None:
    """Shares of another step or party, missing ones, and bytes that are none."""
    run = Run(names=THREE, dropouts=0)
    messages = run.contributions(VECTORS, list(THREE))
    for change in ("party", "step", "missing", "length", "size"):
        states = dict(run.states)
        shares = {name: run.unmask(name, list(THREE)) for name in THREE}
        run.states = states
        wrong = shares["birch"]
        if change == "party":
            wrong.party = "cedar"
        elif change == "step":
            wrong.step = 1
        elif change == "missing":
            del wrong.self_mask_shares["ash"]
        else:
            wrong.self_mask_shares["ash"] = b"\xff" * (33 if change == "size" else 32)
        with pytest.raises(BlamedError) as caught:
            run.server().add(0, messages, shares)
        assert caught.value.party == "birch"


def test_steps_are_ordered_once_and_prepared() -> None:
    """A step can't be ordered twice, nor with clients who did not prepare it."""
    server = RUN.server()
    with pytest.raises(ValueError, match="ordered before"):
        server.order(0, THREE, 50)
    with pytest.raises(ProtocolError, match="step 5 was not prepared by ash, birch, cedar"):
        server.order(5, THREE, 50)


def test_a_parcel_that_is_none_is_refused() -> None:
    """The server forwards no key parcel that clients would refuse."""
    server = SecureSumServer.start("run-1", {name: name.encode().ljust(32) for name in THREE})
    with pytest.raises(ProtocolError, match="ash has not made the run's key"):
        _ = server.cipher
    with pytest.raises(BlamedError, match="another run or roster"):
        server.take_key(RUN.parcel)
    incomplete = KeyParcel.FromString(RUN.parcel.SerializeToString())
    del incomplete.wrapped["cedar"]
    with pytest.raises(BlamedError, match="this parcel is not that"):
        RUN.server().take_key(incomplete)


SERVER_PROCESS = """
import gc, json, sys
import tenseal.sealapi as seal
from federation.aggregation import SecureSumServer
from federation.aggregation.seal_ring import SealKey
from federation.proto.secure_sum_pb2 import Contribution, UnmaskShares

given = json.load(sys.stdin)
server = SecureSumServer.from_bytes(bytes.fromhex(given["state"]))
messages = {name: Contribution.FromString(bytes.fromhex(data))
            for name, data in given["contributions"].items()}
shares = {name: UnmaskShares.FromString(bytes.fromhex(data))
          for name, data in given["shares"].items()}
total = server.add(0, messages, shares)
secrets = [type(each).__name__ for each in gc.get_objects()
           if isinstance(each, (SealKey, seal.SecretKey, seal.Decryptor, seal.Encryptor))]
context = server.cipher._ciphertexts.ring.context
try:
    seal.Decryptor(context, seal.SecretKey())
    refused = ""
except Exception as error:
    refused = str(error)
# The attacker's best: a key of its own making.
guess = server.cipher.decrypt(server.cipher.new_key(), total.ciphertext, 50).tolist()
json.dump({"total": total.SerializeToString().hex(), "secrets": secrets, "refused": refused,
           "guess": guess}, sys.stdout)
"""


def test_a_server_with_everything_it_holds_can_decrypt_nothing() -> None:
    """In a process of its own the server sums, and has no key: not as an object, not as bytes."""
    run = Run(names=THREE, dropouts=0)
    vectors = run.vectors()
    messages = run.contributions(vectors, list(THREE))
    shares = {name: run.unmask(name, list(THREE)) for name in THREE}
    given = {
        "state": run.server_state.hex(),
        "contributions": {name: m.SerializeToString().hex() for name, m in messages.items()},
        "shares": {name: each.SerializeToString().hex() for name, each in shares.items()},
    }
    process = subprocess.run(
        [sys.executable, "-c", SERVER_PROCESS],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(process.stdout)
    assert found["secrets"] == []
    assert "secret key is not valid" in found["refused"]
    held = b"".join(
        [
            run.server_state,
            run.parcel.SerializeToString(),
            *(message.SerializeToString() for message in messages.values()),
            *(each.SerializeToString() for each in shares.values()),
            bytes.fromhex(found["total"]),
        ]
    )
    state = ClientState.FromString(run.states["ash"])
    windows = [state.secret_key[start : start + 8] for start in range(0, 32_768, 8)]
    assert not [window for window in windows if window in held]
    assert state.private_key not in held
    wanted = np.sum([vectors[name] for name in THREE], axis=0, dtype=np.uint64)
    wanted &= np.uint64(run.modulus - 1)
    assert not np.isin(np.array(found["guess"], dtype=np.uint64), wanted).any()
    from federation.proto.secure_sum_pb2 import MaskedTotal

    total = MaskedTotal.FromString(bytes.fromhex(found["total"]))
    np.testing.assert_array_equal(run.client("birch").open(0, total, 50), wanted)


def test_parsing_never_leaks_a_protobuf_error() -> None:
    """The plain parser's own error is turned into a sentence with the party's name."""
    with pytest.raises(DecodeError):
        Contribution.FromString(b"\xff")
    with pytest.raises(BlamedError, match="1 bytes from ash are no Contribution"):
        read_message(Contribution, b"\xff", "ash")
