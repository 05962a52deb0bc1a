"""An applicant's client against a real desk: scores, its key, terms that change, refusals."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clients.applicant import ApplicantClient, TermsChanged
from clients.applicant.kept_key import KeptKey
from clients.desk_refusals import DeskUnavailable, FieldsRefused
from federation.encrypted_scoring import (
    ApplicantKey,
    from_part,
)
from federation.encrypted_scoring.parameters import DEGREE
from federation.encrypted_scoring.ring import to_words
from federation.errors import InputError, ProtocolError
from server.desk.encrypted import (
    EncryptedLimits,
)
from tests.federation.encrypted_models import logistic, part
from tests.server.desk.encrypted_desks import (
    EncryptedDesk,
    features_of,
    running,
)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncryptedDesk]:
    """One desk with a logistic regression and a scorecard, for tests that leave it as it is."""
    models = {"logistic": logistic(), "scorecard": from_part(part())}
    with running(tmp_path_factory.mktemp("desk"), models) as started:
        yield started


def test_a_key_that_the_desk_forgot_is_made_anew(tmp_path: Path) -> None:
    """Room for two keys of a caller: the oldest goes, and its client makes another by itself."""
    model = logistic(3)
    limits = EncryptedLimits(keys_of_a_caller=2)
    row = {name: values[0] for name, values in features_of(model, 1).items()}
    with running(tmp_path, {"logistic": model}, limits) as desk:
        file = tmp_path / "me" / "encryption.key"
        with desk.client(key_file=file) as first:
            expected = first.score(row)
            before = file.read_bytes()
            for _ in range(2):
                with desk.client() as another:
                    assert another.score(row) == expected
            assert first.score(row) == expected
            assert file.read_bytes() != before  # a secret never serves two seeds


def test_a_changed_model_is_noticed(tmp_path: Path) -> None:
    """By a client that runs, by one that begins with a kept key; never scored by surprise."""
    model = logistic(3)
    row = {name: values[0] for name, values in features_of(model, 1).items()}
    file = tmp_path / "me" / "encryption.key"
    with running(tmp_path, {"logistic": model}) as desk:
        with desk.client(key_file=file) as client:
            expected = client.score(row)
        with desk.client(key_file=file) as client:
            registered = [r for r in desk.rows if r.method == "EncryptedRegisterKey"]
            assert client.score(row) == expected
            assert len(registered) == 1  # the kept key serves
            assert registered == [r for r in desk.rows if r.method == "EncryptedRegisterKey"]
            desk.models["logistic"] = logistic(3, seed=99)
            with pytest.raises(TermsChanged, match="the desk has another model now"):
                client.score(row)
        with (
            desk.client(key_file=file) as client,
            pytest.raises(TermsChanged, match="encryption.key: the desk's terms are not those"),
        ):
            client.score(row)
        file.unlink()
        with desk.client(key_file=file) as client:
            client.score(row)


def test_a_kept_key_is_private_and_checked(tmp_path: Path) -> None:
    """0600, never read where others can, refused where damaged; its repr shows no secret."""
    file = tmp_path / "folder" / "encryption.key"
    assert KeptKey.load(file) is None
    key, _ = ApplicantKey.generate(bytes(64))
    kept = KeptKey(key.secret, bytes(32), "digest")
    kept.save(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert KeptKey.load(file) == kept
    assert "secret" not in repr(kept)
    file.chmod(0o644)
    with pytest.raises(InputError, match="others can read this key; mode 0600 is right"):
        KeptKey.load(file)
    file.chmod(0o600)
    good = json.loads(file.read_text())
    for damage in (
        {"secret": "AAAA"},
        {"secret": 3},
        {"key_id": "x"},
        {"format": "x"},
        {"secret": good["secret"][:-4] + "//8="},
    ):
        file.write_text(json.dumps(good | damage))
        with pytest.raises(InputError, match="encryption.key: not a key|-1, 0 or 1"):
            KeptKey.load(file)
    file.write_bytes(os.urandom(50))
    with pytest.raises(InputError, match="not a key that this client wrote"):
        KeptKey.load(file)


def test_a_client_tells_what_the_desk_says(desk: EncryptedDesk) -> None:
    """No role, no desk, no certificate: one sentence each."""
    with desk.client("lending") as client, pytest.raises(InputError, match="role 'encrypted'"):
        client.score({})
    with (
        ApplicantClient("127.0.0.1:1", **desk.files("applicant"), seconds=2) as client,
        pytest.raises(DeskUnavailable, match="UNAVAILABLE|DEADLINE"),
    ):
        client.score({})
    with pytest.raises(InputError, match=r"nowhere-ca\.pem: cannot be read"):
        ApplicantClient("127.0.0.1:1", "nowhere.pem", "nowhere.key", "nowhere-ca.pem")


def test_a_reply_that_is_none_is_refused(desk: EncryptedDesk) -> None:
    """A desk that sends noise is found out, but for one case in two of a single borrower."""
    model = desk.models["logistic"]
    key, _ = ApplicantKey.generate(bytes(64))
    noise = to_words(np.random.default_rng(1).integers(0, 2**26, (4, DEGREE)))
    with pytest.raises(ProtocolError, match="does not decrypt"):
        key.decrypt(noise + bytes(16 * 60), 60, model.budget.scale_bits)


def test_a_desk_that_wants_no_fields_is_told(desk: EncryptedDesk) -> None:
    """INVALID_ARGUMENT reaches the client's caller with its fields."""
    with desk.client(model="logistic") as client:
        client.score({name: v[0] for name, v in features_of(desk.models["logistic"], 1).items()})
        assert client._kept is not None
        client._kept = KeptKey(client._kept.secret, b"short", client._kept.terms_digest)
        with pytest.raises(FieldsRefused, match="key_id: 5 bytes where an id has 32") as caught:
            client.score(
                {name: v[0] for name, v in features_of(desk.models["logistic"], 1).items()}
            )
        assert list(caught.value.fields) == ["key_id"]


