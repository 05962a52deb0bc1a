"""The answer side over mutual TLS: points as offline, and nothing for whoever may not ask."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients.answering.answer_log import AnswerLog, Question, answer_log_path
from clients.answering.app import described
from clients.answering.callers import Callers
from clients.answering.limits import AskingLimits
from clients.answering.log_listing import log_listing
from clients.answering.server import _Certificates
from clients.example import write_example
from clients.federation_file import read_federation
from clients.sources import load_table
from clients.vault import save_model
from clients.vault.chain_reading import read_log
from federation.additive.model_part import ModelPart
from federation.binning import Binning
from federation.errors import InputError, ProtocolError
from federation.identity.answering import RENEW_AFTER, answering_identity, asking_identity
from federation.identity.certificates import party_identity
from federation.proto.contribution_pb2 import (
    ContributionReply,
    OfferReply,
    ReasonsReply,
    ReasonsRequest,
)
from federation.schema import FeatureKind
from federation.scoring import Calibration, ServedVariant, to_points
from federation.scoring.contribution import (
    AnswerRefused,
    build_request,
    combine,
    new_nonce,
    read_reply,
)
from tests.clients.answering_sides import (
    Bank,
    answering,
    call,
    channel_to,
    job_of,
    offline_points,
    someone,
    status_of,
    variant_of,
)
from tests.clients.example_runs import run_all, three_parties

CODE = grpc.StatusCode
PARTIES = ("platform", "telecom")


@pytest.fixture
def federation(trained_three: Path, tmp_path: Path) -> Path:
    """A copy of one's own."""
    shutil.copytree(trained_three.parent, tmp_path / "all", symlinks=True)
    return tmp_path / "all" / trained_three.name


def now_ms() -> int:
    """The clock."""
    return int(time.time() * 1000)


def test_points_online_are_those_offline(federation: Path) -> None:
    """Every borrower of both partners, in one batch; masked, and added up exactly."""
    offline = {p: offline_points(federation, p, "exact", "r1") for p in PARTIES}
    asked = [*offline["platform"], *(set(offline["telecom"]) - set(offline["platform"])), "nobody"]
    bank, exact = Bank(federation), variant_of(federation, "exact", PARTIES, "r1")

    async def main() -> None:
        async with (
            answering(job_of(federation, "platform")) as platform,
            answering(job_of(federation, "telecom")) as telecom,
        ):
            addresses = {"platform": platform.address, "telecom": telecom.address}
            answers = await bank.ask(addresses, exact, asked)
        known = np.logical_and.reduce([answer.known for answer in answers])
        shared = [one for one in asked if all(one in of for of in offline.values())]
        assert known.sum() == len(shared) > 100
        assert not known[-1]
        expected = [
            sum(of[one] for of in offline.values()) if one in set(shared) else 0 for one in asked
        ]
        assert combine(answers).tolist() == expected
        for party, answer in zip(PARTIES, answers, strict=True):
            assert answer.known.tolist() == [one in offline[party] for one in asked]
            own = np.array([offline[party].get(one, 0) for one in asked])
            assert (answer.points.view(np.int32)[known] != own[known]).all()

    asyncio.run(main())


def test_a_partner_alone_answers_unmasked_if_it_allows_that(federation: Path) -> None:
    """The fallback's own points; with alone = false neither offered nor answered."""
    bank = Bank(federation)
    name = "exact~platform"
    alone = variant_of(federation, name, ["platform"], "r1")
    offline = offline_points(federation, "platform", name, "r1")
    asked = list(offline)[:50]

    async def main() -> None:
        async with answering(job_of(federation, "platform", cache_seconds=30)) as side:
            (answer,) = await bank.ask({"platform": side.address}, alone, asked)
            assert combine([answer]).tolist() == [offline[one] for one in asked]
            assert answer.cache_seconds == 30
        async with (
            answering(job_of(federation, "platform", alone=False)) as side,
            bank.channel(side.address, "platform") as channel,
        ):
            request = build_request(
                bank.session, alone, new_nonce(now_ms()), bank.tags("platform", asked)
            )
            code, sentence = await status_of(channel, "Contribute", request.SerializeToString())
            assert code is CODE.PERMISSION_DENIED
            assert "does not answer alone" in sentence
            offer = OfferReply.FromString(await call(channel, "Offer", b""))
            assert [one.variant for one in offer.models] == ["exact"]

    asyncio.run(main())


