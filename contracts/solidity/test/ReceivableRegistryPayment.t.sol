// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors, IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IReceivableRegistry} from "../src/interfaces/IReceivableRegistry.sol";
import {Fixture} from "./base/Fixture.sol";

/// @dev Payments of leaves that no pool holds; hostile tokens have a file of their own.
contract ReceivableRegistryPaymentTest is Fixture {
    address private constant FRIEND = address(0xF1);

    /// @notice A payment in part reaches the holder and is taken off everywhere.
    function test_pay_a_part() public {
        uint256 id = confirmed(1_000);
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.ReceivablePaid(id, debtor, supplier, 400, 600);
        paid(id, 400);
        eq(token.balanceOf(supplier), 400, "received");
        eq(registry.leafOf(id).paid, 400, "paid");
        eq(registry.remainingOf(id), 600, "remaining");
        eq(registry.outstandingOf(debtor, address(token)), 600, "outstanding");
        eq(registry.ownerOf(id), supplier, "still held");
        eq(token.balanceOf(address(registry)), 0, "nothing stays here");
        paid(id, 100);
        eq(registry.leafOf(id).paid, 500, "payments add up");
    }

    /// @notice The payment of all that remains settles the leaf and burns it.
    function test_pay_all() public {
        uint256 id = confirmed(1_000);
        paid(id, 999);
        yes(registry.leafOf(id).status == IReceivableRegistry.Status.Live, "one short");
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.ReceivablePaid(id, debtor, supplier, 1, 0);
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.ReceivableSettled(id);
        paid(id, 1);
        yes(registry.leafOf(id).status == IReceivableRegistry.Status.Settled, "settled");
        eq(registry.outstandingOf(debtor, address(token)), 0, "outstanding");
        vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, id));
        registry.ownerOf(id);
        vm.prank(debtor);
        vm.expectRevert(
            abi.encodeWithSelector(IReceivableRegistry.NotLive.selector, id, IReceivableRegistry.Status.Settled)
        );
        registry.pay(id, 1);
    }

    /// @notice Nothing, and more than remains, is not paid.
    function test_pay_amounts() public {
        uint256 id = confirmed(1_000);
        vm.startPrank(debtor);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.ZeroAmount.selector));
        registry.pay(id, 0);
        vm.expectRevert(
            abi.encodeWithSelector(IReceivableRegistry.Overpayment.selector, id, uint256(1_001), uint96(1_000))
        );
        registry.pay(id, 1_001);
        registry.pay(id, 1_000);
        vm.stopPrank();
    }

    /// @notice A leaf that is not there, split or cancelled takes no payment.
    function test_pay_only_what_is_owed() public {
        vm.expectRevert(
            abi.encodeWithSelector(IReceivableRegistry.NotLive.selector, 99, IReceivableRegistry.Status.None)
        );
        registry.pay(99, 1);
        uint256 id = confirmed(1_000);
        vm.prank(supplier);
        registry.cancel(id);
        vm.expectRevert(
            abi.encodeWithSelector(IReceivableRegistry.NotLive.selector, id, IReceivableRegistry.Status.Cancelled)
        );
        registry.pay(id, 1);
    }

    /// @notice A disputed leaf can be paid, in part and in full.
    function test_pay_in_dispute() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.disputeWindow = 5 days;
        uint256 id = registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
        vm.prank(debtor);
        registry.dispute(id, "");
        paid(id, 400);
        yes(registry.leafOf(id).status == IReceivableRegistry.Status.Disputed, "still disputed");
        paid(id, 600);
        yes(registry.leafOf(id).status == IReceivableRegistry.Status.Settled, "settled");
    }

    /// @notice Anybody may pay for the debtor, but the holder not itself.
    function test_pay_by_others() public {
        uint256 id = confirmed(1_000);
        token.mint(FRIEND, 500);
        vm.startPrank(FRIEND);
        token.approve(address(registry), 500);
        registry.pay(id, 500);
        vm.stopPrank();
        eq(registry.remainingOf(id), 500, "remaining");
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.PayerIsHolder.selector, id));
        registry.pay(id, 500);
    }

    /// @notice Who has too little, or has not approved it, pays nothing, and nothing is held.
    function test_pay_without_money() public {
        uint256 id = confirmed(1_000);
        vm.prank(FRIEND);
        vm.expectRevert(
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientAllowance.selector, address(registry), uint256(0), uint256(1)
            )
        );
        registry.pay(id, 1);
        eq(registry.heldFor(address(token), supplier), 0, "nothing held");
        eq(registry.remainingOf(id), 1_000, "all owed");
    }

    /// @notice Who has nothing held takes nothing.
    function test_take_nothing() public {
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.NothingHeld.selector, address(token), supplier));
        registry.takeHeldPayment(address(token), supplier);
    }

    /// @notice However it is paid in instalments: paid, remaining, outstanding and cash agree.
    function testFuzz_pay_in_instalments(uint96 face, uint256 seed, uint8 count) public {
        face = uint96(within(face, 100, 1e15));
        uint256 id = confirmed(face);
        uint256 left = face;
        for (uint256 i = 0; i < count % 8 && left > 1; ++i) {
            uint96 amount = uint96(within(uint256(keccak256(abi.encode(seed, i))), 1, left - 1));
            paid(id, amount);
            left -= amount;
            eq(registry.remainingOf(id), left, "remaining");
            eq(registry.outstandingOf(debtor, address(token)), left, "outstanding");
            eq(token.balanceOf(supplier), face - left, "received");
        }
        paid(id, uint96(left));
        eq(token.balanceOf(supplier), face, "all received");
        eq(registry.leafOf(id).paid, face, "all paid");
    }
}
