// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IFinancingPool} from "../src/interfaces/IFinancingPool.sol";
import {IReceivableRegistry} from "../src/interfaces/IReceivableRegistry.sol";
import {IScoreAttestation} from "../src/interfaces/IScoreAttestation.sol";
import {Fixture} from "./base/Fixture.sol";

/// @dev A bank's liquidity, terms and limits.
contract FinancingPoolLimitsTest is Fixture {
    function _refused(uint256 id, uint96 principal, bytes memory error_) private {
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier);
        vm.expectRevert(error_);
        pool.finance(id, principal, a, signature);
    }

    // ---------------------------------------------------------------- liquidity

    /// @notice A bank pays liquidity in and takes it out, and both are said.
    function test_deposit_and_withdraw() public {
        vm.startPrank(bank);
        vm.expectEmit(address(pool));
        emit IFinancingPool.Deposited(bank, 500);
        pool.deposit(500);
        eq(pool.bankOf(bank).liquidity, 1e14 + 500, "in");
        eq(token.balanceOf(address(pool)), 2e14 + 500, "cash in");
        vm.expectEmit(address(pool));
        emit IFinancingPool.Withdrawn(bank, 200);
        pool.withdraw(200);
        vm.stopPrank();
        eq(pool.bankOf(bank).liquidity, 1e14 + 300, "out");
        eq(token.balanceOf(address(pool)), 2e14 + 300, "cash out");
        eq(token.balanceOf(bank), 9e14 - 300, "the bank's");
    }

    /// @notice Nothing is neither paid in nor taken out.
    function test_deposit_and_withdraw_refuse_zero() public {
        vm.startPrank(bank);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.ZeroAmount.selector));
        pool.deposit(0);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.ZeroAmount.selector));
        pool.withdraw(0);
        vm.stopPrank();
    }

    /// @notice Only an admitted bank pays in; one that was stopped still takes out.
    function test_deposit_only_by_banks() public {
        vm.prank(debtor);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.BankNotAdmitted.selector, debtor));
        pool.deposit(1);
        vm.prank(admin);
        pool.admitBank(bank, 0);
        vm.startPrank(bank);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.BankNotAdmitted.selector, bank));
        pool.deposit(1);
        pool.withdraw(1e14);
        vm.stopPrank();
        eq(pool.bankOf(bank).liquidity, 0, "all out");
    }

    /// @notice A bank takes out its own free liquidity to the unit, never another's.
    function test_withdraw_at_most_what_is_free() public {
        financed(confirmed(1_000), 500);
        uint96 free = pool.bankOf(bank).liquidity;
        vm.startPrank(bank);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.LiquidityShort.selector, bank, uint256(free) + 1, free));
        pool.withdraw(free + 1);
        pool.withdraw(free);
        vm.stopPrank();
        vm.prank(debtor);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.LiquidityShort.selector, debtor, 1, 0));
        pool.withdraw(1);
    }

    /// @notice A deposit that the bank can't pay is no deposit.
    function test_deposit_without_money() public {
        vm.prank(bank);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, bank, 9e14, 9e14 + 1));
        pool.deposit(9e14 + 1);
        eq(pool.bankOf(bank).liquidity, 1e14, "unchanged");
    }

    // ---------------------------------------------------------------- terms

    /// @notice Terms and limits are a bank's own, and said.
    function test_terms_and_limits() public {
        vm.startPrank(bank);
        vm.expectEmit(address(pool));
        emit IFinancingPool.TermsSet(bank, 1, 2, 3, 4 days);
        pool.setTerms(IFinancingPool.Terms(1, 2, 3, 4 days));
        vm.expectEmit(address(pool));
        emit IFinancingPool.DebtorLimitSet(bank, debtor, 5);
        pool.setDebtorLimit(debtor, 5);
        vm.expectEmit(address(pool));
        emit IFinancingPool.SupplierLimitSet(bank, supplier, 6);
        pool.setSupplierLimit(supplier, 6);
        vm.stopPrank();
        IFinancingPool.Terms memory terms = pool.bankOf(bank).terms;
        eq(terms.maxAdvanceBps, 1, "advance");
        eq(terms.penaltyRateBps, 2, "penalty");
        eq(terms.lateFeeBps, 3, "late fee");
        eq(terms.graceSeconds, 4 days, "grace");
        eq(pool.debtorLine(bank, debtor).limit, 5, "debtor");
        eq(pool.supplierLine(bank, supplier).limit, 6, "supplier");
        eq(pool.debtorLine(secondBank, debtor).limit, 1e14, "not the other bank's");
    }

    /// @notice Shares up to 100 %, and grace of whole days up to 180, are terms; beyond is none.
    function test_terms_range() public {
        bytes memory error_ = abi.encodeWithSelector(IFinancingPool.TermsOutOfRange.selector);
        vm.startPrank(bank);
        vm.expectRevert(error_);
        pool.setTerms(IFinancingPool.Terms(10_001, 10_000, 10_000, 180 days));
        vm.expectRevert(error_);
        pool.setTerms(IFinancingPool.Terms(10_000, 10_001, 10_000, 180 days));
        vm.expectRevert(error_);
        pool.setTerms(IFinancingPool.Terms(10_000, 10_000, 10_001, 180 days));
        vm.expectRevert(error_);
        pool.setTerms(IFinancingPool.Terms(10_000, 10_000, 10_000, 181 days));
        vm.expectRevert(error_);
        pool.setTerms(IFinancingPool.Terms(10_000, 10_000, 10_000, 180 days + 1));
        vm.expectRevert(error_);
        pool.setTerms(IFinancingPool.Terms(10_000, 10_000, 10_000, 180 days - 1));
        pool.setTerms(IFinancingPool.Terms(10_000, 10_000, 10_000, 179 days));
        pool.setTerms(IFinancingPool.Terms(10_000, 10_000, 10_000, 180 days));
        vm.stopPrank();
        eq(pool.MAX_GRACE(), 180 days, "longest grace");
    }

    /// @notice The longest grace period is kept whole in a loan.
    function test_terms_longest_grace_in_a_loan() public {
        vm.prank(bank);
        pool.setTerms(IFinancingPool.Terms(10_000, 0, 0, 180 days));
        uint256 id = confirmed(1_000);
        financed(id, 500);
        eq(pool.loanOf(id).graceSeconds, 180 days, "grace");
    }

    // ---------------------------------------------------------------- limits

    /// @notice Each limit admits exactly its amount, and a unit more is refused by its name.
    function test_limits_to_the_unit() public {
        financed(confirmed(10_000), 1_000);
        uint256 id = confirmed(10_000);
        uint256 before = vm.snapshotState();

        vm.prank(admin);
        pool.admitBank(bank, 3_000);
        _refused(
            id, 2_001, abi.encodeWithSelector(IFinancingPool.BankLimit.selector, bank, uint256(3_001), uint96(3_000))
        );
        financed(id, 2_000);
        vm.revertToState(before);

        vm.prank(bank);
        pool.setDebtorLimit(debtor, 3_000);
        _refused(
            id,
            2_001,
            abi.encodeWithSelector(IFinancingPool.DebtorLimit.selector, bank, debtor, uint256(3_001), uint96(3_000))
        );
        financed(id, 2_000);
        vm.revertToState(before);

        vm.prank(bank);
        pool.setSupplierLimit(supplier, 3_000);
        _refused(
            id,
            2_001,
            abi.encodeWithSelector(IFinancingPool.SupplierLimit.selector, bank, supplier, uint256(3_001), uint96(3_000))
        );
        financed(id, 2_000);
    }

    /// @notice A limit of 0 admits nobody, whether it was never set or taken away.
    function test_limits_of_zero() public {
        uint256 id = confirmed(10_000);
        vm.prank(bank);
        pool.setDebtorLimit(debtor, 0);
        _refused(
            id, 100, abi.encodeWithSelector(IFinancingPool.DebtorLimit.selector, bank, debtor, uint256(100), uint96(0))
        );
        vm.startPrank(bank);
        pool.setDebtorLimit(debtor, 1e14);
        pool.setSupplierLimit(supplier, 0);
        vm.stopPrank();
        _refused(
            id,
            100,
            abi.encodeWithSelector(IFinancingPool.SupplierLimit.selector, bank, supplier, uint256(100), uint96(0))
        );
        vm.prank(admin);
        pool.admitBank(bank, 0);
        _refused(id, 100, abi.encodeWithSelector(IFinancingPool.BankNotAdmitted.selector, bank));
    }

    /// @notice A bank lends out its last unit of liquidity; of one more there is a lack.
    function test_limits_liquidity() public {
        uint256 id = confirmed(10_000);
        uint96 payout = 5_000 - pool.discountOf(5_000, 500, 90 days);
        vm.startPrank(bank);
        pool.withdraw(1e14 - payout + 1);
        vm.stopPrank();
        _refused(
            id, 5_000, abi.encodeWithSelector(IFinancingPool.LiquidityShort.selector, bank, uint256(payout), payout - 1)
        );
        vm.prank(bank);
        pool.deposit(1);
        financed(id, 5_000);
        eq(pool.bankOf(bank).liquidity, 0, "all lent");
    }

    /// @notice A limit below what is lent calls nothing back, and repayments free it again.
    function test_limits_are_released_by_repayments() public {
        uint256 id = confirmed(10_000);
        financed(id, 5_000);
        vm.prank(bank);
        pool.setDebtorLimit(debtor, 1_000);
        paid(id, 4_500);
        eq(pool.bankOf(bank).exposure, 500, "bank");
        eq(pool.debtorLine(bank, debtor).exposure, 500, "debtor");
        eq(pool.supplierLine(bank, supplier).exposure, 500, "supplier");
        uint256 second = confirmed(10_000);
        _refused(
            second,
            501,
            abi.encodeWithSelector(IFinancingPool.DebtorLimit.selector, bank, debtor, uint256(1_001), uint96(1_000))
        );
        financed(second, 500);
    }

    /// @notice The largest claim counts in full against a limit that has room for nothing more.
    function test_limits_do_not_wrap() public {
        vm.prank(admin);
        pool.admitBank(bank, type(uint96).max);
        financed(confirmed(10_000), 1_000);
        uint96 most = registry.MAX_FACE();
        uint256 id = confirmed(most);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        a.advanceCapBps = 10_000;
        a.rateBps = 0;
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(bank);
        pool.setTerms(IFinancingPool.Terms(10_000, 0, 0, 0));
        vm.prank(admin);
        pool.admitBank(bank, most);
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.BankLimit.selector, bank, uint256(most) + 1_000, most));
        pool.finance(id, most, a, signature);
    }

    /// @notice Bank, debtor and supplier are counted apart: one's exposure is not another's.
    function test_limits_are_counted_apart() public {
        uint256 key = 0xDEB2;
        address other = vm.addr(key);
        vm.prank(admin);
        registry.admitDebtor(other, true);
        vm.prank(bank);
        pool.setDebtorLimit(other, 1e14);
        _lend(debtor, DEBTOR_KEY, secondSupplier, 200);
        _lend(other, key, supplier, 300);
        _lend(debtor, DEBTOR_KEY, supplier, 500);
        eq(pool.bankOf(bank).exposure, 1_000, "bank");
        eq(pool.debtorLine(bank, debtor).exposure, 700, "debtor");
        eq(pool.debtorLine(bank, other).exposure, 300, "other debtor");
        eq(pool.supplierLine(bank, supplier).exposure, 800, "supplier");
        eq(pool.supplierLine(bank, secondSupplier).exposure, 200, "other supplier");
        paid(1, 1_000);
        paid(3, 100);
        eq(pool.bankOf(bank).exposure, 700, "bank after");
        eq(pool.debtorLine(bank, debtor).exposure, 400, "debtor after");
        eq(pool.debtorLine(bank, other).exposure, 300, "other debtor after");
        eq(pool.supplierLine(bank, supplier).exposure, 700, "supplier after");
        eq(pool.supplierLine(bank, secondSupplier).exposure, 0, "other supplier after");
    }

    function _lend(address debtor_, uint256 key, address supplier_, uint96 principal) private {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        (c.debtor, c.supplier) = (debtor_, supplier_);
        uint256 id = registry.confirm(c, signConfirmation(c, key));
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        a.subject = supplier_;
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier_);
        pool.finance(id, principal, a, signature);
    }
}
