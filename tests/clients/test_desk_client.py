"""The bank's own caller of its desk, over real mutual TLS: what it reads, refuses and retries."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.desk_client import DeskClient, DeskUnavailable, FieldsRefused
from clients.desk_requests import batch_request, fact, score_request
from federation.errors import InputError
from federation.proto.scoring_pb2 import ModelInfoRequest
from tests.examples.desk_certificates import Certificates, make_certificates
from tests.examples.plain_desk import PlainDesk, plain_desk


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of a desk and a caller."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def running(certificates: Certificates) -> Iterator[tuple[PlainDesk, str]]:
    """One desk for all tests here."""
    with plain_desk(certificates) as desk:
        yield desk


@pytest.fixture
def plain(running: tuple[PlainDesk, str]) -> PlainDesk:
    """The desk, with nothing asked of it yet."""
    desk = running[0]
    desk.asked.clear()
    desk.fail.clear()
    return desk


@pytest.fixture
def client(
    plain: PlainDesk, running: tuple[PlainDesk, str], certificates: Certificates
) -> Iterator[DeskClient]:
    """A caller of it."""
    with client_of(running[1], certificates) as one:
        yield one


def client_of(address: str, certificates: Certificates, seconds: float = 5.0) -> DeskClient:
    caller = certificates.certificate("caller"), certificates.key("caller")
    return DeskClient(address, certificates.ca, *caller, seconds=seconds)


def test_a_score_comes_back_with_all_that_the_desk_says(client: DeskClient) -> None:
    score = client.score("firm-1", {"age": 41, "industry": "retail", "equity": None})
    assert (score.score, score.probability_of_default, score.auc) == (541, 0.25, 0.75)
    assert (score.degraded, score.missing_parties, score.parties) == (False, {}, ("platform",))
    assert (score.variant, score.role, score.request_id) == ("exact", "champion", "request-1")


def test_values_travel_as_what_they_are(client: DeskClient, plain: PlainDesk) -> None:
    client.score("firm-1", {"age": np.int64(4), "industry": "retail", "equity": None}, model="main")
    request = plain.asked[0]
    kinds = {name: value.WhichOneof("kind") for name, value in request.features.items()}
    assert kinds == {"age": "number", "industry": "category", "equity": "missing"}
    assert (request.borrower, request.model) == ("firm-1", "main")


def test_a_missing_party_is_named_with_its_reason(client: DeskClient) -> None:
    score = client.score("degraded-1", {"age": 1})
    assert score.degraded
    assert score.missing_parties == {"platform": "silent"}


def test_a_refused_field_is_named(client: DeskClient) -> None:
    with pytest.raises(FieldsRefused, match="features[age]: is needed".replace("[", r"\[")) as got:
        client.score("firm-1", {})
    assert got.value.fields == {"features[age]": "is needed"}
    assert isinstance(got.value, InputError)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, b"41", "\ud800"])
def test_a_value_that_is_none_is_refused_before_it_is_sent(
    client: DeskClient, plain: PlainDesk, value: object
) -> None:
    with pytest.raises(FieldsRefused, match="age") as got:
        client.score("firm-1", {"age": value})  # type: ignore[dict-item]
    assert list(got.value.fields) == ['features["age"]']
    assert not plain.asked


def test_an_id_that_is_no_text_is_refused_without_being_quoted() -> None:
    with pytest.raises(FieldsRefused) as got:
        score_request("firm-77\ud800", {}, "")
    assert "77" not in str(got.value)
    assert got.value.__context__ is None


def test_reasons_a_decision_and_the_model_are_read(client: DeskClient) -> None:
    explanation = client.explain("firm-1", {"age": 41})
    assert [(r.code, r.party, r.points) for r in explanation.reasons] == [("bank/age", "bank", 7)]
    assert explanation.without_reasons == ("platform",)
    facts = {"turnover_minor": 10**12, "share": Decimal("0.85"), "country": "NL", "consent": True}
    decision = client.decide("firm-1", {"age": 41}, "working-capital", facts)
    assert (decision.decision, decision.rule, decision.score.score) == ("approve", "cut-off", 541)
    assert decision.terms == {"limit_minor": "5000000"}
    assert decision.notes == (
        "consent=flag",
        "country=text",
        "share=decimal",
        "turnover_minor=integer",
    )
    model = client.model_info()
    feature, variant = model.features[0], model.variants[0]
    assert (feature.name, feature.minimum, feature.maximum) == ("age", 0.0, None)
    assert (variant.parties, variant.auc) == (("platform",), None)


@pytest.mark.parametrize("value", [0.85, 2**63, Decimal("NaN"), None])
def test_a_fact_that_is_no_exact_amount_is_refused(value: object) -> None:
    with pytest.raises(FieldsRefused, match="'share'"):
        fact("share", value)  # type: ignore[arg-type]


def test_many_borrowers_come_back_in_their_order(client: DeskClient) -> None:
    ages = np.arange(1000.0)
    ages[7] = np.nan
    ids = [f"firm-{number}" for number in range(1000)]
    columns = {"age": ages, "industry": ["retail", None] * 500}
    batches = list(client.score_many(ids, columns, at_once=300))
    assert [batch.first for batch in batches] == [0, 300, 600, 900]
    expected = np.arange(1000) + 500
    expected[7] = 500
    assert np.concatenate([batch.scores for batch in batches]).tolist() == expected.tolist()
    assert list(client.score_many([], {"age": []})) == []


def test_a_column_keeps_its_kind_where_all_of_a_message_is_missing(
    client: DeskClient, plain: PlainDesk
) -> None:
    texts, numbers = [None, None, "retail"], [None, None, 4]
    columns = {"age": numbers, "industry": texts, "sector": [None] * 3}
    assert [list(b.scores) for b in client.score_many(["a"] * 3, columns, at_once=1)] == [
        [500],
        [500],
        [504],
    ]
    assert [type(one) for one in plain.asked].count(ModelInfoRequest) == 1
    for message in plain.asked[1:]:
        packed = {column.feature: column for column in message.columns}
        assert len(packed["age"].numbers) == 1
        # The desk says of 'sector' that it is categorical.
        assert len(packed["industry"].categories) == len(packed["sector"].categories) == 1


def test_a_wrong_value_far_into_a_batch_is_named(client: DeskClient) -> None:
    ages: list[float | None] = [1.0] * 1000
    ages[999] = float("inf")
    with pytest.raises(FieldsRefused, match="'age'"):
        list(client.score_many(["firm"] * 1000, {"age": ages}, at_once=100))


def test_a_column_of_another_length_is_refused(client: DeskClient) -> None:
    with pytest.raises(InputError, match="column 'age' has 2 values for 3 borrowers"):
        list(client.score_many(["a", "b", "c"], {"age": [1, 2]}))


def test_a_mixed_column_is_refused(client: DeskClient) -> None:
    with pytest.raises(FieldsRefused, match="numbers and texts"):
        list(client.score_many(["a", "b"], {"age": [1, "old"]}))


def test_a_broken_connection_is_tried_once_more(client: DeskClient, plain: PlainDesk) -> None:
    plain.fail[:] = [grpc.StatusCode.UNAVAILABLE]
    assert client.score("firm-1", {"age": 1}).score == 501
    assert len(plain.asked) == 2


@pytest.mark.parametrize(
    "status", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED]
)
def test_an_answer_is_not_asked_for_again(
    client: DeskClient, plain: PlainDesk, status: grpc.StatusCode
) -> None:
    plain.fail[:] = [status]
    with pytest.raises(DeskUnavailable, match="told to fail") as got:
        client.score("firm-1", {"age": 1})
    assert (got.value.status, len(plain.asked)) == (status.name, 1)


def test_a_decision_is_never_asked_for_twice(client: DeskClient, plain: PlainDesk) -> None:
    plain.fail[:] = [grpc.StatusCode.UNAVAILABLE]
    with pytest.raises(DeskUnavailable):
        client.decide("firm-1", {"age": 1}, "working-capital", {})
    assert len(plain.asked) == 1


def test_a_model_that_nobody_knows_is_an_input_error(client: DeskClient) -> None:
    with pytest.raises(InputError, match="no model goes by that name"):
        client.model_info("other")


def test_nobody_listens(certificates: Certificates) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            client_of(address, certificates, seconds=0.3) as client,
            pytest.raises(DeskUnavailable) as got,
        ):
            client.score("firm-1", {"age": 1})
    assert got.value.status == "UNAVAILABLE"


def test_a_stranger_gets_no_answer(
    running: tuple[PlainDesk, str], plain: PlainDesk, tmp_path: Path, certificates: Certificates
) -> None:
    strangers = make_certificates(tmp_path)
    caller = strangers.certificate("caller"), strangers.key("caller")
    with (
        DeskClient(running[1], certificates.ca, *caller, seconds=0.3) as client,
        pytest.raises(DeskUnavailable),
    ):
        client.score("firm-1", {"age": 1})
    assert not plain.asked


def test_a_missing_file_is_named(certificates: Certificates) -> None:
    with pytest.raises(InputError, match="no-such.pem: cannot be read"):
        DeskClient("127.0.0.1:1", certificates.ca, "no-such.pem", certificates.key("caller"))


@given(
    values=st.lists(
        st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), min_size=1
    )
)
def test_a_column_of_numbers_is_packed_alike_from_list_and_array(
    values: list[float | None],
) -> None:
    array = np.array([np.nan if value is None else value for value in values])
    ids = ["firm"] * len(values)
    packed = batch_request(0, ids, {"x": values}, 0, "", frozenset()).columns[0]
    assert packed == batch_request(0, ids, {"x": array}, 0, "", frozenset()).columns[0]
    flags = packed.missing or bytes(len(values))
    back = [None if f else n for n, f in zip(packed.numbers, flags, strict=True)]
    assert back == values


@given(values=st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=1))
def test_a_column_of_texts_is_packed_whole(values: list[str | None]) -> None:
    packed = batch_request(0, ["firm"] * len(values), {"x": values}, 0, "", {"x"}).columns[0]
    flags = packed.missing or bytes(len(values))
    assert [flag == 1 for flag in flags] == [value is None for value in values]
    back = [None if f else t for t, f in zip(packed.categories, flags, strict=True)]
    assert back == values
