// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IReceivableRegistry} from "../src/interfaces/IReceivableRegistry.sol";
import {IScoreAttestation} from "../src/interfaces/IScoreAttestation.sol";
import {Fixture} from "./base/Fixture.sol";

/// @dev What the everyday calls cost, with a transaction's own 21,000 and its calldata added by
/// `--isolate`; written to snapshots/ for comparison. First uses of a slot and the usual case stand apart.
contract GasTest is Fixture {
    function test_gas_confirm_finance_repay() public {
        for (uint256 round = 0; round < 2; ++round) {
            string memory when = round == 0 ? "first" : "usual";
            IReceivableRegistry.Confirmation memory c = confirmation(100_000);
            bytes memory consent = signConfirmation(c, DEBTOR_KEY);
            uint256 id = registry.confirm(c, consent);
            vm.snapshotGasLastCall(string.concat("issue_and_confirm_", when));
            IScoreAttestation.Attestation memory a = attestation(id, address(pool));
            bytes memory signature = signAttestation(a, SIGNER_KEY);
            vm.prank(supplier);
            pool.finance(id, 70_000, a, signature);
            vm.snapshotGasLastCall(string.concat("finance_", when));
            vm.prank(debtor);
            registry.pay(id, 20_000);
            vm.snapshotGasLastCall(string.concat("repay_in_part_", when));
            vm.warp(block.timestamp + 95 days);
            vm.prank(debtor);
            registry.pay(id, 20_000);
            vm.snapshotGasLastCall(string.concat("repay_late_", when));
            vm.prank(debtor);
            registry.pay(id, 60_000);
            vm.snapshotGasLastCall(string.concat("repay_all_", when));
        }
    }

    function test_gas_split_into_three() public {
        uint256 id = confirmed(100_000);
        uint96[] memory faces = new uint96[](3);
        address[] memory holders = new address[](3);
        (faces[0], faces[1], faces[2]) = (50_000, 30_000, 20_000);
        (holders[0], holders[1], holders[2]) = (supplier, secondSupplier, address(0x5003));
        vm.prank(supplier);
        registry.split(id, faces, holders);
        vm.snapshotGasLastCall("split_into_three");
    }
}
