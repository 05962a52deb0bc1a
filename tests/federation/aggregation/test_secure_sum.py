"""A secure sum with real parts: who is in it, who dropped out, and what a client refuses."""

from __future__ import annotations

import numpy as np
import pytest

from federation.aggregation import SecureSumClient, SecureSumServer
from federation.aggregation.masks import (
    CHECK_SLOTS,
    adds,
    apply_masks,
    common_stream,
    pair_seed,
    self_seed_stream,
)
from federation.aggregation.roster import Roster
from federation.aggregation.sum_ciphers import sum_cipher
from federation.errors import InputError, PartyFailure, ProtocolError
from federation.proto.secure_sum_pb2 import ClientState
from tests.federation.aggregation.runs import FIVE, Run, Words, expected


@pytest.mark.parametrize("scheme", ["bfv", "ckks"])
def test_everybody_contributes(scheme: str) -> None:
    """With nobody missing the opened total is the sum of all vectors, at every client."""
    run = Run(scheme=scheme)
    vectors = run.vectors(5_000)
    messages = run.contributions(vectors, run.names)
    shares = {name: run.unmask(name, run.names) for name in run.names}
    total = run.server().add(0, messages, shares)
    for name in run.names:
        opened = run.client(name).open(0, total, 5_000)
        np.testing.assert_array_equal(opened, expected(vectors, run.names, run.modulus))


@pytest.mark.parametrize("scheme", ["bfv", "ckks"])
def test_one_drops_before_contributing_and_one_before_unmasking(scheme: str) -> None:
    """The sum is exactly that of the four whose vectors came, though only three gave shares."""
    run = Run(scheme=scheme)
    vectors = run.vectors()
    came = [name for name in run.names if name != "birch"]
    messages = run.contributions(vectors, came)
    shares = {name: run.unmask(name, came) for name in came if name != "elm"}
    total = run.server().add(0, messages, shares)
    opened = run.client("ash").open(0, total, 50)
    np.testing.assert_array_equal(opened, expected(vectors, came, run.modulus))


def test_the_next_step_is_a_sum_of_its_own() -> None:
    """A block of steps is prepared once, and a client missing in one step is there in the next."""
    run = Run()
    vectors = run.vectors()
    came = run.names[1:]
    messages = run.contributions(vectors, came)
    shares = {name: run.unmask(name, came) for name in came}
    run.server().add(0, messages, shares)
    messages = run.contributions(vectors, run.names, step=1)
    shares = {name: run.unmask(name, run.names, step=1) for name in run.names}
    total = run.server().add(1, messages, shares)
    opened = run.client("ash").open(1, total, 50)
    np.testing.assert_array_equal(opened, expected(vectors, run.names, run.modulus))


def test_too_few_shares_end_the_step() -> None:
    """Below the threshold nothing is opened, and the sentence has both numbers."""
    run = Run()
    messages = run.contributions(run.vectors(), run.names)
    shares = {name: run.unmask(name, run.names) for name in ("ash", "birch")}
    with pytest.raises(PartyFailure, match="2 clients gave shares where 3 are needed"):
        run.server().add(0, messages, shares)


def test_no_second_story() -> None:
    """A server that says 'in the sum' to some and 'dropped out' to others gets neither secret."""
    run = Run()
    messages = run.contributions(run.vectors(), run.names)
    without_elm = run.names[:4]
    first = {name: run.unmask(name, run.names) for name in ("ash", "birch")}
    second = {name: run.unmask(name, without_elm) for name in ("cedar", "dogwood", "elm")}
    for name in run.names:
        with pytest.raises(ProtocolError, match="asked twice"):
            run.unmask(name, without_elm)
        held = ClientState.FromString(run.states[name]).steps[0].held
        assert not any(each.self_mask_share or each.mask_key_share for each in held.values())
    seeds = [each.self_mask_shares["elm"] for each in first.values()]
    keys = [each.mask_key_shares["elm"] for each in second.values()]
    assert (len(seeds), len(keys)) == (2, 3)  # of 3 needed for either; 5 in all, never 6
    server = run.server()
    with pytest.raises(PartyFailure):
        server.add(0, messages, first)
    with pytest.raises(ProtocolError, match="cedar sent other shares"):
        server.add(0, messages, first | second)


def test_never_both_shares_of_one_client() -> None:
    """An answer has one share of each participant: of the seed or of the mask key."""
    run = Run()
    survivors = ["ash", "cedar", "dogwood"]
    shares = run.unmask("ash", survivors)
    assert sorted(shares.self_mask_shares) == survivors
    assert sorted(shares.mask_key_shares) == ["birch", "elm"]