def test_an_offer_says_what_is_served(federation: Path) -> None:
    """Sessions, variants, digests of parts, age and size of the table."""
    bank = Bank(federation)
    part = json.loads((federation.parent / "runs/r1/platform/model-exact.json").read_text())
    job = job_of(federation, "platform")

    async def main() -> None:
        began = now_ms()
        async with (
            answering(job) as side,
            bank.channel(side.address, "platform") as channel,
        ):
            offer = OfferReply.FromString(await call(channel, "Offer", b""))
            lines = "\n".join(described(job, side.service.loaded, side.address))
        assert {(one.session, one.variant) for one in offer.models} == {
            (part["session"], "exact"),
            (part["session"], "exact~platform"),
        }
        assert all(len(one.part_digest) == 64 for one in offer.models)
        assert began <= offer.as_of_ms <= now_ms()
        assert offer.borrowers == len(offline_points(federation, "platform", "exact", "r1"))
        assert not offer.reasons
        assert f"serves exact of session {part['session']}, masked with telecom" in lines
        assert f"may ask: bank, key {bank.identity.key.public.fingerprint}" in lines
        assert f"borrowers: {offer.borrowers:,}" in lines

    asyncio.run(main())


def test_only_the_label_party_is_answered(federation: Path) -> None:
    """Another party's key, a stranger's, none, or the bank's own for something else."""
    bank = Bank(federation)
    key = bank.identity.key
    partner = job_of(federation, "telecom").identity.key
    refusals = {
        "another party": (asking_identity(partner, "telecom"), CODE.UNAVAILABLE),
        "another party as the bank": (asking_identity(partner, "bank"), CODE.UNAVAILABLE),
        "a stranger as the bank": (asking_identity(someone(), "bank"), CODE.UNAVAILABLE),
        "nobody": (None, CODE.UNAVAILABLE),
        "a training's": (party_identity(key, "bank", "r1-session"), CODE.UNAUTHENTICATED),
        "another name": (asking_identity(key, "telecom"), CODE.UNAUTHENTICATED),
        "a server's": (answering_identity(key, "bank"), CODE.UNAVAILABLE),
    }

    async def main() -> None:
        async with answering(job_of(federation, "platform")) as side:
            pin = bank.identity.pins["platform"]
            for who, (certificate, expected) in refusals.items():
                async with channel_to(side.address, pin, certificate) as channel:
                    code, _ = await status_of(channel, "Offer", b"")
                    assert code is expected, who
            async with bank.channel(side.address, "platform") as channel:
                assert (await status_of(channel, "Offer", b""))[0] is CODE.OK

    asyncio.run(main())


def test_the_bank_refuses_whoever_is_not_the_partner(federation: Path) -> None:
    """A server with another pinned party's key is not the one that was dialled."""
    bank = Bank(federation)

    async def main() -> None:
        async with (
            answering(job_of(federation, "telecom")) as side,
            bank.channel(side.address, "platform") as channel,
        ):
            assert (await status_of(channel, "Offer", b""))[0] is CODE.UNAVAILABLE

    asyncio.run(main())


def test_certificates_are_checked_again_and_renewed(federation: Path) -> None:
    """The bank's by its dates, however long its connection lasts; one's own before it expires."""
    bank = Bank(federation)
    callers = Callers("bank", bank.identity.key.public)
    context = {"x509_pem_cert": [bank.certificate.certificate]}
    now = time.time()
    callers.check(context, now)
    callers.check(context, now + 20)
    with pytest.raises(ProtocolError, match="expired"):
        callers.check(context, now + 25 * 3600)
    with pytest.raises(ProtocolError, match="no client certificate"):
        callers.check({}, now)
    clock = [0.0]
    made = _Certificates(job_of(federation, "platform").identity, "bank", lambda: clock[0])
    first = made.first
    clock[0] = RENEW_AFTER.total_seconds() - 1
    assert made.renewed() is None
    clock[0] += 2
    assert made.renewed() not in (None, first)
    assert made.renewed() is None


