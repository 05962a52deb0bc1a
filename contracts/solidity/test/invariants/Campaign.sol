// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Letters} from "./Letters.sol";

/// @dev What each campaign needs: a world, and the calls that the fuzzer makes on it.
abstract contract Campaign {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Letters internal _world;

    function setUp() public {
        _world = _newWorld();
        _world.setUp();
    }

    function _newWorld() internal virtual returns (Letters) {
        return new Letters();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_world);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_world), _world.steps());
    }

    /// @notice After each campaign all debts are paid: every book is empty, and all money is back.
    function afterInvariant() public {
        _world.windDown();
    }
}
