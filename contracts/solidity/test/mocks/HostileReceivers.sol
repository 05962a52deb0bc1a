// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IERC721Receiver} from "@openzeppelin/contracts/token/ERC721/IERC721Receiver.sol";

/// @dev A contract account that signs as it is told (ERC-1271) and passes calls on for its owner.
contract SignerWallet is IERC1271 {
    enum Answer {
        Yes,
        No,
        Reverts,
        BurnsGas,
        Short
    }

    Answer public answer;

    error Refused();

    function set(Answer answer_) external {
        answer = answer_;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        if (answer == Answer.Reverts) revert Refused();
        if (answer == Answer.BurnsGas) assembly ("memory-safe") { invalid() }
        if (answer == Answer.Short) assembly ("memory-safe") { return(0, 0) }
        return answer == Answer.Yes ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }

    function execute(address target, bytes calldata call_) external returns (bytes memory) {
        (bool done, bytes memory answer_) = target.call(call_);
        if (!done) {
            assembly ("memory-safe") { revert(add(answer_, 32), mload(answer_)) }
        }
        return answer_;
    }
}

/// @dev An ERC-721 receiver that reverts, or calls out, when a leaf is handed over safely.
contract LeafReceiver is IERC721Receiver {
    address private _target;
    bytes private _call;
    bool public touched;
    bool public succeeded;
    bytes public answer;

    error Unwanted();

    function arm(address target, bytes calldata call_) external {
        (_target, _call) = (target, call_);
    }

    function onERC721Received(address, address, uint256, bytes calldata) external returns (bytes4) {
        touched = true;
        if (_target == address(0)) revert Unwanted();
        (succeeded, answer) = _target.call(_call);
        return IERC721Receiver.onERC721Received.selector;
    }

    function execute(address target, bytes calldata call_) external returns (bytes memory) {
        (bool done, bytes memory answer_) = target.call(call_);
        if (!done) {
            assembly ("memory-safe") { revert(add(answer_, 32), mload(answer_)) }
        }
        return answer_;
    }
}
