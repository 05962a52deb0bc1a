"""Run keys, the wrapped encryption key and sealed shares: for the right client only."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.aggregation import BlamedError, SecureSumClient, SecureSumServer, read_message
from federation.aggregation.roster import Roster
from federation.errors import InputError, ProtocolError
from federation.proto.secure_sum_pb2 import ClientState, KeyParcel, Preparation

NAMES = ("ash", "birch", "cedar")


def agreed(run: str = "run-1") -> dict[str, SecureSumClient]:
    """Three clients that know each other's run keys."""
    clients = {name: SecureSumClient.start(name, run) for name in NAMES}
    roster = {name: client.public_key for name, client in clients.items()}
    for client in clients.values():
        client.agree(roster)
    return clients


def prepared() -> tuple[dict[str, SecureSumClient], Preparation]:
    """Three clients and ash's preparation for birch and cedar."""
    clients = agreed()
    return clients, clients["ash"].prepare(0, 3, 1)


def test_every_client_unwraps_the_same_key() -> None:
    """The first client's key reaches the others, and only they can open it."""
    clients = agreed()
    parcel = clients["ash"].make_key("bfv")
    for name in ("birch", "cedar"):
        clients[name].take_key(parcel)
        clients[name].take_key(parcel)  # it may come twice
    states = [ClientState.FromString(client.to_bytes()) for client in clients.values()]
    assert len({state.secret_key for state in states}) == 1
    assert states[0].secret_key not in parcel.SerializeToString()


def test_the_first_client_by_name_makes_the_key_once() -> None:
    """Nobody else makes it, and nobody makes it again."""
    clients = agreed()
    with pytest.raises(ProtocolError, match="made by ash, not by birch"):
        clients["birch"].make_key("bfv")
    with pytest.raises(InputError, match="'rsa' is no scheme"):
        clients["ash"].make_key("rsa")
    clients["ash"].make_key("bfv")
    with pytest.raises(ProtocolError, match="made the run's key already"):
        clients["ash"].make_key("bfv")


def test_a_foreign_parcel_is_refused() -> None:
    """A parcel of another run, roster, maker or recipient does not pass."""
    clients, others = agreed(), agreed()
    parcel = clients["ash"].make_key("bfv")
    with pytest.raises(BlamedError, match="another run or roster"):
        clients["birch"].take_key(others["ash"].make_key("bfv"))
    swapped = KeyParcel.FromString(parcel.SerializeToString())
    swapped.wrapped["birch"] = parcel.wrapped["cedar"]
    with pytest.raises(BlamedError, match="what ash sealed for birch does not open"):
        clients["birch"].take_key(swapped)
    for change in ("party", "scheme", "key_id"):
        wrong = KeyParcel.FromString(parcel.SerializeToString())
        setattr(wrong, change, b"0" * 16 if change == "key_id" else "ckks")
        with pytest.raises(BlamedError) as caught:
            clients["birch"].take_key(wrong)
        assert caught.value.party == "ash"
    clients["birch"].take_key(parcel)
    parcel.key_id = bytes(16)
    with pytest.raises(BlamedError, match="second key"):
        clients["birch"].take_key(parcel)


def test_a_client_with_another_run_key_opens_nothing() -> None:
    """Who took part under another key, though under the same name, gets no key of this run."""
    clients = agreed()
    parcel = clients["ash"].make_key("bfv")
    state = ClientState.FromString(clients["birch"].to_bytes())
    state.private_key = bytes(range(32))
    with pytest.raises(ProtocolError, match="does not open"):
        SecureSumClient.from_bytes(state.SerializeToString()).take_key(parcel)


def test_a_roster_that_is_not_right_is_refused() -> None:
    """Too few, without this client's own key, with a key twice, changed, or with a damaged key."""
    client = SecureSumClient.start("ash", "run-1")
    birch, cedar = (SecureSumClient.start(name, "run-1").public_key for name in NAMES[1:])
    own = client.public_key
    wrong: list[tuple[dict[str, bytes], str]] = [
        ({"ash": own}, "at least two clients"),
        ({"ash": birch, "birch": own, "cedar": cedar}, "does not hold the run key of ash"),
        ({"ash": own, "birch": birch, "cedar": birch}, "keys of their own"),
        ({"ash": own, "birch": birch[:-1], "cedar": cedar}, "the run key of birch is damaged"),
        ({"ash": own, "": birch, "cedar": cedar}, "must have names"),
    ]
    for roster, sentence in wrong:
        with pytest.raises(ProtocolError, match=sentence):
            client.agree(roster)
    with pytest.raises(ProtocolError, match="knows no roster"):
        client.make_key("bfv")
    client.agree({"ash": own, "birch": birch, "cedar": cedar})
    with pytest.raises(ProtocolError, match="can't change"):
        client.agree({"ash": own, "birch": birch, "dogwood": cedar})
    with pytest.raises(ProtocolError, match="no encryption key"):
        _ = client.cipher
    with pytest.raises(ValueError, match="one client's vector"):
        client.agree({"ash": own}, minimum=1)