def test_malformed_requests_get_a_status(federation: Path) -> None:
    """And the next right one its answer."""
    bank = Bank(federation)
    exact = variant_of(federation, "exact", PARTIES, "r1")

    def request(**change: object) -> bytes:
        made = build_request(
            "r1-session", exact, new_nonce(now_ms()), bank.tags("platform", ["nobody"])
        )
        for field, value in change.items():
            setattr(made, field, value)
        return made.SerializeToString()

    async def main() -> None:
        async with (
            answering(job_of(federation, "platform")) as side,
            bank.channel(side.address, "platform") as channel,
        ):
            for data, code, words in (
                (b"\xff", CODE.INVALID_ARGUMENT, "can't be parsed"),
                (b"", CODE.FAILED_PRECONDITION, "these are: r1-session"),
                (request(session="x"), CODE.FAILED_PRECONDITION, "these are: r1-session"),
                (request(variant="x"), CODE.FAILED_PRECONDITION, "exact, exact~platform"),
                (request(version=9), CODE.INVALID_ARGUMENT, "version"),
                (request(tags=b"x"), CODE.INVALID_ARGUMENT, "bytes of tags"),
                (request(nonce=new_nonce(1)), CODE.INVALID_ARGUMENT, "clocks"),
                (request(tags=bytes(10_000_000)), CODE.RESOURCE_EXHAUSTED, ""),
                (request(), CODE.OK, ""),
            ):
                found, sentence = await status_of(channel, "Contribute", data)
                assert found is code
                assert words in sentence
            assert (await status_of(channel, "Nothing", b""))[0] is CODE.UNIMPLEMENTED

    asyncio.run(main())


def test_no_request_ends_the_process(federation: Path) -> None:
    """Any bytes to any method: a status, and the service goes on."""
    bank = Bank(federation)
    exact = variant_of(federation, "exact", PARTIES, "r1")
    loop = asyncio.new_event_loop()
    stack = answering(job_of(federation, "platform", requests_per_second=100_000))
    side = loop.run_until_complete(stack.__aenter__())

    async def opened() -> grpc.aio.Channel:
        return bank.channel(side.address, "platform")

    channel = loop.run_until_complete(opened())

    @settings(
        max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.sampled_from(["Contribute", "Reasons", "Offer"]), st.data())
    def send(method: str, data: st.DataObject) -> None:
        right = build_request(bank.session, exact, new_nonce(now_ms()), bytes(32))
        content = bytearray(right.SerializeToString())
        if data.draw(st.booleans()):
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        else:
            content = bytearray(data.draw(st.binary(max_size=100)))
        code, _ = loop.run_until_complete(status_of(channel, method, bytes(content)))
        assert code in (
            CODE.OK,
            CODE.INVALID_ARGUMENT,
            CODE.FAILED_PRECONDITION,
            CODE.PERMISSION_DENIED,
        )

    try:
        send()
        assert loop.run_until_complete(status_of(channel, "Offer", b""))[0] is CODE.OK
    finally:
        loop.run_until_complete(channel.close())
        loop.run_until_complete(stack.__aexit__(None, None, None))
        loop.close()


