// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {FinancingPool} from "../src/FinancingPool.sol";
import {IFinancingPool} from "../src/interfaces/IFinancingPool.sol";
import {IReceivableRegistry} from "../src/interfaces/IReceivableRegistry.sol";
import {IScoreAttestation} from "../src/interfaces/IScoreAttestation.sol";
import {Fixture} from "./base/Fixture.sol";
import {SignerWallet} from "./mocks/HostileReceivers.sol";
import {BlockingToken, FalseToken, FeeToken, HookToken, LyingToken, SilentToken} from "./mocks/HostileTokens.sol";
import {MockDepositToken} from "./mocks/MockDepositToken.sol";

/// @dev Everything again over tokens that take fees, refuse, lie, say nothing, or call out.
contract HostileTokensTest is Fixture {
    bytes4 private constant RE_ENTERED = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;

    function _use(address token_) private {
        token = MockDepositToken(token_);
        _deploy(token_);
    }

    function _registryTookFee(uint256 expected, uint256 received) private view returns (bytes memory) {
        return abi.encodeWithSelector(IReceivableRegistry.TokenTookFee.selector, address(token), expected, received);
    }

    function _poolTookFee(uint256 expected, uint256 received) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IFinancingPool.TokenTookFee.selector, expected, received);
    }

    function _payRefused(uint256 id, uint96 amount, bytes memory error_) private {
        vm.prank(debtor);
        vm.expectRevert(error_);
        registry.pay(id, amount);
    }

    function _financeRefused(uint256 id, uint96 principal, bytes memory error_) private {
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier);
        vm.expectRevert(error_);
        pool.finance(id, principal, a, signature);
    }

    // ---------------------------------------------------------------- fees

    /// @notice A token that begins to take a fee stops every movement that would come up short.
    function test_fee_on_transfer_is_refused() public {
        FeeToken fee = new FeeToken();
        _use(address(fee));
        uint256 own = confirmed(100_000);
        uint256 lent = confirmed(100_000);
        uint256 order = opened(100_000, 80_000);
        financed(lent, 50_000);
        drawn(order, 1_000);
        token.mint(supplier, 100_000);
        fee.setFee(100);
        _payRefused(own, 1_000, _registryTookFee(1_000, 990));
        _payRefused(lent, 1_000, _registryTookFee(1_000, 990));
        vm.prank(bank);
        vm.expectRevert(_poolTookFee(1_000, 990));
        pool.deposit(1_000);
        vm.startPrank(supplier);
        vm.expectRevert(_poolTookFee(50_000, 49_500));
        pool.repurchase(lent);
        vm.expectRevert(_poolTookFee(1_000, 990));
        orders.draw(order, 1_000);
        vm.expectRevert(_poolTookFee(1_000, 990));
        orders.repay(order, 1_000);
        vm.stopPrank();
        fee.setFee(0);
        vm.prank(supplier);
        orders.repay(order, 1_000);
        fee.setFee(100);
        _financeRefused(own, 10_000, _poolTookFee(9_876, 9_778));
    }

    /// @notice A bank gets its liquidity out even of a token that takes a fee: at its own cost.
    function test_fee_on_transfer_does_not_hold_a_bank() public {
        FeeToken fee = new FeeToken();
        _use(address(fee));
        fee.setFee(100);
        uint256 before = token.balanceOf(bank);
        vm.prank(bank);
        pool.withdraw(10_000);
        eq(token.balanceOf(bank), before + 9_900, "less the fee");
        eq(pool.bankOf(bank).liquidity, 1e14 - 10_000, "liquidity");
    }

    // ---------------------------------------------------------------- return values

    /// @notice A transfer that returns false moves nothing here either.
    function test_false_is_a_refusal() public {
        FalseToken refusing = new FalseToken();
        _use(address(refusing));
        uint256 own = confirmed(100_000);
        uint256 lent = confirmed(100_000);
        financed(lent, 50_000);
        refusing.refuse(true);
        bytes memory failed = abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(token));
        _payRefused(own, 1_000, failed);
        _payRefused(lent, 1_000, failed);
        _financeRefused(own, 10_000, failed);
        vm.startPrank(bank);
        vm.expectRevert(failed);
        pool.deposit(1_000);
        vm.expectRevert(failed);
        pool.withdraw(1_000);
        vm.stopPrank();
        eq(pool.bankOf(bank).liquidity + pool.bankOf(secondBank).liquidity, token.balanceOf(address(pool)), "cash");
        eq(registry.remainingOf(own) + registry.remainingOf(lent), 200_000, "nothing paid");
        eq(registry.heldFor(address(token), supplier), 0, "nothing held");
    }

    /// @notice A token without return values serves from deposit to repayment.
    function test_no_return_value_is_fine() public {
        _use(address(new SilentToken()));
        uint256 id = confirmed(100_000);
        uint256 payout = financed(id, 50_000);
        eq(token.balanceOf(supplier), payout, "payout");
        paid(id, 60_000);
        eq(token.balanceOf(supplier), payout + 10_000, "residual");
        paid(id, 40_000);
        eq(token.balanceOf(supplier), payout + 50_000, "rest");
        uint96 all = pool.bankOf(bank).liquidity;
        vm.prank(bank);
        pool.withdraw(all);
        eq(token.balanceOf(bank), 1e15 + 50_000 - payout, "out with the discount");
    }

    /// @notice A balance that is overstated in mid-transfer is noticed where money comes in or goes out.
    function test_lies_are_noticed() public {
        LyingToken lying = new LyingToken();
        _use(address(lying));
        uint256 own = confirmed(100_000);
        uint256 lent = confirmed(100_000);
        financed(lent, 50_000);
        lying.lieAbout(supplier, 7, 1);
        _payRefused(own, 1_000, _registryTookFee(1_000, 1_007));
        _financeRefused(own, 10_000, _poolTookFee(9_876, 9_883));
        lying.lieAbout(address(pool), 7, 1);
        _payRefused(lent, 1_000, _registryTookFee(1_000, 1_007));
        vm.prank(bank);
        vm.expectRevert(_poolTookFee(1_000, 1_007));
        pool.deposit(1_000);
    }

    // ---------------------------------------------------------------- blocked accounts

    /// @notice A blocked holder does not stop its debtor from paying: the money waits in the registry.
    function test_blocked_holder_is_paid_later() public {
        BlockingToken blocking = new BlockingToken();
        _use(address(blocking));
        uint256 id = confirmed(100_000);
        blocking.setBlocked(supplier, true);
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.PaymentHeld(address(token), supplier, 40_000);
        paid(id, 40_000);
        paid(id, 60_000);
        yes(registry.leafOf(id).status == IReceivableRegistry.Status.Settled, "settled");
        eq(registry.heldFor(address(token), supplier), 100_000, "held");
        eq(token.balanceOf(address(registry)), 100_000, "cash");

        vm.startPrank(supplier);
        vm.expectRevert(abi.encodeWithSelector(BlockingToken.Blocked.selector, supplier));
        registry.takeHeldPayment(address(token), supplier);
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.HeldPaymentTaken(address(token), supplier, secondSupplier, 100_000);
        registry.takeHeldPayment(address(token), secondSupplier);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.NothingHeld.selector, address(token), supplier));
        registry.takeHeldPayment(address(token), secondSupplier);
        vm.stopPrank();
        eq(token.balanceOf(secondSupplier), 100_000, "taken");
        eq(registry.heldFor(address(token), supplier), 0, "none left");
    }

    /// @notice A blocked debtor pays nothing, and nothing is held for anybody.
    function test_blocked_payer() public {
        BlockingToken blocking = new BlockingToken();
        _use(address(blocking));
        uint256 id = confirmed(100_000);
        blocking.setBlocked(debtor, true);
        _payRefused(id, 1, abi.encodeWithSelector(BlockingToken.Blocked.selector, debtor));
    }

    /// @notice A supplier that was blocked after its loan does not stop the repayment: its share waits.
    function test_blocked_supplier_is_paid_later() public {
        BlockingToken blocking = new BlockingToken();
        _use(address(blocking));
        uint256 first = confirmed(100_000);
        uint256 second = confirmed(100_000);
        financed(first, 50_000);
        financed(second, 50_000);
        blocking.setBlocked(supplier, true);
        vm.expectEmit(address(pool));
        emit IFinancingPool.PaymentHeld(supplier, 50_000);
        paid(first, 100_000);
        paid(second, 50_001);
        eq(pool.heldFor(supplier), 50_001, "held");
        eq(registry.ownerOf(second), supplier, "leaf came back");
        eq(
            token.balanceOf(address(pool)),
            uint256(pool.bankOf(bank).liquidity) + pool.bankOf(secondBank).liquidity + 50_001,
            "cash"
        );
        vm.startPrank(supplier);
        vm.expectRevert(abi.encodeWithSelector(BlockingToken.Blocked.selector, supplier));
        pool.takeHeldPayment(supplier);
        vm.expectEmit(address(pool));
        emit IFinancingPool.HeldPaymentTaken(supplier, secondSupplier, 50_001);
        pool.takeHeldPayment(secondSupplier);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.NothingHeld.selector, supplier));
        pool.takeHeldPayment(secondSupplier);
        vm.stopPrank();
        eq(token.balanceOf(secondSupplier), 50_001, "taken");
    }

    /// @notice A blocked supplier is lent nothing: the payout reaches it or nothing happens.
    function test_blocked_supplier_is_lent_nothing() public {
        BlockingToken blocking = new BlockingToken();
        _use(address(blocking));
        uint256 id = confirmed(100_000);
        blocking.setBlocked(supplier, true);
        _financeRefused(id, 10_000, abi.encodeWithSelector(BlockingToken.Blocked.selector, supplier));
        eq(registry.ownerOf(id), supplier, "leaf stays");
    }

    // ---------------------------------------------------------------- re-entrancy

    function _hooked() private returns (HookToken hook) {
        hook = new HookToken();
        _use(address(hook));
    }

    function _stopped(HookToken hook, string memory what) private view {
        yes(!hook.succeeded(), what);
        yes(bytes4(hook.answer()) == RE_ENTERED, what);
    }

    /// @notice Out of a payment, none of the registry's guarded functions is entered again.
    function test_no_re_entry_into_the_registry() public {
        HookToken hook = _hooked();
        uint256 id = confirmed(100_000);
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        bytes[7] memory calls = [
            abi.encodeCall(registry.pay, (id, 1)),
            abi.encodeCall(registry.confirm, (c, signConfirmation(c, DEBTOR_KEY))),
            abi.encodeCall(registry.split, (id, new uint96[](2), new address[](2))),
            abi.encodeCall(registry.merge, (new uint256[](2))),
            abi.encodeCall(registry.credit, (id, 1)),
            abi.encodeCall(registry.cancel, (id)),
            abi.encodeCall(registry.settleDispute, (id, 1, uint40(block.timestamp), ""))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            hook.arm(address(registry), calls[i]);
            paid(id, 10);
            _stopped(hook, vm.toString(i));
        }
        hook.arm(address(registry), abi.encodeCall(registry.takeHeldPayment, (address(token), address(hook))));
        paid(id, 10);
        _stopped(hook, "takeHeldPayment");
        eq(registry.remainingOf(id), 100_000 - 80, "each payment once");
    }

    /// @notice Out of a withdrawal, none of the pool's guarded functions is entered again.
    function test_no_re_entry_into_the_pool() public {
        HookToken hook = _hooked();
        // Orders of this pool are the token itself, so that it is the guard that stops it.
        pool = new FinancingPool(address(registry), address(attestations), address(token), admin, 1 days);
        vm.startPrank(admin);
        pool.setOrders(address(hook));
        pool.admitBank(bank, 1e15);
        vm.stopPrank();
        vm.startPrank(bank);
        token.approve(address(pool), 1e15);
        pool.deposit(1_000);
        IScoreAttestation.Attestation memory a = attestation(1, address(pool));
        bytes[9] memory calls = [
            abi.encodeCall(pool.deposit, (1)),
            abi.encodeCall(pool.withdraw, (1)),
            abi.encodeCall(pool.finance, (1, 1, a, "")),
            abi.encodeCall(pool.onPayment, (1, 1, false, debtor, 1)),
            abi.encodeCall(pool.repurchase, (1)),
            abi.encodeCall(pool.takeHeldPayment, (bank)),
            abi.encodeCall(pool.advanceOrder, (1, bank, supplier, debtor, 1)),
            abi.encodeCall(pool.retireOrder, (1, bank, supplier, debtor, bank, 1, 1)),
            abi.encodeCall(pool.financeOrder, (1, 1, 1, 1, 1, a, ""))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            hook.arm(address(pool), calls[i]);
            pool.withdraw(10);
            _stopped(hook, vm.toString(i));
        }
        vm.stopPrank();
        eq(pool.bankOf(bank).liquidity, 1_000 - 90, "each withdrawal once");
    }

    /// @notice Out of a draw, none of the order contract's guarded functions is entered again.
    function test_no_re_entry_into_the_orders() public {
        HookToken hook = _hooked();
        uint256 id = opened(100_000, 80_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        bytes[5] memory calls = [
            abi.encodeCall(orders.draw, (id, 1)),
            abi.encodeCall(orders.repay, (id, 1)),
            abi.encodeCall(orders.openFacility, (id, 1, a, "")),
            abi.encodeCall(orders.convert, (id, c, "", 1, a, "")),
            abi.encodeCall(orders.writeOff, (id))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            hook.arm(address(orders), calls[i]);
            drawn(id, 10);
            _stopped(hook, vm.toString(i));
        }
        eq(orders.orderOf(id).drawn, 50, "each draw once");
    }

    /// @notice A payer that withdraws the pool's cash in mid-payment gains nothing: the payment is refused.
    function test_no_double_counting_across_contracts() public {
        HookToken hook = _hooked();
        SignerWallet wallet = new SignerWallet();
        vm.prank(admin);
        pool.admitBank(address(wallet), 1e15);
        token.mint(address(wallet), 1_000);
        wallet.execute(address(token), abi.encodeCall(token.approve, (address(pool), 1_000)));
        uint256 id = confirmed(100_000);
        financed(id, 50_000);
        hook.arm(
            address(wallet), abi.encodeCall(wallet.execute, (address(pool), abi.encodeCall(pool.deposit, (1_000))))
        );
        _payRefused(id, 10, _registryTookFee(10, 1_010));
        eq(pool.bankOf(address(wallet)).liquidity, 0, "undone");
        eq(token.balanceOf(address(wallet)), 1_000, "its own");
    }

    /// @notice A debtor in mid-payment can't have the supplier paid for a leaf that the loan just gave back.
    function test_repurchase_in_mid_payment_is_undone() public {
        HookToken hook = _hooked();
        SignerWallet wallet = new SignerWallet();
        supplier = address(wallet);
        wallet.execute(address(registry), abi.encodeCall(registry.setApprovalForAll, (address(pool), true)));
        wallet.execute(address(token), abi.encodeCall(token.approve, (address(pool), type(uint256).max)));
        vm.prank(bank);
        pool.setSupplierLimit(supplier, 1e14);
        token.mint(supplier, 100_000);
        uint256 id = confirmed(100_000);
        financed(id, 50_000);
        hook.arm(
            address(wallet), abi.encodeCall(wallet.execute, (address(pool), abi.encodeCall(pool.repurchase, (id))))
        );
        vm.prank(debtor);
        vm.expectRevert();
        registry.pay(id, 1_000);
        eq(registry.ownerOf(id), address(pool), "still collateral");
        yes(pool.loanOf(id).status == IFinancingPool.LoanStatus.Open, "still open");
    }
}
