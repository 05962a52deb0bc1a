"""One client of secure sums: masks, encrypts, helps take masks off, and opens totals.

Two layers protect a client's vector. Encryption hides everything from the server, which never has
the key; masks (Bonawitz et al. 2017, see `masks`) hide it from the other clients, which all have
the key, even where one of them works together with the server. What remains is the sum.

The rule on which the masks rest: of every other client and step, a client gives away either its
share of the self-mask seed (the vector is in the sum) or its share of the mask key (it is not),
never both, and once. With more than half of the holders needed to rebuild a secret, a server that
tells two stories can't rebuild both, as long as no holder lies; with c lying holders of n the
threshold must be above (n + c) / 2.

What the clients have in common may be bound into a sum (`SecureSumClient.bind`). Then it opens only
if all whose vectors are in it, and the client that opens it, are bound to the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from federation.aggregation.client_keys import KeyedClient
from federation.aggregation.masks import (
    CHECK_SLOTS,
    adds,
    apply_masks,
    common_stream,
    pair_seed,
    self_seed_stream,
)
from federation.aggregation.messages import checksum, require_names, require_whole
from federation.errors import ProtocolError
from federation.proto.secure_sum_pb2 import Contribution, MaskedTotal, StepState, UnmaskShares

Words = npt.NDArray[np.uint64]


class SecureSumClient(KeyedClient):
    """One client in one run, without I/O. Its state is secret, and must be stored before an
    answer that it gave is sent: a client that forgot an answer could be made to give another."""

    _bound = b""

    def bind(self, bound: bytes) -> None:
        """Bind what this client contributes or opens from here on to `bound`; not stored.

        Of a sum of clients that were bound to different things, or by a client that is bound to
        another than they, only noise comes out, and `open` says so.
        """
        self._bound = bound

    def check_step(self, step: int, participants: Sequence[str]) -> list[str]:
        """The participants, sorted, if this client may contribute to a step with them.

        Raises:
            ProtocolError: too few participants, one without preparation, or a second vector.
        """
        state, kept = self._state, self._prepared(step)
        present = require_names(participants, self._agreed.keys, "the participants of a step")
        if state.party not in present:
            raise ProtocolError(f"{state.party} was asked for a vector that it has no part in")
        if len(present) < state.minimum:
            raise ProtocolError(
                f"{len(present)} participants in step {step} are fewer than the {state.minimum} "
                f"that {state.party} asks for"
            )
        if kept.contributed or kept.unmasked:
            raise ProtocolError(f"{state.party} contributed to step {step} or closed it already")
        unprepared = [name for name in present if name not in kept.held]
        if unprepared:
            raise ProtocolError(f"step {step} was not prepared by {', '.join(unprepared)}")
        return list(present)

    def contribute(self, step: int, participants: Sequence[str], slots: Words) -> Contribution:
        """Mask and encrypt one vector; each step takes one.

        Args:
            step: prepared by all participants.
            participants: between whom the pairwise masks run, this client among them.
            slots: (n,) below the cipher's modulus.

        Raises:
            ProtocolError: too few participants, one without preparation, or a second vector.
        """
        present = self.check_step(step, participants)
        state, roster, kept = self._state, self._agreed, self._prepared(step)
        cipher = self.cipher
        if slots.dtype != np.uint64 or slots.ndim != 1 or slots.size == 0:
            raise ValueError("slots must be a vector of uint64")
        if slots.max() >= cipher.modulus:
            raise ValueError(f"slots must be below the cipher's modulus {cipher.modulus}")
        masked = np.concatenate([slots, np.zeros(CHECK_SLOTS, np.uint64)])
        added = [
            self_seed_stream(roster, step, state.party, kept.self_mask_seed),
            common_stream(roster, step, state.secret_key, self._bound),
        ]
        subtracted: list[bytes] = []
        for peer in present:
            if peer != state.party:
                public = kept.held[peer].mask_public_key
                seed = pair_seed(
                    roster, step, state.party, peer, kept.mask_key, public, self._bound
                )
                (added if adds(state.party, peer) else subtracted).append(seed)
        apply_masks(masked, added, subtracted)
        masked &= np.uint64(cipher.modulus - 1)
        ciphertext = cipher.encrypt(state.secret_key, masked)
        message = Contribution(
            run=state.run,
            party=state.party,
            step=step,
            key_id=state.key_id,
            participants=present,
            slots=slots.size,
            ciphertext=ciphertext,
        )
        message.checksum = checksum(message, ciphertext)
        # Once used, the secrets are needed no more; the shares of them are with the others.
        kept.contributed, kept.mask_key, kept.self_mask_seed = True, b"", b""
        kept.participants.extend(present)
        return message

    def unmask(
        self, step: int, participants: Sequence[str], survivors: Sequence[str]
    ) -> UnmaskShares:
        """Give what takes the masks off a sum; once a step.

        Args:
            step: of the sum.
            participants: who was to contribute.
            survivors: whose vectors are in the sum.

        Raises:
            ProtocolError: too few survivors, other participants than at this client's own
                contribution, an unprepared one, or a second request for the step.
        """
        state, kept = self._state, self._prepared(step)
        if kept.unmasked:
            raise ProtocolError(
                f"{state.party} was asked twice to take the masks off step {step}; once is all it "
                "may do"
            )
        present = require_names(participants, self._agreed.keys, "the participants of a step")
        in_sum = require_names(survivors, present, "the survivors of a step")
        if kept.contributed and present != list(kept.participants):
            raise ProtocolError(
                f"step {step} has other participants than when {state.party} contributed"
            )
        if len(in_sum) < state.minimum:
            raise ProtocolError(
                f"{len(in_sum)} contributions to step {step} are fewer than the {state.minimum} "
                f"that {state.party} asks for"
            )
        unprepared = [name for name in present if name not in kept.held]
        if unprepared:
            raise ProtocolError(f"step {step} was not prepared by {', '.join(unprepared)}")
        message = UnmaskShares(run=state.run, party=state.party, step=step)
        for name in present:
            held = kept.held[name]
            if name in in_sum:
                message.self_mask_shares[name] = held.self_mask_share
            else:
                message.mask_key_shares[name] = held.mask_key_share
        _close(kept, in_sum)
        return message

    def open(self, step: int, total: MaskedTotal, count: int) -> Words:
        """Decrypt a sum.

        Args:
            step: of the sum.
            total: from the server.
            count: slots (n,) that it must hold.

        Raises:
            ProtocolError: it is another sum, of clients that are bound to something else, or no
                sum at all.
        """
        state = self._state
        if (total.run, total.step, total.key_id) != (state.run, step, state.key_id):
            raise ProtocolError(f"the server's total is not of step {step} of this run")
        survivors = require_names(total.survivors, self._agreed.keys, "the survivors of a step")
        kept = state.steps[step] if step in state.steps else StepState()
        if kept.unmasked and survivors != list(kept.survivors):
            raise ProtocolError(f"the total of step {step} has other survivors than were unmasked")
        if len(survivors) < state.minimum:
            raise ProtocolError(
                f"{len(survivors)} vectors in the total of step {step} are fewer than the "
                f"{state.minimum} that {state.party} asks for"
            )
        if total.slots != count:
            raise ProtocolError(
                f"the total of step {step} has {total.slots} slots where {count} are right"
            )
        ciphertext = total.ciphertext
        fault = self.cipher.check(ciphertext, count + CHECK_SLOTS)
        if fault:
            raise ProtocolError(f"the server sent {fault}")
        require_whole(total, ciphertext, "the server")
        masked = self.cipher.decrypt(state.secret_key, ciphertext, count + CHECK_SLOTS)
        common = np.zeros_like(masked)
        apply_masks(common, [common_stream(self._agreed, step, state.secret_key, self._bound)], [])
        slots = (masked - common * np.uint64(len(survivors))) & np.uint64(self.cipher.modulus - 1)
        if slots[count:].any():
            raise ProtocolError(
                f"the total of step {step} is no sum of clients that are where {state.party} is: "
                "the server gave them other totals before, or its masks were not taken off rightly"
            )
        return slots[:count]

    def _prepared(self, step: int) -> StepState:
        if step not in self._state.steps:
            raise ProtocolError(f"step {step} was not prepared at {self._state.party}")
        return self._state.steps[step]


def _close(kept: StepState, survivors: Sequence[str]) -> None:
    """Forget a step's shares, so that no second story can be told from them."""
    kept.unmasked, kept.mask_key, kept.self_mask_seed = True, b"", b""
    kept.survivors.extend(survivors)
    for held in kept.held.values():
        held.self_mask_share = held.mask_key_share = b""
