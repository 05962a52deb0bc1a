// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAuditAnchor} from "./interfaces/IAuditAnchor.sol";

/// @title Append-only streams of digests.
/// @dev No owner, no pause, no upgrade: a regulator needs to trust nobody for the order and time of
/// what is here. Whether a digest says anything is checked off chain, against the records themselves.
contract AuditAnchor is IAuditAnchor {
    mapping(address account => mapping(bytes32 stream => Head)) private _heads;
    mapping(address account => mapping(bytes32 stream => mapping(bytes32 digest => uint40))) private _anchoredAt;

    /// @inheritdoc IAuditAnchor
    function anchor(bytes32 stream, bytes32 digest, bytes32 previous) external returns (uint64 sequence) {
        if (digest == 0) revert ZeroDigest();
        Head storage head = _heads[msg.sender][stream];
        if (previous != head.digest) revert PreviousMismatch(previous, head.digest);
        if (_anchoredAt[msg.sender][stream][digest] != 0) revert AlreadyAnchored(digest);
        sequence = head.sequence + 1;
        head.digest = digest;
        head.sequence = sequence;
        head.anchoredAt = uint40(block.timestamp);
        _anchoredAt[msg.sender][stream][digest] = uint40(block.timestamp);
        emit Anchored(msg.sender, stream, digest, previous, sequence);
    }

    /// @inheritdoc IAuditAnchor
    function headOf(address account, bytes32 stream) external view returns (Head memory) {
        return _heads[account][stream];
    }

    /// @inheritdoc IAuditAnchor
    function anchoredAt(address account, bytes32 stream, bytes32 digest) external view returns (uint40) {
        return _anchoredAt[account][stream][digest];
    }
}
