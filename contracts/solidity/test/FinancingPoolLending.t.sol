// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {FinancingPool} from "../src/FinancingPool.sol";
import {IFinancingPool} from "../src/interfaces/IFinancingPool.sol";
import {IReceivableRegistry} from "../src/interfaces/IReceivableRegistry.sol";
import {IScoreAttestation} from "../src/interfaces/IScoreAttestation.sol";
import {Fixture} from "./base/Fixture.sol";
import {MockDepositToken} from "./mocks/MockDepositToken.sol";

/// @dev How a receivable is lent on.
contract FinancingPoolLendingTest is Fixture {
    function _refused(uint256 id, uint96 principal, bytes memory error_) private {
        _refused(id, principal, attestation(id, address(pool)), error_);
    }

    function _refused(uint256 id, uint96 principal, IScoreAttestation.Attestation memory a, bytes memory error_)
        private
    {
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier);
        vm.expectRevert(error_);
        pool.finance(id, principal, a, signature);
    }

    function _finance(uint256 id, uint96 principal, IScoreAttestation.Attestation memory a) private returns (uint96) {
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier);
        return pool.finance(id, principal, a, signature);
    }

    // ---------------------------------------------------------------- what is booked

    /// @notice An advance moves leaf, cash and limits in one transaction, and says so.
    function test_finance_books_everything() public {
        uint256 id = confirmed(100_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        uint40 due = uint40(block.timestamp + 90 days);
        // 70,000 x 5 % x 90 / 365 = 863.01, rounded up.
        vm.expectEmit(address(pool));
        emit IFinancingPool.ReceivableFinanced(id, bank, supplier, debtor, 70_000, 864, 500, due, a.nonce, true);
        vm.prank(supplier);
        eq(pool.finance(id, 70_000, a, signature), 69_136, "payout");

        eq(token.balanceOf(supplier), 69_136, "cash of the supplier");
        eq(token.balanceOf(address(pool)), 2e14 - 69_136, "cash of the pool");
        eq(registry.ownerOf(id), address(pool), "collateral");
        yes(attestations.isUsed(bank, a.nonce), "used up");
        IFinancingPool.BankAccount memory account = pool.bankOf(bank);
        eq(account.liquidity, 1e14 - 69_136, "liquidity");
        eq(account.exposure, 70_000, "exposure");
        eq(pool.debtorLine(bank, debtor).exposure, 70_000, "to the debtor");
        eq(pool.supplierLine(bank, supplier).exposure, 70_000, "to the supplier");
        eq(pool.bankOf(secondBank).exposure, 0, "not the other bank's");

        IFinancingPool.Loan memory loan = pool.loanOf(id);
        eq(loan.bank, bank, "bank");
        eq(loan.supplier, supplier, "supplier");
        eq(loan.dueDate, due, "due");
        eq(loan.accruedAt, due, "accrues from then");
        eq(loan.graceSeconds, 10 days, "grace");
        eq(loan.penaltyRateBps, 1_000, "penalty");
        eq(loan.lateFeeBps, 100, "late fee");
        eq(loan.principal, 70_000, "principal");
        eq(uint256(loan.interestDue) + loan.feeDue, 0, "nothing else");
        yes(loan.recourse, "recourse");
        yes(loan.status == IFinancingPool.LoanStatus.Open, "open");
        (uint96 fee, uint96 interest, uint96 principal) = pool.owedOn(id);
        eq(uint256(fee) + interest, 0, "nothing late");
        eq(principal, 70_000, "owed");
    }

    /// @notice A loan keeps its terms when the bank changes them, and one without recourse says so.
    function test_finance_keeps_the_terms_of_its_day() public {
        uint256 id = confirmed(100_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        a.recourse = false;
        _finance(id, 70_000, a);
        vm.prank(bank);
        pool.setTerms(IFinancingPool.Terms(1, 2, 3, 0));
        IFinancingPool.Loan memory loan = pool.loanOf(id);
        eq(loan.graceSeconds, 10 days, "grace");
        eq(loan.penaltyRateBps, 1_000, "penalty");
        eq(loan.lateFeeBps, 100, "late fee");
        yes(!loan.recourse, "no recourse");
    }

    /// @notice Advances add up on every limit, and each bank's are its own.
    function test_finance_adds_up() public {
        financed(confirmed(1_000), 500);
        financed(confirmed(1_000), 300);
        uint256 id = confirmed(1_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        a.bank = secondBank;
        bytes memory signature = signAttestation(a, SECOND_SIGNER_KEY);
        vm.prank(supplier);
        pool.finance(id, 700, a, signature);
        eq(pool.bankOf(bank).exposure, 800, "first bank");
        eq(pool.debtorLine(bank, debtor).exposure, 800, "its debtor");
        eq(pool.supplierLine(bank, supplier).exposure, 800, "its supplier");
        eq(pool.bankOf(secondBank).exposure, 700, "second bank");
        eq(pool.debtorLine(secondBank, debtor).exposure, 700, "its debtor");
    }

    /// @notice Before an order contract is set, a pool lends without asking about orders.
    function test_finance_without_orders() public {
        pool = new FinancingPool(address(registry), address(attestations), address(token), admin, 1 days);
        vm.startPrank(admin);
        pool.admitBank(bank, 1e15);
        registry.admitPool(address(pool));
        vm.stopPrank();
        vm.startPrank(bank);
        token.approve(address(pool), 1e15);
        pool.deposit(1_000);
        pool.setTerms(IFinancingPool.Terms(10_000, 0, 0, 0));
        pool.setDebtorLimit(debtor, 1_000);
        pool.setSupplierLimit(supplier, 1_000);
        vm.stopPrank();
        vm.prank(supplier);
        registry.setApprovalForAll(address(pool), true);
        yes(financed(confirmed(1_000), 500) > 490, "payout");
    }

    /// @notice A leaf that came back after its loan is lent on once more, with a decision of its own.
    function test_finance_again_after_settlement() public {
        uint256 id = confirmed(1_000);
        financed(id, 500);
        paid(id, 600);
        eq(registry.ownerOf(id), supplier, "came back");
        _refused(id, 321, abi.encodeWithSelector(IFinancingPool.AdvanceOverCap.selector, 321, 320));
        financed(id, 320);
        eq(pool.loanOf(id).principal, 320, "second loan");
        eq(pool.bankOf(bank).exposure, 320, "exposure");
    }

    // ---------------------------------------------------------------- what is refused

    /// @notice Nothing is not lent.
    function test_finance_refuses_zero() public {
        _refused(confirmed(1_000), 0, abi.encodeWithSelector(IFinancingPool.ZeroAmount.selector));
    }

    /// @notice A leaf is lent on once at a time.
    function test_finance_refuses_twice() public {
        uint256 id = confirmed(1_000);
        financed(id, 100);
        _refused(id, 100, abi.encodeWithSelector(IFinancingPool.AlreadyFinanced.selector, id));
    }

    /// @notice What is not there, has ended or is in dispute is not lent on.
    function test_finance_only_a_live_leaf() public {
        _refused(99, 100, abi.encodeWithSelector(IFinancingPool.NotFinanceable.selector, 99));
        uint256 id = confirmed(1_000);
        paid(id, 1_000);
        _refused(id, 100, abi.encodeWithSelector(IFinancingPool.NotFinanceable.selector, id));
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.disputeWindow = 1 days;
        id = registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
        vm.prank(debtor);
        registry.dispute(id, "");
        vm.warp(block.timestamp + 2 days);
        _refused(id, 100, abi.encodeWithSelector(IFinancingPool.NotFinanceable.selector, id));
    }

    /// @notice Only the holder of a leaf is lent money on it.
    function test_finance_only_for_the_holder() public {
        uint256 id = confirmed(1_000);
        vm.prank(supplier);
        registry.transferFrom(supplier, secondSupplier, id);
        _refused(id, 100, abi.encodeWithSelector(IFinancingPool.NotHolder.selector, id, supplier));
    }

    /// @notice A claim in another token is not lent on.
    function test_finance_refuses_another_token() public {
        MockDepositToken other = new MockDepositToken("Other", "OTH", 2);
        vm.prank(admin);
        registry.admitToken(address(other), true, 0);
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.token = address(other);
        uint256 id = registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
        _refused(id, 100, abi.encodeWithSelector(IFinancingPool.WrongToken.selector, address(token), address(other)));
    }

    /// @notice A claim is lent on from the second on in which it can't be disputed any more.
    function test_finance_after_the_dispute_window() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.disputeWindow = 5 days;
        uint256 id = registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
        uint40 until = uint40(block.timestamp + 5 days);
        vm.warp(until - 1);
        _refused(id, 100, abi.encodeWithSelector(IFinancingPool.DisputeWindowOpen.selector, id, until));
        vm.warp(until);
        financed(id, 100);
    }

    /// @notice A claim is lent on until a second before it is due.
    function test_finance_before_the_due_date() public {
        uint256 id = confirmed(1_000);
        uint40 due = registry.termsOf(id).dueDate;
        vm.warp(due);
        _refused(id, 100, abi.encodeWithSelector(IFinancingPool.DueDatePassed.selector, due));
        vm.warp(due + 1);
        _refused(id, 100, abi.encodeWithSelector(IFinancingPool.DueDatePassed.selector, due));
        vm.warp(due - 1);
        eq(financed(id, 100), 99, "a second's discount rounds up to one");
    }

    /// @notice A decision is about this supplier and this claim.
    function test_finance_refuses_another_attestation() public {
        uint256 id = confirmed(1_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        a.subject = secondSupplier;
        _refused(id, 100, a, abi.encodeWithSelector(IFinancingPool.AttestationMismatch.selector));
        a = attestation(id + 1, address(pool));
        _refused(id, 100, a, abi.encodeWithSelector(IFinancingPool.AttestationMismatch.selector));
    }

    /// @notice The attestation contract's own checks stand: consumer, signature, single use.
    function test_finance_uses_the_attestation_up() public {
        uint256 id = confirmed(1_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(orders));
        _refused(
            id, 100, a, abi.encodeWithSelector(IScoreAttestation.WrongConsumer.selector, address(orders), address(pool))
        );
        a = attestation(id, address(pool));
        bytes memory forged = signAttestation(a, SUPPLIER_KEY);
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IScoreAttestation.SignerUnknown.selector, bank, supplier));
        pool.finance(id, 100, a, forged);
        _finance(id, 100, a);
        paid(id, 200);
        _refused(id, 100, a, abi.encodeWithSelector(IScoreAttestation.NonceUsed.selector, bank, a.nonce));
    }

    /// @notice The advance is at most the decision's share of what remains.
    function test_finance_cap_of_the_attestation() public {
        uint256 id = confirmed(100_001);
        paid(id, 10_000);
        vm.prank(supplier);
        registry.credit(id, 20_000);
        _refused(id, 56_001, abi.encodeWithSelector(IFinancingPool.AdvanceOverCap.selector, 56_001, 56_000));
        financed(id, 56_000);
    }

    /// @notice The advance is at most the bank's own share, where that is lower.
    function test_finance_cap_of_the_bank() public {
        uint256 id = confirmed(100_001);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        a.advanceCapBps = 10_000;
        _refused(id, 90_001, a, abi.encodeWithSelector(IFinancingPool.AdvanceOverCap.selector, 90_001, 90_000));
        _finance(id, 90_000, a);
    }

    /// @notice What the discount would eat up is not lent.
    function test_finance_refuses_a_discount_that_takes_all() public {
        uint256 id = confirmed(1_000);
        _refused(id, 1, abi.encodeWithSelector(IFinancingPool.DiscountTakesAll.selector, 1, 1));
        eq(financed(id, 2), 1, "one is left of two");
        id = confirmed(100_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        a.rateBps = type(uint16).max;
        // 655.35 % a year over 90 days takes 161.6 %.
        _refused(id, 1_000, a, abi.encodeWithSelector(IFinancingPool.DiscountTakesAll.selector, 1_616, 1_000));
    }

    /// @notice While an advance on an order is open, the pool lends on none of the same two's invoices.
    function test_finance_refuses_while_an_order_advance_is_open() public {
        uint256 id = confirmed(1_000);
        uint256 order = opened(10_000, 5_000);
        drawn(order, 1);
        _refused(id, 100, abi.encodeWithSelector(IFinancingPool.OrderAdvanceOpen.selector, supplier, debtor));
        vm.prank(supplier);
        orders.repay(order, 1);
        financed(id, 100);
    }

    /// @notice A holder that did not approve the pool keeps its leaf and gets no money.
    function test_finance_needs_approval() public {
        uint256 id = confirmed(1_000);
        vm.prank(supplier);
        registry.setApprovalForAll(address(pool), false);
        _refused(id, 100, abi.encodeWithSelector(IERC721Errors.ERC721InsufficientApproval.selector, address(pool), id));
    }

    // ---------------------------------------------------------------- discount

    /// @notice The discount is the exact quotient, or the next unit above it: never below.
    function testFuzz_discount_rounds_up(uint96 principal, uint16 rate, uint32 elapsed) public view {
        uint256 exact = uint256(principal) * rate * elapsed;
        uint256 year = uint256(10_000) * 31_536_000;
        uint256 discount = pool.discountOf(principal, rate, elapsed);
        if (exact / year >= type(uint96).max) {
            eq(discount, type(uint96).max, "at most what fits");
            return;
        }
        yes(discount * year >= exact, "not below");
        yes(discount == 0 || (discount - 1) * year < exact, "less than a unit above");
    }

    /// @notice The discount's known values: a whole year, a whole quotient, one second.
    function test_discount_values() public view {
        eq(pool.discountOf(10_000, 500, 365 days), 500, "a year at 5 %");
        eq(pool.discountOf(10_000, 500, 365 days + 1), 501, "a second more");
        eq(pool.discountOf(10_000, 500, 365 days - 1), 500, "a second less");
        eq(pool.discountOf(1, 1, 1), 1, "the least");
        eq(pool.discountOf(10_000, 0, 365 days), 0, "no rate");
        eq(pool.discountOf(10_000, 500, 0), 0, "no time");
        eq(pool.discountOf(type(uint96).max, 10_000, 365 days), type(uint96).max, "all of it");
        eq(pool.discountOf(type(uint96).max, 10_001, 365 days), type(uint96).max, "at most what fits");
    }

    /// @notice Whatever is lent: payout and discount are the principal, and bank and pool agree.
    function testFuzz_finance_conserves(uint96 face, uint96 principal, uint16 rate, uint32 wait) public {
        face = uint96(within(face, 1_000, 1e14));
        principal = uint96(within(principal, 500, uint256(face) * 8_000 / 10_000));
        rate = uint16(within(rate, 0, 10_000));
        uint256 id = confirmed(face);
        vm.warp(block.timestamp + within(wait, 0, 90 days - 1));
        uint256 left = registry.termsOf(id).dueDate - block.timestamp;
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        a.rateBps = rate;
        uint256 payout = _finance(id, principal, a);
        uint256 discount = (uint256(principal) * rate * left + 315_360_000_000 - 1) / 315_360_000_000;
        eq(payout, principal - discount, "payout");
        eq(token.balanceOf(supplier), payout, "cash of the supplier");
        eq(pool.bankOf(bank).liquidity, 1e14 - payout, "liquidity");
        eq(
            token.balanceOf(address(pool)),
            uint256(pool.bankOf(bank).liquidity) + pool.bankOf(secondBank).liquidity,
            "cash is liquidity"
        );
    }
}