def test_fewer_than_the_minimum_are_refused() -> None:
    """No client masks for, unmasks or opens a sum of fewer vectors than it asks for."""
    run = Run(minimum=4)
    client = run.client("ash")
    with pytest.raises(ProtocolError, match="3 participants in step 0 are fewer than the 4"):
        client.contribute(0, run.names[:3], run.vectors()["ash"])
    with pytest.raises(ProtocolError, match="3 contributions to step 0 are fewer than the 4"):
        client.unmask(0, run.names, run.names[:3])
    other = SecureSumClient.start("ash", "run-2")
    roster = {"ash": other.public_key} | _strangers("birch", "cedar", "dogwood")
    with pytest.raises(ProtocolError, match="4 clients on the roster are fewer than the 5"):
        other.agree(roster, minimum=5)


def test_a_step_takes_one_vector() -> None:
    """A second vector under the same masks would show the difference of the two."""
    run = Run()
    run.contribute("ash", run.vectors()["ash"])
    with pytest.raises(ProtocolError, match="contributed to step 0"):
        run.contribute("ash", run.vectors(seed=2)["ash"])


def test_a_closed_step_takes_no_vector() -> None:
    """Who gave shares for a step, as one that dropped out itself, does not contribute after."""
    run = Run()
    run.unmask("elm", run.names[:4])
    with pytest.raises(ProtocolError, match="closed it already"):
        run.contribute("elm", run.vectors()["elm"])


def test_other_participants_at_unmasking_are_refused() -> None:
    """A server can't name other participants than those that the vector was masked for."""
    run = Run()
    run.contribute("ash", run.vectors()["ash"])
    with pytest.raises(ProtocolError, match="other participants"):
        run.client("ash").unmask(0, run.names[:4], run.names[:4])


def test_names_must_be_of_the_roster_and_prepared() -> None:
    """Unknown, repeated or unsorted names and unprepared steps are refused."""
    run = Run()
    client, vector = run.client("ash"), run.vectors()["ash"]
    for names in (["ash", "birch", "fir"], ["ash", "ash", "birch"], ["birch", "ash", "cedar"]):
        with pytest.raises(ProtocolError, match="must be names of the roster"):
            client.contribute(0, names, vector)
    with pytest.raises(ProtocolError, match="step 9 was not prepared"):
        client.contribute(9, run.names, vector)
    with pytest.raises(ProtocolError, match="no part in"):
        client.contribute(0, run.names[1:], vector)


def test_a_wrong_share_is_found_and_the_sum_goes_on() -> None:
    """With shares to spare, the server leaves a wrong one out and knows whose it was."""
    run = Run()
    vectors = run.vectors()
    messages = run.contributions(vectors, run.names)
    shares = {name: run.unmask(name, run.names) for name in run.names}
    shares["birch"].self_mask_shares["ash"] = bytes(33)
    server = run.server()
    total = server.add(0, messages, shares)
    assert server.faulty == {"birch"}
    opened = run.client("ash").open(0, total, 50)
    np.testing.assert_array_equal(opened, expected(vectors, run.names, run.modulus))


def test_a_wrong_share_without_one_to_spare_ends_the_step() -> None:
    """With just the threshold of shares, a wrong one can't be made good."""
    run = Run(dropouts=0)
    messages = run.contributions(run.vectors(), run.names)
    shares = {name: run.unmask(name, run.names) for name in run.names}
    shares["birch"].self_mask_shares["ash"] = bytes(33)
    with pytest.raises(ProtocolError, match="the shares of ash in step 0 do not fit"):
        run.server().add(0, messages, shares)


def test_dropouts_leave_more_than_half() -> None:
    """Five clients survive two dropouts at most; the sentence says so."""
    client = Run().client("ash")
    with pytest.raises(InputError, match="5 clients can survive 0 to 2 dropouts, not 3"):
        client.prepare(10, 1, 3)


def test_members_of_a_step_may_be_fewer_than_the_roster() -> None:
    """Shares can be held by some of the clients; the others have no part in the step."""
    run = Run()
    members = ["ash", "birch", "cedar"]
    clients = {name: run.client(name) for name in members}
    server = run.server()
    for name, client in clients.items():
        server.take_preparation(name, client.prepare(5, 1, 1, members))
    vectors = run.vectors()
    server.order(5, members, 50)
    messages = {}
    for name, client in clients.items():
        client.take_preparations(server.preparations_for(name, 5))
        messages[name] = client.contribute(5, members, vectors[name])
        server.check(name, 5, messages[name])
    shares = {name: clients[name].unmask(5, members, members) for name in ("ash", "cedar")}
    total = server.add(5, messages, shares)
    opened = run.client("elm").open(5, total, 50)  # it holds the key, and may see the sum
    np.testing.assert_array_equal(opened, expected(vectors, members, run.modulus))


