"""Encrypted scoring through gRPC over mutual TLS: keys, seeds, limits and bad input."""

from __future__ import annotations

import secrets
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.applicant import ApplicantClient
from clients.desk_refusals import DeskUnavailable
from federation.encrypted_scoring import (
    RING_DIGEST,
    ApplicantKey,
    from_part,
)
from federation.encrypted_scoring.parameters import CIPHERTEXT_BYTES, ELEMENT_BYTES
from federation.errors import InputError
from federation.proto import encrypted_scoring_pb2 as pb
from server.desk.audit import AuditRow
from server.desk.encrypted import (
    EncryptedLimits,
    encrypted_handlers,
    load_encrypted_model,
    save_encrypted_model,
)
from server.desk.encrypted.key_seeds import VALID_SECONDS
from tests.federation.encrypted_models import inputs_of, logistic, part
from tests.server.desk.encrypted_desks import (
    EncryptedDesk,
    features_of,
    refused,
    register,
    running,
    serving,
)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncryptedDesk]:
    """One desk with a logistic regression and a scorecard, for tests that leave it as it is."""
    models = {"logistic": logistic(), "scorecard": from_part(part())}
    with running(tmp_path_factory.mktemp("desk"), models) as started:
        yield started


def test_the_audit_record_has_a_row_a_call(desk: EncryptedDesk) -> None:
    """One a batch; it names caller, model and borrowers, and nothing of what was scored."""
    model = desk.models["logistic"]
    before = len(desk.rows)
    with desk.client(model="logistic") as client:
        client.score_many(features_of(model, 50))
    rows = desk.rows[before:]
    methods = ["EncryptedTerms", "EncryptedTerms", "EncryptedRegisterKey", "EncryptedScoreBatch"]
    assert [row.method for row in rows] == methods
    assert {row.caller for row in rows} == {"applicant"}
    assert (rows[-1].borrowers, rows[-1].model, rows[-1].status) == (50, model.digest, "OK")


def test_keys_serve_their_caller_only(desk: EncryptedDesk) -> None:
    """Another caller's key is as unknown as one that never was; a caller without the role, out."""
    model = desk.models["logistic"]
    with desk.calling() as call, desk.calling("other") as other, desk.calling("lending") as lending:
        key, key_id = register(call)
        request = pb.EncryptedScoreRequest(
            key_id=key_id,
            model="logistic",
            ciphertext=key.encrypt(inputs_of(model, 1), model.budget.scale_bits)[0],
            model_digest=model.digest,
        )
        reply = call("Score", request)
        assert np.array_equal(
            key.decrypt(reply.ciphertext, 1, model.budget.scale_bits),
            model.sums(inputs_of(model, 1)),
        )
        assert reply.request_id == desk.rows[-1].request
        code, sentence, fields = refused(other, "Score", request)
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert sentence.startswith("key_id: no key of this caller")
        assert fields == ["key_id"]
        for method in ("Terms", "RegisterKey", "Score", "ScoreBatch"):
            code, sentence, _ = refused(lending, method, b"")
            assert code is grpc.StatusCode.PERMISSION_DENIED
            assert "does not have the role 'encrypted'" in sentence


def test_seeds_that_are_no_seeds_of_the_desk(desk: EncryptedDesk) -> None:
    """A client's own, another caller's, used, expired: registration refuses each by name.

    A key whose uniform half the client chose (zero, or one with a trapdoor) can't be registered:
    the half isn't sent, and the seed has to be the desk's.
    """
    with desk.calling() as call, desk.calling("other") as other:

        def attempt(caller: Callable[[str, Any], Any], seed: bytes) -> tuple[Any, str, list[str]]:
            _, public_key = ApplicantKey.generate(seed)
            return refused(
                caller,
                "RegisterKey",
                pb.RegisterKeyRequest(
                    key_seed=seed, public_key=public_key, parameters_digest=RING_DIGEST
                ),
            )

        drawn = call("Terms", pb.TermsRequest(model="logistic")).key_seed
        precondition = grpc.StatusCode.FAILED_PRECONDITION
        altered = bytes([drawn[0] ^ 1]) + drawn[1:]
        for caller, seed, sentence in (
            (call, secrets.token_bytes(64), "key_seed: not drawn by this desk for this caller"),
            (call, bytes(64), "key_seed: not drawn by this desk for this caller"),
            (call, altered, "key_seed: not drawn by this desk for this caller"),
            (other, drawn, "key_seed: not drawn by this desk for this caller"),
        ):
            code, found, fields = attempt(caller, seed)
            assert (code, fields) == (precondition, ["key_seed"])
            assert found.startswith(sentence)
        code, found, _ = attempt(call, b"short")
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert found == "key_seed: 5 bytes where a seed has 64"

        _, public_key = ApplicantKey.generate(drawn)
        request = pb.RegisterKeyRequest(
            key_seed=drawn, public_key=public_key, parameters_digest=RING_DIGEST
        )
        call("RegisterKey", request)
        code, found, _ = attempt(call, drawn)
        assert (code, found) == (precondition, "key_seed: used before; ask for terms anew")

        late = call("Terms", pb.TermsRequest(model="logistic")).key_seed
        desk.now += VALID_SECONDS + 1
        try:
            code, found, _ = attempt(call, late)
        finally:
            desk.now -= VALID_SECONDS + 1
        assert (code, found) == (precondition, "key_seed: expired; ask for terms anew")


