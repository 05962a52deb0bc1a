"""What can go wrong between us and a chain, each a named error with one sentence.

A contract's own refusals (Solidity custom errors) are the classes of `contracts.gateway.refusals`.
"""

from __future__ import annotations

from contracts.errors import ContractsError


class GatewayError(ContractsError):
    """Root of everything that the gateway refuses."""


class ValueRefused(GatewayError):
    """A value does not fit: an amount out of range, a bad address, a time without a zone."""


class ChainError(GatewayError):
    """The chain or its node is not what it should be; nothing was sent by this call."""


class WrongChain(ChainError):
    """The node serves another chain than the one asked for."""


class NoContract(ChainError):
    """There is no code at the address."""


class CodeMismatch(ChainError):
    """The code at the address is not the code of our artifact."""


class NodeDown(ChainError):
    """The node can't be reached, or says that it can't work now."""


class NodeSlow(ChainError):
    """The node did not answer within the time set."""


class NodeGarbled(ChainError):
    """The node's answer is not JSON-RPC, too large, or has not the fields it must have."""


class NodeRefused(ChainError):
    """The node understood and says no, for example for want of funds for gas."""


class NodeLied(ChainError):
    """The node's answers contradict each other or what was signed."""


class TransactionVanished(ChainError):
    """A transaction that was mined is in no block any more: the chain was reorganised."""


class TransactionMoved(ChainError):
    """A mined transaction is now in another block: the chain was reorganised."""


class SubmissionError(GatewayError):
    """A submission could not be brought to an end; its reference can be used again."""


class OutcomeUnknown(SubmissionError):
    """The node went away after the transaction was signed and stored: it may be on its way."""


class NotMinedInTime(SubmissionError):
    """The transaction was sent and no block took it within the time set."""


class NonceTaken(SubmissionError):
    """Somebody else used the account's nonce: this transaction can't be mined any more."""


class FeeOverCap(SubmissionError):
    """The fee that the chain asks for is over the cap set; nothing was signed."""


class GasOverCap(SubmissionError):
    """The call needs more gas than the cap set; nothing was signed."""


class ReferenceReused(SubmissionError):
    """The client reference belongs to another call."""


class ReferenceUnknown(SubmissionError):
    """The journal has no submission of that reference."""


class SubmissionCancelled(SubmissionError):
    """The submission was cancelled: its nonce went to an empty transaction."""


class TransactionReverted(SubmissionError):
    """The transaction was mined and refused by the contract; nothing but its gas is gone.

    Its cause (`__cause__`) is the contract's refusal where the node can still tell.
    """


class JournalError(GatewayError):
    """The journal of submissions can't be used."""


class KeystoreError(GatewayError):
    """A keystore or its password can't be used; never says what is in either."""


class DeploymentError(GatewayError):
    """A deployment file is not what `veilscore chain deploy` writes, or can't be made here."""


class MessageError(GatewayError):
    """A file with a signed message or a draft is not what it must be, or for another contract."""


class RecordRewritten(GatewayError):
    """A record file does not hold what was anchored of it: its past was changed."""
