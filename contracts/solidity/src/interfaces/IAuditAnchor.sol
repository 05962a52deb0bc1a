// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Digests of training lineage and ledger heads, in order, for a regulator.
/// @notice Each account keeps streams of its own; every anchor names the one before it, so that
/// history can be extended and not rewritten.
interface IAuditAnchor {
    struct Head {
        bytes32 digest;
        uint64 sequence;
        uint40 anchoredAt;
    }

    event Anchored(
        address indexed account, bytes32 indexed stream, bytes32 indexed digest, bytes32 previous, uint64 sequence
    );

    error ZeroDigest();
    error PreviousMismatch(bytes32 given, bytes32 head);
    error AlreadyAnchored(bytes32 digest);

    /// @notice Extends the caller's stream by a digest; `previous` must be its head (0 at first).
    function anchor(bytes32 stream, bytes32 digest, bytes32 previous) external returns (uint64 sequence);

    function headOf(address account, bytes32 stream) external view returns (Head memory);
    /// @notice When a digest was anchored (unix seconds), or 0.
    function anchoredAt(address account, bytes32 stream, bytes32 digest) external view returns (uint40);
}
