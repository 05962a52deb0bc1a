"""An applicant's client of encrypted scoring: a score from a desk that never sees the features.

    with ApplicantClient("desk.bank.example:7443", "me.pem", "me.key", "ca.pem") as client:
        print(client.score({"age": 41, "turnover": 1_250_000}).score)
        print(client.score_many({"age": [41, 35], "turnover": [1_250_000, 80_000]}).scores)

The client makes its key, registers it once, encrypts, and decrypts what comes back. Features stand
in no exception of this package, and only ciphertexts leave. A score that is given to the desk is
known to it, like anything else that it is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
import numpy.typing as npt

from clients.applicant.kept_key import KeptKey
from clients.desk_refusals import code_of, told
from federation.encrypted_scoring import (
    RING_DIGEST,
    ApplicantKey,
    Score,
    Scores,
    Terms,
    borrowers_a_request,
    key_id,
)
from federation.errors import InputError, ProtocolError
from federation.proto import encrypted_scoring_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["EncryptedScoringService"].full_name
MESSAGE_BYTES = 8 << 20
MOST_SEED_BYTES = 1024

Table = Mapping[str, Sequence[Any] | npt.NDArray[Any]]


class TermsChanged(InputError):
    """The desk's model, its encoding or its parameters are not those that were agreed to."""