def test_keys_that_can_not_be_registered(desk: EncryptedDesk) -> None:
    """Other parameters, wrong lengths, words that are no residues; the seed is left for later."""
    with desk.calling() as call:
        seed = call("Terms", pb.TermsRequest(model="logistic")).key_seed
        _, public_key = ApplicantKey.generate(seed)

        def attempt(**changed: Any) -> tuple[Any, str, list[str]]:
            content = {
                "key_seed": seed,
                "public_key": public_key,
                "parameters_digest": RING_DIGEST,
            } | changed
            return refused(call, "RegisterKey", pb.RegisterKeyRequest(**content))

        code, sentence, fields = attempt(parameters_digest="0" * 64)
        assert (code, fields) == (grpc.StatusCode.FAILED_PRECONDITION, ["parameters_digest"])
        assert sentence.startswith("parameters_digest: the key was made for other parameters")
        for wrong, expected in (
            (public_key[:-1], "public_key: 65535 bytes of words where 65536 are right"),
            (public_key * 2, "public_key: 131072 bytes of words where 65536 are right"),
            (b"", "public_key: 0 bytes of words where 65536 are right"),
            (b"\xff" * ELEMENT_BYTES, "public_key: word 0 of prime 0 is not below the prime"),
        ):
            code, sentence, fields = attempt(public_key=wrong)
            assert (code, fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["public_key"])
            assert sentence.startswith(expected)
        request = pb.RegisterKeyRequest(
            key_seed=seed, public_key=public_key, parameters_digest=RING_DIGEST
        )
        assert len(call("RegisterKey", request).key_id) == 32


def test_requests_that_are_refused_name_their_field(desk: EncryptedDesk) -> None:
    """Malformed, huge, miscounted, or for a model that has changed; the desk goes on."""
    model = desk.models["logistic"]
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    precondition = grpc.StatusCode.FAILED_PRECONDITION
    with desk.calling() as call:
        key, key_id = register(call)
        good = key.encrypt(inputs_of(model, 1), model.budget.scale_bits)[0]

        def single(**changed: Any) -> tuple[Any, str, list[str]]:
            content = {
                "key_id": key_id,
                "model": "logistic",
                "ciphertext": good,
                "model_digest": model.digest,
            } | changed
            return refused(call, "Score", pb.EncryptedScoreRequest(**content))

        def batch(**changed: Any) -> tuple[Any, str, list[str]]:
            content = {
                "key_id": key_id,
                "model": "logistic",
                "borrowers": 100,
                "ciphertexts": [good],
                "model_digest": model.digest,
            } | changed
            return refused(call, "ScoreBatch", pb.EncryptedBatchRequest(**content))

        for (code, sentence, fields), status, name, begin in (
            (single(ciphertext=b""), invalid, "ciphertext", "0 bytes where a ciphertext has"),
            (single(ciphertext=good[:-1]), invalid, "ciphertext", "65567 bytes"),
            (single(ciphertext=good * 30), invalid, "ciphertext", "1967040 bytes"),
            (
                single(ciphertext=b"\xff" * CIPHERTEXT_BYTES),
                invalid,
                "ciphertext",
                "word 0 of prime 0 is not below",
            ),
            (single(key_id=b""), invalid, "key_id", "0 bytes where an id has 32"),
            (single(key_id=bytes(32)), precondition, "key_id", "no key of this caller"),
            (single(model="none"), grpc.StatusCode.NOT_FOUND, "model", "no such model"),
            (single(model=""), grpc.StatusCode.NOT_FOUND, "model", "no such model"),
            (single(model_digest="0"), precondition, "model_digest", "the model's terms have"),
            (batch(borrowers=0), invalid, "borrowers", "0 in a request; 1 to 4096 are right"),
            (batch(borrowers=4097), invalid, "borrowers", "4097 in a request"),
            (batch(borrowers=2**32 - 1), invalid, "borrowers", "4294967295 in a request"),
            (batch(ciphertexts=[]), invalid, "ciphertexts", "0 where 25 inputs of 100"),
            (batch(ciphertexts=[good] * 2), invalid, "ciphertexts", "2 where 25 inputs"),
            (batch(borrowers=4096), invalid, "ciphertexts", "1 where 25 inputs"),
            (
                batch(borrowers=200, ciphertexts=[good, good[:9]]),
                invalid,
                "ciphertexts[1]",
                "9 bytes where a ciphertext has",
            ),
        ):
            assert (code, fields) == (status, [name])
            assert sentence.startswith(f"{name}: {begin}")
        # Beyond the server's limit gRPC itself refuses.
        code, _, _ = single(ciphertext=bytes(9 << 20))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        code, sentence, _ = refused(call, "Score", b"\xff\xff\xff")
        assert code is invalid
        content = {"key_id": key_id, "model": "logistic", "model_digest": model.digest}
        assert call("Score", pb.EncryptedScoreRequest(ciphertext=good, **content)).ciphertext


