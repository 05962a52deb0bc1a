// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IReceivableRegistry} from "../src/interfaces/IReceivableRegistry.sol";
import {Fixture} from "./base/Fixture.sol";

/// @dev Disputes, credit notes and cancelled invoices.
contract ReceivableRegistryDisputesTest is Fixture {
    function _disputable(uint96 face) private returns (uint256) {
        IReceivableRegistry.Confirmation memory c = confirmation(face);
        c.disputeWindow = 5 days;
        return registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
    }

    function _disputed(uint96 face) private returns (uint256 id) {
        id = _disputable(face);
        vm.prank(debtor);
        registry.dispute(id, "short delivery");
    }

    function _settlement(uint256 id, uint8 dispute, uint96 credit, uint40 deadline, uint256 key)
        private
        view
        returns (bytes memory)
    {
        bytes32 typehash = keccak256("DisputeSettlement(uint256 id,uint8 dispute,uint96 credit,uint40 deadline)");
        return signTyped(
            key,
            domain("veilscore ReceivableRegistry", address(registry)),
            keccak256(abi.encode(typehash, id, dispute, credit, deadline))
        );
    }

    // ---------------------------------------------------------------- disputes

    /// @notice The debtor disputes a leaf and takes the dispute back; both are said.
    function test_dispute_and_withdraw() public {
        uint256 id = _disputable(1_000);
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.ReceivableDisputed(id, debtor, "short delivery");
        vm.prank(debtor);
        registry.dispute(id, "short delivery");
        yes(registry.leafOf(id).status == IReceivableRegistry.Status.Disputed, "disputed");
        eq(registry.leafOf(id).disputes, 1, "first");
        eq(registry.remainingOf(id), 1_000, "still owed");
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.DisputeWithdrawn(id);
        vm.prank(debtor);
        registry.withdrawDispute(id);
        yes(registry.leafOf(id).status == IReceivableRegistry.Status.Live, "live");
        vm.prank(debtor);
        registry.dispute(id, "again");
        eq(registry.leafOf(id).disputes, 2, "second");
    }

    /// @notice A dispute is had until a second before the window's end.
    function test_dispute_window() public {
        uint256 id = _disputable(1_000);
        uint40 until = registry.termsOf(id).disputeUntil;
        bytes memory closed = abi.encodeWithSelector(IReceivableRegistry.DisputeWindowClosed.selector, id, until);
        vm.startPrank(debtor);
        vm.warp(until + 1);
        vm.expectRevert(closed);
        registry.dispute(id, "late");
        vm.warp(until);
        vm.expectRevert(closed);
        registry.dispute(id, "late");
        vm.warp(until - 1);
        registry.dispute(id, "in time");
        vm.stopPrank();
    }

    /// @notice Only the debtor disputes or takes back.
    function test_dispute_only_by_the_debtor() public {
        uint256 id = _disputable(1_000);
        bytes memory error_ = abi.encodeWithSelector(IReceivableRegistry.NotDebtor.selector, id, supplier);
        vm.prank(supplier);
        vm.expectRevert(error_);
        registry.dispute(id, "");
        vm.prank(debtor);
        registry.dispute(id, "");
        vm.prank(supplier);
        vm.expectRevert(error_);
        registry.withdrawDispute(id);
    }

    /// @notice Only a live leaf is disputed, and only a disputed one is withdrawn or settled.
    function test_dispute_statuses() public {
        uint256 id = _disputed(1_000);
        vm.prank(debtor);
        vm.expectRevert(
            abi.encodeWithSelector(IReceivableRegistry.NotLive.selector, id, IReceivableRegistry.Status.Disputed)
        );
        registry.dispute(id, "");
        vm.prank(debtor);
        vm.expectRevert(
            abi.encodeWithSelector(IReceivableRegistry.NotLive.selector, 99, IReceivableRegistry.Status.None)
        );
        registry.dispute(99, "");
        vm.prank(debtor);
        registry.withdrawDispute(id);
        bytes memory error_ =
            abi.encodeWithSelector(IReceivableRegistry.NotDisputed.selector, id, IReceivableRegistry.Status.Live);
        vm.prank(debtor);
        vm.expectRevert(error_);
        registry.withdrawDispute(id);
        vm.prank(supplier);
        vm.expectRevert(error_);
        registry.settleDispute(id, 0, uint40(block.timestamp), "");
    }

    /// @notice Who withdraws a dispute of no leaf learns that there is none.
    function test_withdraw_of_nothing() public {
        vm.expectRevert(
            abi.encodeWithSelector(IReceivableRegistry.NotDisputed.selector, 99, IReceivableRegistry.Status.None)
        );
        registry.withdrawDispute(99);
    }

    // ---------------------------------------------------------------- settlement

    /// @notice Holder and debtor settle on a credit, and the rest is owed again.
    function test_settlement_with_a_credit() public {
        uint256 id = _disputed(1_000);
        uint40 deadline = uint40(block.timestamp + 1 hours);
        bytes memory signature = _settlement(id, 1, 250, deadline, DEBTOR_KEY);
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.DisputeSettled(id, 250);
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.ReceivableCredited(id, 250, 750);
        vm.prank(supplier);
        registry.settleDispute(id, 250, deadline, signature);
        yes(registry.leafOf(id).status == IReceivableRegistry.Status.Live, "live");
        eq(registry.leafOf(id).credited, 250, "credited");
        eq(registry.outstandingOf(debtor, address(token)), 750, "outstanding");
    }

    /// @notice A settlement without a credit only ends the dispute.
    function test_settlement_without_a_credit() public {
        uint256 id = _disputed(1_000);
        uint40 deadline = uint40(block.timestamp);
        bytes memory signature = _settlement(id, 1, 0, deadline, DEBTOR_KEY);
        vm.recordLogs();
        vm.prank(supplier);
        registry.settleDispute(id, 0, deadline, signature);
        eq(vm.getRecordedLogs().length, 1, "the settlement alone");
        eq(registry.remainingOf(id), 1_000, "all is owed");
    }

    /// @notice A settlement on all of it settles the leaf.
    function test_settlement_of_all() public {
        uint256 id = _disputed(1_000);
        uint40 deadline = uint40(block.timestamp);
        bytes memory signature = _settlement(id, 1, 1_000, deadline, DEBTOR_KEY);
        vm.prank(supplier);
        registry.settleDispute(id, 1_000, deadline, signature);
        yes(registry.leafOf(id).status == IReceivableRegistry.Status.Settled, "settled");
        eq(registry.outstandingOf(debtor, address(token)), 0, "outstanding");
    }

    /// @notice The credit is at most what remains.
    function test_settlement_over_the_remaining_amount() public {
        uint256 id = _disputed(1_000);
        uint40 deadline = uint40(block.timestamp);
        bytes memory signature = _settlement(id, 1, 1_001, deadline, DEBTOR_KEY);
        vm.prank(supplier);
        vm.expectRevert(
            abi.encodeWithSelector(IReceivableRegistry.OverCredit.selector, id, uint256(1_001), uint96(1_000))
        );
        registry.settleDispute(id, 1_001, deadline, signature);
    }

    /// @notice Only the holder settles, in time, and with the debtor's signature over this very text.
    function test_settlement_refusals() public {
        uint256 id = _disputed(1_000);
        uint40 deadline = uint40(block.timestamp + 1 hours);
        bytes memory good = _settlement(id, 1, 250, deadline, DEBTOR_KEY);
        bytes memory forged = _settlement(id, 1, 250, deadline, SUPPLIER_KEY);
        vm.prank(debtor);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.NotHolder.selector, id, debtor));
        registry.settleDispute(id, 250, deadline, good);

        bytes memory invalid = abi.encodeWithSelector(IReceivableRegistry.SignatureInvalid.selector, debtor);
        vm.startPrank(supplier);
        vm.expectRevert(invalid);
        registry.settleDispute(id, 250, deadline, forged);
        vm.expectRevert(invalid);
        registry.settleDispute(id, 249, deadline, good);
        vm.expectRevert(invalid);
        registry.settleDispute(id, 250, deadline + 1, good);
        bytes memory tooMany = twin(good);
        vm.expectRevert(invalid);
        registry.settleDispute(id, 250, deadline, tooMany);
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.SignatureExpired.selector, deadline));
        registry.settleDispute(id, 250, deadline, good);
        vm.warp(deadline);
        registry.settleDispute(id, 250, deadline, good);
        vm.stopPrank();
    }

    /// @notice A signature for one dispute settles neither the next one nor another leaf's.
    function test_settlement_signature_serves_one_dispute() public {
        uint256 id = _disputed(1_000);
        uint256 other = _disputed(1_000);
        uint40 deadline = uint40(block.timestamp + 1 hours);
        bytes memory signature = _settlement(id, 1, 250, deadline, DEBTOR_KEY);
        bytes memory invalid = abi.encodeWithSelector(IReceivableRegistry.SignatureInvalid.selector, debtor);
        vm.prank(supplier);
        vm.expectRevert(invalid);
        registry.settleDispute(other, 250, deadline, signature);
        vm.prank(supplier);
        registry.settleDispute(id, 250, deadline, signature);
        vm.prank(debtor);
        registry.dispute(id, "again");
        vm.prank(supplier);
        vm.expectRevert(invalid);
        registry.settleDispute(id, 250, deadline, signature);
    }

    // ---------------------------------------------------------------- credit notes

    /// @notice The holder gives up a part, of a live or a disputed leaf, and it is said.
    function test_credit_of_a_part() public {
        uint256 id = _disputable(1_000);
        paid(id, 100);
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.ReceivableCredited(id, 300, 600);
        vm.prank(supplier);
        registry.credit(id, 300);
        eq(registry.leafOf(id).credited, 300, "credited");
        eq(registry.outstandingOf(debtor, address(token)), 600, "outstanding");
        vm.prank(debtor);
        registry.dispute(id, "");
        vm.prank(supplier);
        registry.credit(id, 50);
        eq(registry.remainingOf(id), 550, "disputed, still credited");
        eq(registry.leafOf(id).credited, 350, "credits add up");
    }

    /// @notice A credit of all that remains settles the leaf and burns it.
    function test_credit_of_all() public {
        uint256 id = confirmed(1_000);
        paid(id, 100);
        vm.startPrank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.OverCredit.selector, id, uint256(901), uint96(900)));
        registry.credit(id, 901);
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.ReceivableCredited(id, 900, 0);
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.ReceivableSettled(id);
        registry.credit(id, 900);
        vm.stopPrank();
        yes(registry.leafOf(id).status == IReceivableRegistry.Status.Settled, "settled");
        eq(registry.outstandingOf(debtor, address(token)), 0, "outstanding");
        vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, id));
        registry.ownerOf(id);
    }

    /// @notice Only the holder credits, and more than nothing.
    function test_credit_refusals() public {
        uint256 id = confirmed(1_000);
        vm.prank(debtor);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.NotHolder.selector, id, debtor));
        registry.credit(id, 1);
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.ZeroAmount.selector));
        registry.credit(id, 0);
    }

    // ---------------------------------------------------------------- cancelled invoices

    /// @notice A cancelled invoice is owed no more, and its fingerprint is free for the next revision only.
    function test_cancel_frees_the_fingerprint() public {
        confirmed(7_000);
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        bytes memory signature = signConfirmation(c, DEBTOR_KEY);
        uint256 id = registry.confirm(c, signature);
        vm.startPrank(supplier);
        registry.credit(id, 100);
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.ReceivableCancelled(id);
        registry.cancel(id);
        vm.stopPrank();
        yes(registry.leafOf(id).status == IReceivableRegistry.Status.Cancelled, "cancelled");
        eq(registry.remainingOf(id), 0, "nothing remains");
        eq(registry.outstandingOf(debtor, address(token)), 7_000, "outstanding");
        eq(registry.rootOf(c.fingerprint), 0, "fingerprint is free");
        eq(registry.revisionOf(c.fingerprint), 1, "revision");
        vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, id));
        registry.ownerOf(id);

        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.RevisionStale.selector, c.fingerprint, uint32(1)));
        registry.confirm(c, signature);
        c.revision = 1;
        uint256 second = registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
        eq(registry.rootOf(c.fingerprint), second, "taken again");
        vm.prank(supplier);
        registry.cancel(second);
        eq(registry.revisionOf(c.fingerprint), 2, "second revision");
    }

    /// @notice A disputed invoice is cancelled as well.
    function test_cancel_in_dispute() public {
        uint256 id = _disputed(1_000);
        vm.prank(supplier);
        registry.cancel(id);
        yes(registry.leafOf(id).status == IReceivableRegistry.Status.Cancelled, "cancelled");
    }

    /// @notice What was split, joined, or is not held, is not cancelled; a payment of a stranger stops nothing.
    function test_cancel_refusals() public {
        uint256 id = confirmed(1_000);
        vm.prank(debtor);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.NotHolder.selector, id, debtor));
        registry.cancel(id);
        uint256 paidOn = confirmed(1_000);
        paid(paidOn, 1);
        vm.prank(supplier);
        registry.cancel(paidOn);
        eq(registry.outstandingOf(debtor, address(token)), 1_000, "the other's");

        uint96[] memory faces = new uint96[](2);
        address[] memory holders = new address[](2);
        (faces[0], faces[1], holders[0], holders[1]) = (500, 500, supplier, supplier);
        vm.startPrank(supplier);
        uint256[] memory parts = registry.split(id, faces, holders);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.NotCancellable.selector, parts[0]));
        registry.cancel(parts[0]);
        uint256 merged = registry.merge(parts);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.NotCancellable.selector, merged));
        registry.cancel(merged);
        vm.stopPrank();
    }
}
