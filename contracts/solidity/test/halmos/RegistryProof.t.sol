// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IReceivableRegistry} from "../../src/interfaces/IReceivableRegistry.sol";
import {Proof} from "./Proof.sol";

/// @custom:halmos --loop 4
/// @dev For all amounts of 96 bits: what a debtor owes is what its leaves say. Nothing is bounded but the
/// number of children (two, three) and of calls.
contract RegistryProof is Proof {
    /// @notice A split into two keeps the sum, also after a part payment and a credit.
    function check_split_in_two_keeps_the_sum(uint96 face, uint96 paid, uint96 credited, uint96 first, uint96 second)
        public
    {
        uint256 id = _confirmed(face);
        _payAndCredit(id, paid, credited);
        uint96[] memory faces = new uint96[](2);
        (faces[0], faces[1]) = (first, second);
        uint256[] memory children = _split(id, faces);
        uint256 sum = uint256(registry.remainingOf(children[0])) + registry.remainingOf(children[1]);
        assert(sum == uint256(face) - paid - credited);
        assert(registry.outstandingOf(debtor, address(token)) == sum);
        assert(registry.remainingOf(id) == 0);
    }

    /// @notice So does a split into three.
    function check_split_in_three_keeps_the_sum(uint96 face, uint96 first, uint96 second, uint96 third) public {
        uint256 id = _confirmed(face);
        uint96[] memory faces = new uint96[](3);
        (faces[0], faces[1], faces[2]) = (first, second, third);
        uint256[] memory children = _split(id, faces);
        uint256 sum = uint256(registry.remainingOf(children[0])) + registry.remainingOf(children[1])
            + registry.remainingOf(children[2]);
        assert(sum == face);
        assert(registry.outstandingOf(debtor, address(token)) == face);
    }

    /// @notice Merging what was split gives back the same amount, less what was paid in between.
    function check_merge_keeps_the_sum(uint96 face, uint96 first, uint96 paid) public {
        uint256 id = _confirmed(face);
        uint96[] memory faces = new uint96[](2);
        (faces[0], faces[1]) = (first, face - first);
        uint256[] memory children = _split(id, faces);
        vm.prank(PAYER);
        registry.pay(children[0], paid);
        vm.prank(SUPPLIER);
        uint256 merged = registry.merge(children);
        assert(registry.remainingOf(merged) == face - paid);
        assert(registry.outstandingOf(debtor, address(token)) == face - paid);
    }

    /// @notice No payments and credits exceed the face; each takes its amount off what the debtor owes, the
    /// holder gets what the payer pays, and a leaf ends exactly when nothing remains.
    function check_paid_and_credited_never_exceed_the_face(uint96 face, uint96 paid, uint96 credited) public {
        uint256 id = _confirmed(face);
        _payAndCredit(id, paid, credited);
        IReceivableRegistry.Leaf memory leaf = registry.leafOf(id);
        assert(uint256(leaf.paid) + leaf.credited <= face);
        assert(leaf.paid == paid && leaf.credited == credited);
        assert(registry.outstandingOf(debtor, address(token)) == uint256(face) - paid - credited);
        assert(token.balanceOf(SUPPLIER) == paid);
        assert(token.balanceOf(PAYER) == type(uint96).max - uint256(paid));
        assert((leaf.status == IReceivableRegistry.Status.Settled) == (uint256(paid) + credited == face));
    }

    /// @dev A path on which a call is refused proves nothing and breaks nothing: halmos leaves it out.
    function _payAndCredit(uint256 id, uint96 paid, uint96 credited) private {
        if (paid != 0) {
            vm.prank(PAYER);
            registry.pay(id, paid);
        }
        if (credited != 0) {
            vm.prank(SUPPLIER);
            registry.credit(id, credited);
        }
    }

    function _split(uint256 id, uint96[] memory faces) private returns (uint256[] memory) {
        address[] memory holders = new address[](faces.length);
        for (uint256 i = 0; i < faces.length; ++i) {
            holders[i] = SUPPLIER;
        }
        vm.prank(SUPPLIER);
        return registry.split(id, faces, holders);
    }
}