def test_features_that_lack_are_named_before_anything_is_sent(desk: EncryptedDesk) -> None:
    """And a model that the desk does not have is named with those that it has."""
    with desk.client(model="logistic") as client:
        before = len(desk.rows)
        assert client.terms.encoding.width == 25
        with pytest.raises(InputError, match="the feature 'x0' is needed and not given"):
            client.score({})
        assert [row.method for row in desk.rows[before:]] == ["EncryptedTerms"]
    with (
        desk.client(model="none") as client,
        pytest.raises(InputError, match="no such model .* there are: logistic, scorecard"),
    ):
        client.score({})


def test_one_borrower_and_many_get_the_score_in_the_clear(desk: EncryptedDesk) -> None:
    """Through TLS, all packings, more borrowers than fit a request."""
    model = desk.models["logistic"]
    table = features_of(model, 9_000)
    expected = model.sums(model.encoding.encode(table))
    with desk.client(model="logistic") as client:
        many = client.score_many(table)
        assert np.array_equal(many.points, np.rint(expected / 16384))
        for row in (0, 8_999):
            one = client.score({name: values[row] for name, values in table.items()})
            assert one == many[row]
        assert len(client.score_many({name: values[:0] for name, values in table.items()})) == 0
        ignored = client.score({"unknown": "x", **{name: v[0] for name, v in table.items()}})
        assert ignored == many[0]
    with desk.client(model="scorecard") as client:
        values = {f"n{number}": [3.0, None] for number in range(5)} | {"region": ["north", "mars"]}
        scored = client.score_many(values)
        scorecard = desk.models["scorecard"]
        sums = scorecard.sums(scorecard.encoding.encode(values))
        assert np.array_equal(scored.points, np.rint(sums / 64))
        assert (scored.probabilities > 0).all()
