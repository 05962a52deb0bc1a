// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAuditAnchor} from "../src/interfaces/IAuditAnchor.sol";
import {Fixture} from "./base/Fixture.sol";

contract AuditAnchorTest is Fixture {
    bytes32 private constant STREAM = "lineage";

    /// @notice A stream begins with previous 0, and each anchor names the one before it.
    function test_anchor_extends_the_stream() public {
        vm.expectEmit(address(anchors));
        emit IAuditAnchor.Anchored(bank, STREAM, "first", 0, 1);
        vm.prank(bank);
        eq(anchors.anchor(STREAM, "first", 0), 1, "first");
        uint256 then = block.timestamp;
        vm.warp(then + 60);
        vm.expectEmit(address(anchors));
        emit IAuditAnchor.Anchored(bank, STREAM, "second", "first", 2);
        vm.prank(bank);
        eq(anchors.anchor(STREAM, "second", "first"), 2, "second");
        IAuditAnchor.Head memory head = anchors.headOf(bank, STREAM);
        yes(head.digest == "second", "head");
        eq(head.sequence, 2, "sequence");
        eq(head.anchoredAt, then + 60, "head's time");
        eq(anchors.anchoredAt(bank, STREAM, "first"), then, "first's time");
        eq(anchors.anchoredAt(bank, STREAM, "second"), then + 60, "second's time");
        eq(anchors.anchoredAt(bank, STREAM, "third"), 0, "no time");
    }

    /// @notice Streams and accounts are apart: one's head is not another's.
    function test_anchor_streams_are_apart() public {
        vm.startPrank(bank);
        anchors.anchor(STREAM, "first", 0);
        eq(anchors.anchor("ledger", "first", 0), 1, "another stream");
        vm.stopPrank();
        vm.prank(secondBank);
        eq(anchors.anchor(STREAM, "first", 0), 1, "another account");
        eq(anchors.headOf(debtor, STREAM).sequence, 0, "none");
    }

    /// @notice A zero digest is refused.
    function test_anchor_refuses_zero() public {
        vm.expectRevert(abi.encodeWithSelector(IAuditAnchor.ZeroDigest.selector));
        anchors.anchor(STREAM, 0, 0);
    }

    /// @notice History is extended and not forked: a wrong previous digest is refused, before and after.
    function test_anchor_refuses_a_fork() public {
        vm.expectRevert(abi.encodeWithSelector(IAuditAnchor.PreviousMismatch.selector, bytes32("x"), bytes32(0)));
        anchors.anchor(STREAM, "first", "x");
        anchors.anchor(STREAM, "first", 0);
        vm.expectRevert(abi.encodeWithSelector(IAuditAnchor.PreviousMismatch.selector, bytes32(0), bytes32("first")));
        anchors.anchor(STREAM, "second", 0);
    }

    /// @notice A digest stands once in a stream, so that its time is one time.
    function test_anchor_refuses_a_repeat() public {
        anchors.anchor(STREAM, "first", 0);
        anchors.anchor(STREAM, "second", "first");
        vm.expectRevert(abi.encodeWithSelector(IAuditAnchor.AlreadyAnchored.selector, bytes32("first")));
        anchors.anchor(STREAM, "first", "second");
    }
}