def test_a_total_of_another_step_or_of_others_is_refused() -> None:
    """A client opens the sum that it gave shares for, whole, and no other."""
    run = Run()
    messages = run.contributions(run.vectors(), run.names)
    shares = {name: run.unmask(name, run.names) for name in run.names}
    total = run.server().add(0, messages, shares)
    client = run.client("ash")
    with pytest.raises(ProtocolError, match="not of step 1"):
        client.open(1, total, 50)
    with pytest.raises(ProtocolError, match="50 slots where 51"):
        client.open(0, total, 51)
    damaged = bytearray(total.ciphertext)
    damaged[100] ^= 1
    total.ciphertext = bytes(damaged)
    with pytest.raises(ProtocolError, match="the server was damaged"):
        client.open(0, total, 50)
    total.ciphertext = total.ciphertext[:-8]
    with pytest.raises(ProtocolError, match="the server sent a ciphertext of 65528 bytes"):
        client.open(0, total, 50)
    del total.survivors[0]
    with pytest.raises(ProtocolError, match="other survivors"):
        client.open(0, total, 50)


@pytest.mark.parametrize("scheme", ["bfv", "ckks"])
def test_clients_bound_to_the_same_have_a_sum_also_with_dropouts(scheme: str) -> None:
    """The server, told what they are bound to, takes off the masks of those who dropped out."""
    run = Run(scheme=scheme)
    run.bound = dict.fromkeys(run.names, b"round 1")
    vectors = run.vectors()
    came = ["ash", "cedar", "elm"]
    messages = run.contributions(vectors, came)
    shares = {name: run.unmask(name, came) for name in came}
    total = run.server().add(0, messages, shares, b"round 1")
    for name in run.names:  # who dropped out opens it too
        opened = run.client(name).open(0, total, 50)
        np.testing.assert_array_equal(opened, expected(vectors, came, run.modulus))
    mistaken = run.server().add(0, messages, shares, b"round 2")
    with pytest.raises(ProtocolError, match="no sum of clients that are where ash is"):
        run.client("ash").open(0, mistaken, 50)


@pytest.mark.parametrize("scheme", ["bfv", "ckks"])
@pytest.mark.parametrize("others", [1, 2, 4])
def test_clients_bound_to_different_things_have_no_sum(scheme: str, others: int) -> None:
    """Nobody opens it, whatever he is bound to; a power of two of the others makes no exception."""
    run = Run(scheme=scheme)
    run.bound |= dict.fromkeys(run.names[-others:], b"forked")
    messages = run.contributions(run.vectors(), run.names)
    shares = {name: run.unmask(name, run.names) for name in run.names}
    for bound in (b"", b"forked"):
        total = run.server().add(0, messages, shares, bound)
        for name in run.names:
            with pytest.raises(ProtocolError, match=f"no sum of clients that are where {name} is"):
                run.client(name).open(0, total, 50)


def test_a_client_with_no_part_in_a_sum_opens_it_only_if_bound_to_the_same() -> None:
    """A client that dropped out does not go on with a sum of others that are somewhere else."""
    run = Run()
    run.bound["elm"] = b"forked"
    vectors = run.vectors()
    came = run.names[:4]
    messages = run.contributions(vectors, came)
    shares = {name: run.unmask(name, came) for name in came}
    total = run.server().add(0, messages, shares)
    np.testing.assert_array_equal(
        run.client("ash").open(0, total, 50), expected(vectors, came, run.modulus)
    )
    with pytest.raises(ProtocolError, match="no sum of clients that are where elm is"):
        run.client("elm").open(0, total, 50)


def test_a_server_with_the_run_s_key_makes_no_sum_of_clients_bound_to_different_things() -> None:
    """It can take off what all clients know, not the pairs' masks that do not cancel."""
    run = Run()
    run.bound |= dict.fromkeys(["dogwood", "elm"], b"forked")
    vectors = {name: np.zeros(4_000, dtype=np.uint64) for name in run.names}
    messages = run.contributions(vectors, run.names)
    shares = {name: run.unmask(name, run.names) for name in run.names}
    total = run.server().add(0, messages, shares)
    left = _decrypted(run, total.ciphertext, 4_000)
    secret = ClientState.FromString(run.states["ash"]).secret_key
    common = [common_stream(_roster(run), 0, secret, run.bound[name]) for name in run.names]
    apply_masks(left, [], common)
    left &= np.uint64(run.modulus - 1)
    assert np.unique(left).size > 3_990
    counts = np.bincount((left % np.uint64(16)).astype(np.int64), minlength=16)
    assert counts.min() > 150