def test_a_fault_inside_is_a_status_without_its_text(
    federation: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller and the log learn the kind of fault, nothing of what was in it."""
    bank = Bank(federation)
    exact = variant_of(federation, "exact", PARTIES, "r1")

    async def main() -> None:
        async with (
            answering(job_of(federation, "platform")) as side,
            bank.channel(side.address, "platform") as channel,
        ):
            broken = replace(side.service.loaded, sessions=None)  # type: ignore[arg-type]
            side.service.swap(broken)
            made = build_request(bank.session, exact, new_nonce(now_ms()), bytes(16))
            for _ in range(3):
                code, sentence = await status_of(channel, "Contribute", made.SerializeToString())
                assert (code, sentence) == (CODE.INTERNAL, "the request failed here")

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "a request failed with AttributeError"
    ]


def test_a_reloaded_table_is_answered_from(federation: Path) -> None:
    """New borrowers are known, the old nonce serves no more, and a broken table changes nothing."""
    bank = Bank(federation)
    alone = variant_of(federation, "exact~platform", ["platform"], "r1")
    table = federation.parent / "platform" / "merchants.csv"
    header, first, *rest = table.read_text().splitlines()
    newcomer = "99999999"
    other = [newcomer, *first.split(",")[1:]]
    assert header.split(",")[0] == "registration_number"

    async def main() -> None:
        async with answering(job_of(federation, "platform")) as side:
            addresses = {"platform": side.address}
            nonce = new_nonce(now_ms())
            (before,) = await bank.ask(addresses, alone, [newcomer], nonce)
            table.write_text("\n".join([header, first, ",".join(other), *rest]) + "\n")
            (still,) = await bank.ask(addresses, alone, [newcomer], nonce)
            assert not before.known[0]
            assert not still.known[0]
            side.service.swap(side.loader.load())
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await bank.ask(addresses, alone, [newcomer], nonce)
            assert refused.value.code() is CODE.INVALID_ARGUMENT
            (after,) = await bank.ask(addresses, alone, [newcomer])
            assert after.known[0]
            assert after.as_of_ms > before.as_of_ms
            table.write_text("nonsense\n")
            with pytest.raises(InputError):
                side.loader.load()
            (kept,) = await bank.ask(addresses, alone, [newcomer])
            assert kept.known[0]

    asyncio.run(main())


def test_a_label_party_can_ask_only_so_much(federation: Path) -> None:
    """Requests a second and borrowers a day; a restart gives no second helping."""
    bank = Bank(federation)
    alone = variant_of(federation, "exact~platform", ["platform"], "r1")
    asked = list(offline_points(federation, "platform", "exact", "r1"))[:60]
    job = job_of(federation, "platform", borrowers_per_day=100)

    async def code(address: str, count: int) -> grpc.StatusCode:
        made = build_request(
            bank.session, alone, new_nonce(now_ms()), bank.tags("platform", asked[:count])
        )
        async with bank.channel(address, "platform") as channel:
            return (await status_of(channel, "Contribute", made.SerializeToString()))[0]

    async def main() -> None:
        async with answering(job) as side:
            assert await code(side.address, 60) is CODE.OK
            assert await code(side.address, 41) is CODE.RESOURCE_EXHAUSTED
            assert await code(side.address, 30) is CODE.OK
        async with answering(job) as side:
            assert await code(side.address, 11) is CODE.RESOURCE_EXHAUSTED
            assert await code(side.address, 10) is CODE.OK
        async with answering(job_of(federation, "platform", requests_per_second=1)) as side:
            codes = [await code(side.address, 1) for _ in range(3)]
            assert CODE.RESOURCE_EXHAUSTED in codes

    asyncio.run(main())


@settings(max_examples=100)
@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 30)), max_size=60),
)
def test_limits_hold_over_any_time(rate: int, steps: list[tuple[int, int]]) -> None:
    """In no stretch of time more than a second's requests and what its seconds allow."""
    limits = AskingLimits(rate, 100)
    now, taken, asked = 1_800_000_000_000, [], 0
    for passed, borrowers in steps:
        now += passed
        try:
            limits.take(borrowers, now)
        except AnswerRefused:
            continue
        taken.append(now)
        asked += borrowers
    assert asked <= 100
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            allowed = rate + (taken[last] - taken[first]) * rate / 1000
            assert last - first + 1 <= allowed + 1e-6


def test_reasons_name_public_labels_only(federation: Path) -> None:
    """Where the party gives reasons; features without a public label are never named."""
    bank = Bank(federation)
    part_path = federation.parent / "runs/r1/platform/model-exact.json"
    labels = {label for label in json.loads(part_path.read_text())["labels"] if label}
    asked = list(offline_points(federation, "platform", "exact", "r1"))[:40]
    assert labels

    async def main() -> None:
        for given_ in (False, True):
            async with (
                answering(job_of(federation, "platform", reasons=given_)) as side,
                bank.channel(side.address, "platform") as channel,
            ):
                named: set[str] = set()
                for identifier in [*asked, "nobody"]:
                    request = ReasonsRequest(
                        version=1,
                        session=bank.session,
                        variant="exact",
                        nonce=new_nonce(now_ms()),
                        tag=bank.tags("platform", [identifier]),
                        most=2,
                    )
                    reply = ReasonsReply.FromString(
                        await call(channel, "Reasons", request.SerializeToString())
                    )
                    assert reply.given is given_
                    assert reply.known is (identifier != "nobody")
                    points = [one.points for one in reply.reasons]
                    assert points == sorted(points, reverse=True)
                    assert all(one > 0 for one in points)
                    assert len(points) <= 2
                    named |= {one.label for one in reply.reasons}
                assert named <= labels
                assert bool(named) is given_

    asyncio.run(main())


def test_what_left_is_entered_and_says_nothing_of_borrowers(federation: Path) -> None:
    """Counts add up over restarts; no id, tag or number of points is in the log."""
    bank = Bank(federation)
    alone = variant_of(federation, "exact~platform", ["platform"], "r1")
    known = list(offline_points(federation, "platform", "exact", "r1"))[:5]
    size = 0

    async def main() -> None:
        nonlocal size
        for _ in range(2):
            async with answering(job_of(federation, "platform")) as side:
                for _ in range(10):
                    request = build_request(
                        bank.session,
                        alone,
                        new_nonce(now_ms()),
                        bank.tags("platform", [*known, "nobody"]),
                    )
                    async with bank.channel(side.address, "platform") as channel:
                        data = request.SerializeToString()
                        reply = await call(channel, "Contribute", data)
                    size += len(reply)
                    read_reply(ContributionReply.FromString(reply), alone, 6)

    asyncio.run(main())
    manifest = federation.parent / "platform" / "manifest.toml"
    bodies = [entry.body for entry in read_log(answer_log_path(manifest))]
    assert sum(body["requests"] for body in bodies) == 20
    assert sum(body["borrowers"] for body in bodies) == 120
    assert sum(body["known"] for body in bodies) == 100
    assert sum(body["bytes"] for body in bodies) == size
    assert {(b["to"], b["kind"], b["variant"]) for b in bodies} == {
        ("bank", "points", "exact~platform")
    }
    text = answer_log_path(manifest).read_text()
    assert not any(identifier in text for identifier in known)
    assert bank.tags("platform", known[:1]).hex() not in text
    lines = list(log_listing(manifest, as_json=False))
    assert lines[-1].endswith(
        f"20 requests about 120 borrowers answered, {size:,} bytes left; the chain is intact"
    )
    assert len(list(log_listing(manifest, as_json=True))) == len(bodies)


def test_nothing_is_answered_that_can_not_be_entered(federation: Path) -> None:
    """A log that can't be written: UNAVAILABLE, until it can be again."""
    bank = Bank(federation)
    alone = variant_of(federation, "exact~platform", ["platform"], "r1")

    async def main() -> None:
        async with answering(job_of(federation, "platform")) as side:
            addresses = {"platform": side.address}
            await bank.ask(addresses, alone, ["nobody"])
            chain = side.log._chain
            chain._failure = OSError(28, "full")
            side.log._entered_ms.clear()
            for _ in range(2):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await bank.ask(addresses, alone, ["nobody"])
                assert refused.value.code() is CODE.UNAVAILABLE
            chain._failure = None
            await bank.ask(addresses, alone, ["nobody"])
        manifest = federation.parent / "platform" / "manifest.toml"
        bodies = [entry.body for entry in read_log(answer_log_path(manifest))]
        assert sum(body["requests"] for body in bodies) == 2

    asyncio.run(main())


def test_a_busy_second_has_two_entries(tmp_path: Path) -> None:
    """The first answer's own, before it leaves, and one of all that follow."""
    log = AnswerLog(tmp_path / "answers.jsonl")
    question = Question("points", "s", "exact", "bank")
    for number in range(100):
        log.enter(question, 2, 1, 10, 1_000_000 + number)
    assert len(list(read_log(log.path))) == 1
    log.flush(1_000_900)
    log.enter(Question("reasons", "s", "exact", "bank"), 1, 1, 5, 1_000_950)
    log.close(1_001_000)
    counts = [(entry.body["kind"], entry.body["requests"]) for entry in read_log(log.path)]
    assert counts == [("points", 1), ("points", 99), ("reasons", 1)]


def test_health_is_told_to_the_label_party(federation: Path) -> None:
    """By the standard service, over the same mutual TLS."""
    bank = Bank(federation)

    async def main() -> None:
        async with (
            answering(job_of(federation, "platform")) as side,
            bank.channel(side.address, "platform") as channel,
        ):
            reply = await HealthStub(channel).Check(HealthCheckRequest())
            assert reply.status == HealthCheckResponse.SERVING

    asyncio.run(main())


def test_a_session_of_label_left_alignment_is_answered_too(tmp_path: Path) -> None:
    """Borrowers that a partner does not know are unknown online, whatever their bins say."""
    config = three_parties(tmp_path / "all", "label-left")
    for table in config.path.parent.glob("*/*.csv"):  # a tenth of the firms, the same everywhere
        header, *rows = table.read_text().splitlines(keepends=True)
        table.write_text(header + "".join(row for row in rows if row.split(",")[0][-1] == "0"))
    run_all(config, "r1", [{"max_rounds": 1, "bins": 4}])
    federation = config.path
    bank, exact = Bank(federation), variant_of(federation, "exact", PARTIES, "r1")
    offline = {p: offline_points(federation, p, "exact", "r1") for p in PARTIES}
    shared = sorted(set(offline["platform"]) & set(offline["telecom"]))[:100]
    assert len(shared) == 100

    async def main() -> None:
        async with (
            answering(job_of(federation, "platform")) as platform,
            answering(job_of(federation, "telecom")) as telecom,
        ):
            addresses = {"platform": platform.address, "telecom": telecom.address}
            answers = await bank.ask(addresses, exact, [*shared, "nobody"])
        assert [answer.known.tolist() for answer in answers] == [[True] * len(shared) + [False]] * 2
        expected = [sum(of[one] for of in offline.values()) for one in shared]
        assert combine(answers).tolist() == [*expected, 0]
        assert any(expected)

    asyncio.run(main())


def test_a_blind_training_is_answered_with_its_encoder(tmp_path: Path) -> None:
    """The frozen encoder's columns count, as they do in a prediction offline."""
    pytest.importorskip("torch")
    from federation.split.blind import KIND, MonthEncoder, embedding_columns
    from federation.split.encoder import Preparation, first_weights, generator_for, weights_of
    from federation.split.part import NetworkPart, preparation_json
    from federation.split.settings import EncoderSettings

    path = write_example(tmp_path / "example")
    manifest = path.parent / "platform" / "manifest.toml"
    text = manifest.read_text()
    manifest.write_text(text.replace("[features.turnover]", "[features.turnover]\nsequence = true"))
    config = read_federation(path)
    own = config.manifest_of("platform")
    table = load_table(own, now=datetime.now(UTC))
    names = [(one.name, one.columns) for one in own.sequences]
    # As before its pre-training, which takes torch's optimisers and seconds to import them.
    small = EncoderSettings(embedding=2, sequence_hidden=4)
    inside = {column for _, columns in names for column in columns}
    months = [column for column in table.features if column.spec.name in inside]
    preparation = Preparation.of(months, names, np.arange(table.row_count))
    network = MonthEncoder(preparation.schema, small)
    first_weights(network, generator_for(0, "platform"))
    identity = ("platform", "r1-session", "blind")
    encoder = NetworkPart(
        KIND, *identity, asdict(small), preparation_json(preparation), weights_of(network)
    )
    made = embedding_columns(encoder, table.features)
    cuts = np.unique(np.quantile(made[1].values, [0.25, 0.5, 0.75]))
    bins = len(cuts) + 1
    binning = Binning(
        made[1].spec.name, FeatureKind.NUMERIC, tuple(map(float, cuts)), (), 0, 0, 0, bins
    )
    weights = tuple(float(number) for number in range(bins))
    part = ModelPart(*identity, 0.0, (binning,), (None,), (weights,), ((1 / bins,) * bins,))
    folder = config.output / "r1" / "platform"
    save_model(folder, "blind", part)
    save_model(folder, "blind", encoder)
    expected = to_points(part.partial_scores(made)).tolist()
    variant = ServedVariant("blind", ("platform",), part, Calibration(), None, 0)
    bank = Bank(path)

    async def main() -> None:
        async with answering(job_of(path, "platform")) as side:
            (answer,) = await bank.ask({"platform": side.address}, variant, table.identifiers)
        assert answer.known.all()
        assert combine([answer]).tolist() == expected
        assert len(set(expected)) == bins > 1

    asyncio.run(main())