class ApplicantClient:
    """Scores under one model of one desk.

    Args:
        address: host:port.
        certificate: file of the caller's certificate (PEM); key: of its private key.
        ca: file of the certificates that the desk's own must chain to (PEM).
        model: the desk's name for it; empty: the only one.
        key_file: where the encryption key is kept, mode 0600, with the terms it was used under;
            None: it lives as long as the client.
        seconds: each call's deadline.
        server_name: in the desk's certificate, where that is not the address' host.

    Raises:
        InputError: a file can't be read, or the key's is damaged.
    """

    def __init__(
        self,
        address: str,
        certificate: Path | str,
        key: Path | str,
        ca: Path | str,
        *,
        model: str = "",
        key_file: Path | str | None = None,
        seconds: float = 10.0,
        server_name: str = "",
    ) -> None:
        """Connects at the first call."""
        credentials = grpc.ssl_channel_credentials(_read(ca), _read(key), _read(certificate))
        options: list[tuple[str, Any]] = [("grpc.max_receive_message_length", MESSAGE_BYTES)]
        if server_name:
            options.append(("grpc.ssl_target_name_override", server_name))
        self._key_file = None if key_file is None else Path(key_file)
        self._kept = KeptKey.load(self._key_file) if self._key_file else None
        self._key = ApplicantKey(self._kept.secret) if self._kept else None
        self._model = model
        self._seconds = seconds
        self._terms: Terms | None = None
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

    @property
    def terms(self) -> Terms:
        """Which features the model takes, and how they are encoded.

        Raises:
            TermsChanged: not those that the kept key was used under.
            ProtocolError: this client can't follow them.
        """
        if self._terms is None:
            self._terms, _ = self._ask_terms()
        return self._terms

    def score(self, features: Mapping[str, Any]) -> Score:
        """Score one borrower.

        Args:
            features: by name, as `terms` lists them; None is missing. Others are not looked at.

        Raises:
            InputError: a feature lacks or is of another kind; or the desk refused.
            TermsChanged: the desk has another model by now.
            DeskUnavailable: no answer; for a rate or a quota too.
        """
        needed = {one.feature for one in self.terms.encoding.inputs}
        row = {name: [value] for name, value in features.items() if name in needed}
        return self.score_many(row)[0]

    def score_many(self, table: Table) -> Scores:
        """Score borrowers in columns; raises as `score`.

        Args:
            table: feature by feature, one value a borrower; None is missing.
        """
        values = self.terms.encoding.encode(table)
        most = borrowers_a_request(values.shape[1])
        sums = [self._sums(values[first : first + most]) for first in range(0, len(values), most)]
        return self.terms.scores(np.concatenate([np.empty(0, dtype=np.int64), *sums]))

    def _sums(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Of one request; registers a key where there is none, or the desk has forgotten it."""
        for attempt in range(2):
            key, kept = self._registered()
            ciphertexts = key.encrypt(values, self.terms.scale_bits)
            try:
                reply = self._ask_sums(kept, ciphertexts, len(values))
            except grpc.RpcError as error:
                details = error.details() or "" if isinstance(error, grpc.Call) else ""
                if code_of(error) is grpc.StatusCode.FAILED_PRECONDITION:
                    if details.startswith("model_digest:"):
                        raise TermsChanged(
                            "the desk has another model now; a new client reads its terms"
                        ) from None
                    if details.startswith("key_id:") and not attempt:
                        self._key = self._kept = None
                        continue
                raise told(error) from None
            return key.decrypt(reply, len(values), self.terms.scale_bits)
        raise ProtocolError("the desk forgets keys as soon as they are registered")

    def _ask_sums(self, kept: KeptKey, ciphertexts: list[bytes], borrowers: int) -> bytes:
        terms = self.terms
        if borrowers == 1:
            single = pb.EncryptedScoreRequest(
                key_id=kept.key_id,
                model=terms.model,
                ciphertext=ciphertexts[0],
                model_digest=terms.model_digest,
            )
            return bytes(self._call("Score", single, pb.EncryptedScoreReply).ciphertext)
        batch = pb.EncryptedBatchRequest(
            key_id=kept.key_id,
            model=terms.model,
            borrowers=borrowers,
            ciphertexts=ciphertexts,
            model_digest=terms.model_digest,
        )
        return bytes(self._call("ScoreBatch", batch, pb.EncryptedBatchReply).ciphertext)

    def _registered(self) -> tuple[ApplicantKey, KeptKey]:
        """The key in use; a fresh one where there is none, for a secret serves one seed only."""
        if self._key is not None and self._kept is not None:
            return self._key, self._kept
        terms, key_seed = self._ask_terms()
        if terms.digest != self.terms.digest:
            raise TermsChanged("the desk has another model now; a new client reads its terms")
        if not 16 <= len(key_seed) <= MOST_SEED_BYTES:
            raise ProtocolError(f"key_seed: the desk sent {len(key_seed)} bytes")
        key, public_key = ApplicantKey.generate(key_seed)
        name = key_id(key_seed, public_key)
        request = pb.RegisterKeyRequest(
            key_seed=key_seed, public_key=public_key, parameters_digest=RING_DIGEST
        )
        try:
            reply = self._call("RegisterKey", request, pb.RegisterKeyReply)
        except grpc.RpcError as error:
            raise told(error) from None
        if reply.key_id != name:
            raise ProtocolError("the desk registered another key than it was sent")
        kept = KeptKey(key.secret, name, terms.digest)
        if self._key_file is not None:
            kept.save(self._key_file)
        self._key, self._kept = key, kept
        return key, kept

    def _ask_terms(self) -> tuple[Terms, bytes]:
        try:
            reply = self._call("Terms", pb.TermsRequest(model=self._model), pb.TermsReply)
        except grpc.RpcError as error:
            raise told(error) from None
        terms = Terms.read(
            reply.model, reply.model_digest, reply.parameters_json, reply.encoding_json
        )
        if self._kept is not None and self._kept.terms_digest != terms.digest:
            raise TermsChanged(
                f"{self._key_file or 'the key'}: the desk's terms are not those that this key was "
                "used under; where that is expected, remove the file and begin anew"
            )
        return terms, bytes(reply.key_seed)

    def _call(self, method: str, request: Any, reply: Any) -> Any:
        ask: Any = self._channel.unary_unary(
            f"/{SERVICE}/{method}", lambda message: message.SerializeToString(), reply.FromString
        )
        return ask(request, timeout=self._seconds)


def _read(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); a PEM file is right"
        ) from None