def test_masked_values_are_uniform() -> None:
    """Under decryption, a client's masked zeros fill the whole range evenly (chi-square)."""
    run = Run()
    message = run.contribute("ash", np.zeros(40_000, dtype=np.uint64))
    values = _decrypted(run, message.ciphertext, 40_000)
    shift = run.modulus.bit_length() - 1
    for low_bit in (0, shift - 8):
        counts = np.bincount((values >> np.uint64(low_bit)).astype(np.int64) & 255, minlength=256)
        statistic = float(((counts - counts.mean()) ** 2 / counts.mean()).sum())
        assert 150 < statistic < 400  # 255 degrees of freedom: 1e-9 either way


def test_two_clients_and_the_server_see_masked_values_only() -> None:
    """All that two colluding clients can take off another's vector leaves it masked by the rest."""
    run = Run(dropouts=0)
    vector = np.zeros(4_096, dtype=np.uint64)
    states = {name: ClientState.FromString(state) for name, state in run.states.items()}
    message = run.contribute("ash", vector)
    seen = _decrypted(run, message.ciphertext, vector.size)
    known = [
        self_seed_stream(_roster(run), 0, "ash", states["ash"].steps[0].self_mask_seed),
        common_stream(_roster(run), 0, states["birch"].secret_key, b""),
    ]

    def without(peers: tuple[str, ...]) -> Words:
        """What remains when ash's own mask and these pairs' masks are gone."""
        added: list[bytes] = []
        subtracted = list(known)
        for peer in peers:
            seed = pair_seed(
                _roster(run),
                0,
                peer,
                "ash",
                states[peer].steps[0].mask_key,
                states["birch"].steps[0].held["ash"].mask_public_key,
            )
            (subtracted if adds("ash", peer) else added).append(seed)
        rest = seen.copy()
        apply_masks(rest, added, subtracted)
        return rest & np.uint64(run.modulus - 1)

    left = without(("birch", "cedar"))
    counts = np.bincount((left % np.uint64(16)).astype(np.int64), minlength=16)
    assert np.unique(left).size > 4_000
    assert counts.min() > 150
    # The test itself is right: with every peer's help the vector does come out.
    np.testing.assert_array_equal(without(("birch", "cedar", "dogwood", "elm")), vector)


def test_masks_differ_from_step_to_step() -> None:
    """The same vector in two steps gives unrelated masked values."""
    run = Run()
    vector = np.zeros(1_000, dtype=np.uint64)
    one = _decrypted(run, run.contribute("ash", vector, 0).ciphertext, vector.size)
    two = _decrypted(run, run.contribute("ash", vector, 1).ciphertext, vector.size)
    assert np.count_nonzero(one == two) == 0


def test_a_stored_state_that_is_damaged_is_refused() -> None:
    """Neither end starts from bytes that are no state of its own."""
    run = Run(names=FIVE[:3], dropouts=0)
    for damaged in (b"", b"\xff" * 40, run.states["ash"][:100]):
        with pytest.raises(InputError, match="damaged or of another version"):
            SecureSumClient.from_bytes(damaged)
    for damaged in (b"", b"\xff" * 40, run.server_state[:50]):
        with pytest.raises(InputError, match="damaged or of another version"):
            SecureSumServer.from_bytes(damaged)


def test_a_client_shows_no_secret_in_its_repr() -> None:
    """The repr names client and run; key bytes are not in it."""
    client = Run(names=FIVE[:3], dropouts=0).client("ash")
    assert repr(client) == "SecureSumClient('ash', run 'run-1')"


def _strangers(*names: str) -> dict[str, bytes]:
    return {name: SecureSumClient.start(name, "other").public_key for name in names}


def _roster(run: Run) -> Roster:
    return Roster("run-1", dict(ClientState.FromString(run.states["ash"]).roster))


def _decrypted(run: Run, ciphertext: bytes, count: int) -> Words:
    secret = ClientState.FromString(run.states["ash"]).secret_key
    return sum_cipher("bfv", len(run.names)).decrypt(secret, ciphertext, count + CHECK_SLOTS)[
        :count
    ]
