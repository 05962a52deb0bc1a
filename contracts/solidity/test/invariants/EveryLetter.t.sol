// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Campaign} from "./Campaign.sol";

/// @dev One campaign in which every letter is checked after each call, for long runs: Foundry gives each
/// invariant a campaign of its own, so that nineteen of them make the same calls nineteen times.
contract EveryLetterTest is Campaign {
    /// @notice A to T, but for N: see Letters.sol. What fails says its letter.
    /// forge-config: ci.invariant.runs = 16
    function invariant_every_letter() public {
        _world.everyLetter();
    }
}
