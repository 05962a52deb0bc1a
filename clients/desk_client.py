"""A bank's own caller of its scoring desk: small, synchronous, over mutual TLS.

    with DeskClient("desk.bank.example:7443", "ca.pem", "caller.pem", "caller.key") as desk:
        score = desk.score("0012345678", {"loan_amount": 25_000, "industry": "retail"})
        print(score.score, score.probability_of_default, score.degraded)

Ids and feature values stand in no exception and no log of this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc

from clients.desk_answers import (
    Decision,
    Explanation,
    Model,
    Score,
    ScoredBatch,
    decision_of,
    explanation_of,
    model_of,
    score_of,
    scored_batch,
)
from clients.desk_refusals import DeskUnavailable, FieldsRefused, code_of, told
from clients.desk_requests import (
    Columns,
    FactValue,
    FeatureValue,
    batch_request,
    decide_request,
    is_categorical,
    score_request,
)
from federation.errors import InputError
from federation.proto import scoring_pb2 as pb

if TYPE_CHECKING:
    from clients.desk_attestations import Attested, FinancingClaim

__all__ = ["DeskClient", "DeskUnavailable", "FieldsRefused"]

SERVICE = "veilscore.scoring.v1.ScoringService"
ATTESTATIONS = "veilscore.attestations.v1.AttestationService"
MOST_BORROWERS = 16_384  # in one message of a batch
MESSAGE_BYTES = 64 * 1024 * 1024
RECONNECT_MS = 50


class DeskClient:
    """Calls one desk.

    Args:
        address: host:port.
        ca: file of the certificates that the desk's own must chain to (PEM).
        certificate: file of the caller's certificate (PEM); key: of its private key.
        seconds: each call's deadline; a retry falls within it.
        batch_seconds: the deadline of a whole `score_many`.
        server_name: in the desk's certificate, where that is not the address' host.

    Raises:
        InputError: a file can't be read.
    """

    def __init__(
        self,
        address: str,
        ca: Path | str,
        certificate: Path | str,
        key: Path | str,
        *,
        seconds: float = 1.0,
        batch_seconds: float = 300.0,
        server_name: str = "",
    ) -> None:
        """Connects at the first call."""
        credentials = grpc.ssl_channel_credentials(_read(ca), _read(key), _read(certificate))
        options: list[tuple[str, Any]] = [
            ("grpc.enable_retries", 0),  # what is safe to ask again is decided below
            ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS),
            ("grpc.min_reconnect_backoff_ms", RECONNECT_MS),
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.max_send_message_length", MESSAGE_BYTES),
        ]
        if server_name:
            options.append(("grpc.ssl_target_name_override", server_name))
        self._seconds, self._batch_seconds = seconds, batch_seconds
        self._channel = grpc.secure_channel(address, credentials, options=options)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection; calls under way end."""
        self._channel.close()

    def score(
        self, borrower: str, features: Mapping[str, FeatureValue], *, model: str = ""
    ) -> Score:
        """Score one borrower; None is a missing value, `model` a name in the registry.

        Raises:
            FieldsRefused: names the fields that are wrong.
            InputError: no such model, or the caller may not.
            DeskUnavailable: no answer in time.
        """
        request = score_request(borrower, features, model)
        return score_of(self._ask("Score", request, pb.ScoreReply.FromString, again=True))

    def explain(
        self,
        borrower: str,
        features: Mapping[str, FeatureValue],
        *,
        most_reasons: int = 4,
        model: str = "",
    ) -> Explanation:
        """Score one borrower and say what weighed against it; raises as `score`."""
        request = pb.ExplainRequest(
            request=score_request(borrower, features, model), most_reasons=most_reasons
        )
        return explanation_of(self._ask("Explain", request, pb.ExplainReply.FromString, again=True))

    def decide(
        self,
        borrower: str,
        features: Mapping[str, FeatureValue],
        product: str,
        facts: Mapping[str, FactValue],
        *,
        model: str = "",
    ) -> Decision:
        """Score one borrower and apply the lending policy; raises as `score`.

        It is never asked twice by itself: each decision stands in the bank's records.

        Args:
            product: as the policy names it.
            facts: whole numbers (amounts in minor units), Decimals, texts and flags.
        """
        request = decide_request(borrower, features, product, facts, model)
        return decision_of(self._ask("Decide", request, pb.DecideReply.FromString, again=False))

    def attest(
        self,
        borrower: str,
        features: Mapping[str, FeatureValue],
        product: str,
        facts: Mapping[str, FactValue],
        claim: FinancingClaim,
    ) -> Attested:
        """Decide on a supplier's claim on chain; an approval comes with the bank's attestation.

        Needs the extra 'chain'. What comes back is checked: it is of this claim, and signed.

        Args:
            borrower, features, product, facts: as for `decide`.
            claim: what is to be financed, of `clients.desk_attestations`.

        Raises:
            DeskUnavailable: also where the answer is of another claim, or the signature is wrong.
            FieldsRefused, InputError: as `score`.
        """
        from clients.desk_attestations import attest_request, attested
        from federation.proto.attestations_pb2 import AttestReply

        decide = decide_request(borrower, features, product, facts)
        request, read = attest_request(decide, claim), AttestReply.FromString
        reply = self._ask("Attest", request, read, again=False, service=ATTESTATIONS)
        return attested(reply, claim)

    def model_info(self, model: str = "") -> Model:
        """Which model answers, and which features it takes; raises as `score`."""
        request = pb.ModelInfoRequest(model=model)
        return model_of(self._ask("ModelInfo", request, pb.ModelInfoReply.FromString, again=True))

    def score_many(
        self, borrowers: Sequence[str], columns: Columns, *, model: str = "", at_once: int = 4096
    ) -> Iterator[ScoredBatch]:
        """Score many borrowers over one stream; batches come in the order of the borrowers.

        Args:
            borrowers: their ids.
            columns: every feature of the bank's, a value a borrower; None and NaN are missing.
            at_once: borrowers a message, at most 16,384.

        Raises:
            InputError: before anything is sent, a column of another length; else as `score`.
        """
        if not 1 <= at_once <= MOST_BORROWERS:
            raise InputError(f"score_many: at_once must be 1 to {MOST_BORROWERS:,}")
        for name, values in columns.items():
            if len(values) != len(borrowers):
                raise InputError(
                    f"score_many: column '{name}' has {len(values):,} values for "
                    f"{len(borrowers):,} borrowers; one each is right"
                )
        starts = range(0, len(borrowers), at_once)
        categorical = self._categorical(columns, model)
        requests = (
            batch_request(number, borrowers[at : at + at_once], columns, at, model, categorical)
            for number, at in enumerate(starts)
        )
        return self._batches(requests, starts, len(borrowers))

    def _categorical(self, columns: Columns, model: str) -> frozenset[str]:
        """Which columns hold texts; the desk is asked where a column's values don't say."""
        kinds = {name: is_categorical(values) for name, values in columns.items()}
        if None in kinds.values():
            kinds |= {
                feature.name: feature.kind == "categorical"
                for feature in self.model_info(model).features
                if kinds.get(feature.name, False) is None
            }
        return frozenset(name for name, texts in kinds.items() if texts)

    def _batches(
        self, requests: Iterator[pb.ScoreBatchRequest], starts: range, count: int
    ) -> Iterator[ScoredBatch]:
        method: Any = self._channel.stream_stream(
            f"/{SERVICE}/ScoreBatch",
            pb.ScoreBatchRequest.SerializeToString,
            pb.ScoreBatchReply.FromString,
        )
        wrong: list[InputError] = []

        def sent() -> Iterator[pb.ScoreBatchRequest]:
            try:
                yield from requests
            except InputError as error:  # raised here, gRPC's own thread would only print it
                wrong.append(error)

        stream = method(sent(), timeout=self._batch_seconds)
        done = 0
        try:
            for reply in stream:
                first = starts[done] if done < len(starts) else -1
                expected = min(starts.step, count - first)
                if reply.sequence != done or len(reply.scores) != expected:
                    raise DeskUnavailable("INTERNAL", "the desk's batches are out of order")
                done += 1
                yield scored_batch(reply, first)
        except grpc.RpcError as error:
            raise told(error) from None
        finally:
            stream.cancel()
        if wrong:
            raise wrong[0]
        if done != len(starts):
            raise DeskUnavailable("INTERNAL", "the desk ended a batch before its end")

    def _ask(
        self,
        name: str,
        request: Any,
        read: Callable[[bytes], Any],
        *,
        again: bool,
        service: str = SERVICE,
    ) -> Any:
        """One call within the deadline; where the connection broke, a second one.

        Scoring twice is as once. A deadline that has passed and a quota that is spent are answers:
        to ask again would only add to the load.
        """
        method: Any = self._channel.unary_unary(
            f"/{service}/{name}", lambda message: message.SerializeToString(), read
        )
        end = time.monotonic() + self._seconds
        try:
            return method(request, timeout=self._seconds)
        except grpc.RpcError as error:
            first = error
        left = end - time.monotonic()
        if not again or left <= 0 or code_of(first) is not grpc.StatusCode.UNAVAILABLE:
            raise told(first) from None
        try:
            return method(request, timeout=left, wait_for_ready=True)
        except grpc.RpcError as error:
            late = code_of(error) is grpc.StatusCode.DEADLINE_EXCEEDED
            raise told(first if late else error) from None


def _read(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); a PEM file is right"
        ) from None
