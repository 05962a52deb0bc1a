// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Asserts} from "../base/Asserts.sol";
import {HostileWorld} from "./Hostile.t.sol";
import {Letters} from "./Letters.sol";

/// @dev That the campaigns reach what they are for: in one campaign of fixed dice, each kind of thing
/// happens.
contract ReachTest is Asserts {
    function test_each_kind_of_step_happens() public {
        Letters world = new Letters();
        world.setUp();
        _run(world, 1_500);
        bytes32[63] memory kinds = _kinds();
        string memory never = "";
        for (uint256 i = 0; i < kinds.length; ++i) {
            if (world.times(kinds[i]) == 0) never = string.concat(never, " ", string(abi.encodePacked(kinds[i])));
        }
        yes(bytes(never).length == 0, string.concat("never:", never));
        for (uint256 kind = 0; kind < 16; ++kind) {
            yes(world.times(bytes32(kind)) >= 1, "a kind of bad attestation was not tried");
        }
        world.windDown();
    }

    function test_hostile_tokens_call_back() public {
        Letters world = new HostileWorld();
        world.setUp();
        _run(world, 600);
        yes(world.times("registry re-entered") > 20, "calls back into the registry");
        yes(world.times("pool re-entered") > 20, "calls back into the pool");
        world.windDown();
    }

    function _run(Letters world, uint256 count) private {
        bytes4[] memory steps = world.steps();
        uint256 dice = 1;
        for (uint256 i = 0; i < count; ++i) {
            dice = uint256(keccak256(abi.encode(dice)));
            (bool succeeded, bytes memory answer) =
                address(world).call(abi.encodeWithSelector(steps[dice % steps.length], dice >> 8));
            if (!succeeded) {
                assembly ("memory-safe") {
                    revert(add(answer, 32), mload(answer))
                }
            }
        }
    }

    function _kinds() private pure returns (bytes32[63] memory) {
        return [
            bytes32("invoice beside an order"),
            bytes32("confirm"),
            bytes32("payTooLate"),
            bytes32("refused by a pause"),
            bytes32("revision"),
            bytes32("split"),
            bytes32("split after a part payment"),
            bytes32("merge"),
            bytes32("transfer"),
            bytes32("dispute"),
            bytes32("disputeTooLate"),
            bytes32("withdrawDispute"),
            bytes32("settleDispute"),
            bytes32("credit"),
            bytes32("cancel"),
            bytes32("held by the registry"),
            bytes32("pay while paused"),
            bytes32("pay in full"),
            bytes32("pay in part"),
            bytes32("take what the registry held"),
            bytes32("take what the pool held"),
            bytes32("freezeOrThaw"),
            bytes32("travel"),
            bytes32("pause"),
            bytes32("stopOrAdmitDebtor"),
            bytes32("rotateSigner"),
            bytes32("revokeSigner"),
            bytes32("revokeNonce"),
            bytes32("bad attestation"),
            bytes32("deposit"),
            bytes32("withdraw"),
            bytes32("setTerms"),
            bytes32("setLimits"),
            bytes32("no room"),
            bytes32("finance"),
            bytes32("late fee"),
            bytes32("held by the pool"),
            bytes32("recovery"),
            bytes32("repayment"),
            bytes32("repayment after the due date"),
            bytes32("loan and leaf end"),
            bytes32("leaf goes back"),
            bytes32("leaf ends before its loan"),
            bytes32("repay while paused"),
            bytes32("repurchase"),
            bytes32("repurchase while paused"),
            bytes32("declareDefault"),
            bytes32("writeOff"),
            bytes32("disposeOfFinanced"),
            bytes32("financeUnfinanceable"),
            bytes32("acceptOrder"),
            bytes32("openFacility"),
            bytes32("signForDelivery"),
            bytes32("draw"),
            bytes32("order repaid"),
            bytes32("order repayment while paused"),
            bytes32("repayOrder"),
            bytes32("convert without an advance"),
            bytes32("convert"),
            bytes32("defaultOrder"),
            bytes32("writeOffOrder"),
            bytes32("lapseOrder"),
            bytes32("poseAsOrders")
        ];
    }
}
