"""What the index refuses or cannot get, each kind by its own name."""

from __future__ import annotations

from contracts.errors import ContractsError


class IndexingError(ContractsError):
    """Anything that the index refuses; what was indexed before stays readable."""


class SourceUnavailable(IndexingError):
    """The node does not answer now, or not in time; the same may work later."""


class RangeRefused(IndexingError):
    """The node does not give the logs of so many blocks at once."""


class NodeInconsistent(IndexingError):
    """The node's answers contradict each other: its chain changed between them, or it lies."""


class BlockMissing(NodeInconsistent):
    """The node has no block at a height that it claims to have passed."""


class HeadersDoNotLink(NodeInconsistent):
    """A block does not name the block before it as its parent, or is not the one asked for."""


class LogsDoNotMatch(NodeInconsistent):
    """A log is of a block, a range or a contract that it cannot be of."""


class ChainKeepsChanging(NodeInconsistent):
    """The chain was another one at every look, more often than an honest chain is."""


class DeepReorganisation(IndexingError):
    """Blocks that counted as final are not on the node's chain any more."""


class WrongChain(IndexingError):
    """The node's chain, or the deployment, is not the one that this index is of."""


class DeploymentInvalid(IndexingError):
    """The file that names the contracts does not say what it must."""


class MalformedLog(IndexingError):
    """A log of our contracts does not hold what their ABI says."""


class AmountTooLarge(IndexingError):
    """An amount above 2**63 - 1 minor units, more than the derived tables hold."""


class EventOutOfPlace(IndexingError):
    """An event about a claim that the events before it do not account for."""


class DatabaseFailure(IndexingError):
    """The index's database refused, and will again until somebody acts."""


class DatabaseUnavailable(DatabaseFailure):
    """The index's database does not answer now; the same may work later."""


class IndexMoved(IndexingError):
    """Another process wrote to the index meanwhile; look at it again."""


class ReconciliationRefused(IndexingError):
    """The index and the chain are not at the same block, so that they cannot be compared."""