@given(
    method=st.sampled_from(["Terms", "RegisterKey", "Score", "ScoreBatch"]),
    data=st.binary(max_size=200),
)
@settings(max_examples=40, deadline=None)
def test_any_bytes_are_answered_with_a_status(
    desk: EncryptedDesk, method: str, data: bytes
) -> None:
    """Fuzz: the desk refuses and goes on; never an internal error."""
    with desk.calling() as call:
        try:
            call(method, data)
        except grpc.RpcError as error:
            assert error.code() in (  # noqa: PT017
                grpc.StatusCode.INVALID_ARGUMENT,
                grpc.StatusCode.FAILED_PRECONDITION,
                grpc.StatusCode.NOT_FOUND,
            )


@given(
    key_id=st.binary(max_size=40),
    model=st.sampled_from(["", "logistic", "scorecard"]) | st.text(max_size=20),
    borrowers=st.integers(0, 2**32 - 1),
    ciphertexts=st.lists(st.binary(max_size=50) | st.just(bytes(CIPHERTEXT_BYTES)), max_size=3),
)
@settings(max_examples=25, deadline=None)
def test_any_batch_is_answered_with_a_status(
    desk: EncryptedDesk, key_id: bytes, model: str, borrowers: int, ciphertexts: list[bytes]
) -> None:
    """Fuzz of messages that parse."""
    request = pb.EncryptedBatchRequest(
        key_id=key_id, model=model, borrowers=borrowers, ciphertexts=ciphertexts
    )
    with desk.calling() as call:
        code, _, _ = refused(call, "ScoreBatch", request)
        assert code in (
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.FAILED_PRECONDITION,
            grpc.StatusCode.NOT_FOUND,
        )


def test_borrowers_count_against_key_and_caller(tmp_path: Path) -> None:
    """A key's quota, the caller's over several keys, keys a day; the next day all begins anew."""
    limits = EncryptedLimits(borrowers_a_key=30, borrowers_a_caller=70, keys_a_caller=3)
    model = logistic(3)
    exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
    with running(tmp_path, {"logistic": model}, limits) as desk, desk.calling() as call:
        keys = [register(call) for _ in range(3)]
        seed = call("Terms", pb.TermsRequest()).key_seed
        code, sentence, fields = refused(
            call,
            "RegisterKey",
            pb.RegisterKeyRequest(
                key_seed=seed, public_key=bytes(ELEMENT_BYTES), parameters_digest=RING_DIGEST
            ),
        )
        assert (code, fields) == (exhausted, ["public_key"])
        assert sentence == "public_key: more than 3 keys in a day (UTC)"

        def batch(number: int, borrowers: int) -> pb.EncryptedBatchRequest:
            key, key_id = keys[number]
            values = inputs_of(model, borrowers)
            return pb.EncryptedBatchRequest(
                key_id=key_id,
                borrowers=borrowers,
                ciphertexts=key.encrypt(values, model.budget.scale_bits),
                model_digest=model.digest,
            )

        call("ScoreBatch", batch(0, 30))
        code, sentence, fields = refused(call, "ScoreBatch", batch(0, 1))
        assert (code, fields) == (exhausted, ["borrowers"])
        assert sentence.startswith("borrowers: a key may have 30 borrowers scored in a day")
        call("ScoreBatch", batch(1, 30))
        code, sentence, _ = refused(call, "ScoreBatch", batch(2, 11))
        assert sentence.startswith("borrowers: a caller may have 70 borrowers scored in a day")
        call("ScoreBatch", batch(2, 10))
        desk.now += 86_400
        call("ScoreBatch", batch(0, 30))