def test_a_key_that_gives_everybody_the_same_secret_is_refused() -> None:
    """A point of small order would make the shared secret known; the sentence names its owner."""
    client = SecureSumClient.start("ash", "run-1")
    keys = {"ash": client.public_key, "birch": bytes(32), "cedar": bytes(31) + b"\x09"}
    client.agree(keys)
    with pytest.raises(BlamedError, match="the key of birch is not an X25519 key"):
        client.prepare(0, 1, 0)


def test_the_roster_is_bound_into_its_digest() -> None:
    """Another run, name or key is another digest."""
    keys = {name: name.encode().ljust(32) for name in NAMES}
    digests = {
        Roster("run-1", keys).digest,
        Roster("run-2", keys).digest,
        Roster("run-1", keys | {"ash": bytes(32)}).digest,
        Roster("run-1", {"ash": keys["ash"], "birch": keys["birch"]}).digest,
    }
    assert len(digests) == 4


def test_shares_open_for_their_holder_only() -> None:
    """A blob that went to another client, or whose public part was changed, does not open."""
    clients, message = prepared()
    swapped = Preparation.FromString(message.SerializeToString())
    swapped.sealed["birch"] = message.sealed["cedar"]
    with pytest.raises(BlamedError, match="does not open"):
        clients["birch"].take_preparations({"ash": swapped})
    other_keys = Preparation.FromString(message.SerializeToString())
    other_keys.mask_public_keys = bytes(range(96))  # the server's own, to know pairwise masks
    with pytest.raises(BlamedError, match="does not open"):
        clients["birch"].take_preparations({"ash": other_keys})
    clients["birch"].take_preparations({"ash": message})
    clients["birch"].take_preparations({"ash": message})  # it may come twice


def test_a_weak_threshold_is_refused() -> None:
    """Half of the members must not be able to rebuild a secret."""
    clients, message = prepared()
    message.threshold = 1
    with pytest.raises(BlamedError, match="more than half of them must be needed"):
        clients["birch"].take_preparations({"ash": message})


def test_a_step_is_prepared_once() -> None:
    """Neither the client itself nor its peers and the server take a second preparation."""
    clients, message = prepared()
    with pytest.raises(ProtocolError, match="ash has prepared step 2 already"):
        clients["ash"].prepare(2, 2, 1)
    clients["birch"].take_preparations({"ash": message})
    forgetful = ClientState.FromString(clients["ash"].to_bytes())
    forgetful.steps.clear()
    again = SecureSumClient.from_bytes(forgetful.SerializeToString()).prepare(2, 1, 1)
    with pytest.raises(BlamedError, match="ash prepared step 2 twice"):
        clients["birch"].take_preparations({"ash": again})
    server = SecureSumServer.start("run-1", clients["ash"].roster)
    server.take_preparation("ash", message)
    with pytest.raises(BlamedError, match="ash prepared step 2 twice"):
        server.take_preparation("ash", again)


def test_the_server_wants_the_same_members_and_threshold_of_all() -> None:
    """A client that prepares otherwise is named."""
    clients, message = prepared()
    server = SecureSumServer.start("run-1", clients["ash"].roster)
    server.take_preparation("ash", message)
    with pytest.raises(BlamedError, match="birch prepared step 0 with other members"):
        server.take_preparation("birch", clients["birch"].prepare(0, 3, 0))


def test_what_is_forgotten_is_gone() -> None:
    """The server can drop old steps, and keeps those that are to come."""
    clients, message = prepared()
    server = SecureSumServer.start("run-1", clients["ash"].roster)
    server.take_preparation("ash", message)
    server.take_preparation("ash", clients["ash"].prepare(3, 1, 1))
    server.forget(3)
    assert not server.preparations_for("birch", 0)
    assert list(server.preparations_for("birch", 3)) == ["ash"]


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_damaged_preparation_names_its_sender(place: int, bit: int) -> None:
    """Whichever bit is flipped, the holder refuses, or what it takes is what was sent."""
    clients, message = _ONCE
    data = bytearray(message.SerializeToString())
    data[place % len(data)] ^= 1 << bit
    holder = SecureSumClient.from_bytes(clients["birch"].to_bytes())
    culprit = ""
    try:
        holder.take_preparations({"ash": read_message(Preparation, bytes(data), "ash")})
    except BlamedError as error:
        culprit = error.party
    # Only shares that were for others can have changed unnoticed.
    changed = message.SerializeToString().find(message.sealed["birch"])
    own = changed <= place % len(data) < changed + len(message.sealed["birch"])
    assert culprit == "ash" or (culprit == "" and not own)


_ONCE = prepared()