def test_the_gates_own_quota_counts_borrowers(tmp_path: Path) -> None:
    """The access file's day quota holds for encrypted borrowers too; a miscount costs nothing."""
    model = logistic(3)
    access = "requests_per_day = 20\n"
    with running(tmp_path, {"logistic": model}, access=access) as desk, desk.client() as client:
        table = features_of(model, 15)
        client.score_many(table)
        with pytest.raises(DeskUnavailable, match="RESOURCE_EXHAUSTED.*20 borrowers a day"):
            client.score_many(table)
        with desk.calling() as call:
            code, _, _ = refused(call, "ScoreBatch", pb.EncryptedBatchRequest(borrowers=2**31))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
        client.score_many({name: values[:5] for name, values in table.items()})


def test_calls_at_the_same_time(desk: EncryptedDesk) -> None:
    """Eight clients with keys of their own, single and batched at once: every score is right."""
    model = desk.models["logistic"]
    table = features_of(model, 300)
    expected = np.rint(model.sums(model.encoding.encode(table)) / 16384)
    wrong: list[object] = []

    def work(seed: int) -> None:
        try:
            with desk.client("applicant" if seed % 2 else "other", model="logistic") as client:
                for row in range(seed, 300, 75):
                    one = client.score({name: values[row] for name, values in table.items()})
                    if one.points != expected[row]:
                        wrong.append(row)
                if not np.array_equal(client.score_many(table).points, expected):
                    wrong.append("many")
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_authorise_that_ends_the_call_itself(tmp_path: Path) -> None:
    """An asynchronous check may abort; without names, a caller is its certificate."""

    async def strict(context: Any, borrowers: int) -> None:
        if borrowers > 1:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "one at a time")

    model = logistic(3)
    with running(tmp_path, {"logistic": model}) as desk:
        rows: list[AuditRow] = []
        table = features_of(model, 2)

        handlers = encrypted_handlers(desk.models, strict, enter=rows.append)
        with (
            serving(desk, handlers) as address,
            ApplicantClient(address, **desk.files("applicant")) as client,
        ):
            client.score({name: values[0] for name, values in table.items()})
            assert len(rows[-1].caller) == 64
            with pytest.raises(InputError, match="one at a time"):
                client.score_many(table)


def test_a_record_that_can_not_be_written_gives_no_score(tmp_path: Path) -> None:
    """What is not in the audit record is not answered, and the desk says no more than its id."""

    def full(row: AuditRow) -> None:
        raise OSError("the disk is full of secrets")

    with running(tmp_path, {"logistic": logistic(3)}) as desk:
        handlers = encrypted_handlers(desk.models, lambda context, borrowers: None, enter=full)
        with serving(desk, handlers) as address:
            with (
                ApplicantClient(address, **desk.files("applicant")) as client,
                pytest.raises(DeskUnavailable, match="INTERNAL") as caught,
            ):
                client.score({})
            assert "disk" not in str(caught.value)


def test_models_on_the_desks_disk(tmp_path: Path) -> None:
    """0600, read back, and refused by a sentence that names the file."""
    model = logistic()
    file = tmp_path / "models" / "logistic.json"
    save_encrypted_model(file, model)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_encrypted_model(file) == model
    file.write_text("{}")
    with pytest.raises(InputError, match=r"logistic\.json: not an encrypted model"):
        load_encrypted_model(file)
    file.write_bytes(bytes(5 << 20))
    with pytest.raises(InputError, match=r"logistic\.json: longer than 4 MB"):
        load_encrypted_model(file)
    with pytest.raises(InputError, match="cannot be read"):
        load_encrypted_model(tmp_path / "none.json")


def test_a_desk_with_too_much_to_do_says_so(
    desk: EncryptedDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Declined at once, without a charge; a moment later it goes on."""
    model = desk.models["logistic"]
    with desk.calling() as call:
        key, key_id = register(call)
        request = pb.EncryptedScoreRequest(
            key_id=key_id,
            model="logistic",
            ciphertext=key.encrypt(inputs_of(model, 1), model.budget.scale_bits)[0],
            model_digest=model.digest,
        )
        with monkeypatch.context() as patch:
            patch.setattr("server.desk.encrypted.service.MOST_WAITING", 0)
            code, sentence, _ = refused(call, "Score", request)
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "as many encrypted requests as it can take" in sentence
        assert call("Score", request).ciphertext
