// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors, IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IFinancingPool} from "../src/interfaces/IFinancingPool.sol";
import {IReceivableRegistry} from "../src/interfaces/IReceivableRegistry.sol";
import {IScoreAttestation} from "../src/interfaces/IScoreAttestation.sol";
import {Fixture} from "./base/Fixture.sol";

/// @dev Payments on financed leaves, and what comes due late. Bank terms: 10 % a year on what is
/// overdue, 1 % late fee after 10 days of grace.
contract FinancingPoolRepaymentTest is Fixture {
    uint256 private constant YEAR_BPS = 10_000 * 365 days;

    struct Owed {
        uint96 fee;
        uint96 interest;
        uint96 principal;
    }

    function _owed(uint256 id) private view returns (Owed memory owed) {
        (owed.fee, owed.interest, owed.principal) = pool.owedOn(id);
    }

    function _interest(uint256 principal, uint256 rate, uint256 elapsed) private pure returns (uint256) {
        return (principal * rate * elapsed + YEAR_BPS - 1) / YEAR_BPS;
    }

    // ---------------------------------------------------------------- in time

    /// @notice Before the due date, payments go to principal, and what is over to the supplier.
    function test_repay_in_time() public {
        uint256 id = confirmed(100_000);
        uint256 payout = financed(id, 70_000);
        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanRepaid(id, bank, 0, 0, 20_000, 0);
        paid(id, 20_000);
        eq(pool.loanOf(id).principal, 50_000, "principal");
        eq(pool.bankOf(bank).exposure, 50_000, "exposure");
        eq(pool.bankOf(bank).liquidity, 1e14 - payout + 20_000, "liquidity");
        eq(registry.ownerOf(id), address(pool), "still collateral");

        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanRepaid(id, bank, 0, 0, 50_000, 1_000);
        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanSettled(id, bank);
        paid(id, 51_000);
        yes(pool.loanOf(id).status == IFinancingPool.LoanStatus.Settled, "settled");
        eq(registry.ownerOf(id), supplier, "leaf came back");
        eq(token.balanceOf(supplier), payout + 1_000, "residual");
        eq(pool.bankOf(bank).liquidity, 1e14 + 864, "liquidity and discount");
        eq(pool.bankOf(bank).exposure, 0, "exposure");
        eq(pool.debtorLine(bank, debtor).exposure, 0, "debtor");
        eq(pool.supplierLine(bank, supplier).exposure, 0, "supplier");
        paid(id, 29_000);
        eq(token.balanceOf(supplier), payout + 30_000, "the rest is the supplier's");
    }

    /// @notice One payment of the whole face ends leaf and loan together.
    function test_repay_all_at_once() public {
        uint256 id = confirmed(100_000);
        uint256 payout = financed(id, 70_000);
        paid(id, 100_000);
        yes(pool.loanOf(id).status == IFinancingPool.LoanStatus.Settled, "settled");
        eq(token.balanceOf(supplier), payout + 30_000, "residual");
        vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, id));
        registry.ownerOf(id);
    }

    /// @notice A payment of exactly what is owed settles; one unit less does not.
    function test_repay_to_the_unit() public {
        uint256 id = confirmed(100_000);
        financed(id, 70_000);
        paid(id, 69_999);
        yes(pool.loanOf(id).status == IFinancingPool.LoanStatus.Open, "open");
        paid(id, 1);
        yes(pool.loanOf(id).status == IFinancingPool.LoanStatus.Settled, "settled");
        eq(registry.remainingOf(id), 30_000, "leaf lives");
    }

    /// @notice A leaf paid off without covering the loan leaves the loan open for the supplier to pay.
    function test_repay_all_of_the_leaf_but_not_of_the_loan() public {
        vm.prank(bank);
        pool.setTerms(IFinancingPool.Terms(10_000, 10_000, 10_000, 0));
        uint256 id = confirmed(100_000);
        financed(id, 80_000);
        vm.warp(registry.termsOf(id).dueDate + 365 days);
        paid(id, 100_000);
        // Fee 80,000, then 20,000 of the interest of 80,000.
        Owed memory owed = _owed(id);
        eq(owed.fee, 0, "fee paid");
        eq(owed.interest, 60_000, "interest open");
        eq(owed.principal, 80_000, "principal open");
        yes(pool.loanOf(id).status == IFinancingPool.LoanStatus.Open, "open");
        token.mint(supplier, 140_000);
        vm.prank(supplier);
        eq(pool.repurchase(id), 140_000, "paid off");
        yes(pool.loanOf(id).status == IFinancingPool.LoanStatus.Settled, "settled");
    }

    /// @notice Only the registry tells of payments.
    function test_on_payment_only_from_the_registry() public {
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.OnlyRegistry.selector, address(this)));
        pool.onPayment(1, 1, false, debtor, 1);
    }

    // ---------------------------------------------------------------- late

    /// @notice Late interest begins a second after the due date.
    function test_late_interest_begins_after_the_due_date() public {
        uint256 id = confirmed(100_000);
        financed(id, 70_000);
        uint40 due = registry.termsOf(id).dueDate;
        vm.warp(due - 1);
        eq(_owed(id).interest, 0, "before");
        vm.warp(due);
        eq(_owed(id).interest, 0, "at");
        vm.warp(due + 1);
        eq(_owed(id).interest, 1, "rounded up");
        vm.warp(due + 73 days);
        eq(_owed(id).interest, 1_400, "a fifth of a year at 10 %");
    }

    /// @notice The late fee comes due once, a second after the grace period, on the principal open then.
    function test_late_fee_comes_due_once() public {
        uint256 id = confirmed(100_000);
        financed(id, 70_050);
        uint256 end = uint256(registry.termsOf(id).dueDate) + 10 days;
        vm.warp(end);
        eq(_owed(id).fee, 0, "at the end of grace");
        vm.warp(end + 1);
        eq(_owed(id).fee, 701, "1 % of 70,050, rounded up");
        paid(id, 100);
        eq(_owed(id).fee, 601, "paid first");
        eq(pool.loanOf(id).feeDue, 601, "booked");
        eq(pool.loanOf(id).lateFeeBps, 0, "no second fee");
        vm.warp(end + 100 days);
        eq(_owed(id).fee, 601, "no second fee later");
    }

    /// @notice The smallest late fee there is comes due like any other.
    function test_late_fee_of_a_basis_point() public {
        vm.prank(bank);
        pool.setTerms(IFinancingPool.Terms(10_000, 0, 1, 0));
        uint256 id = confirmed(100_000);
        financed(id, 70_000);
        vm.warp(uint256(registry.termsOf(id).dueDate) + 1);
        eq(_owed(id).fee, 7, "a basis point");
        eq(_owed(id).interest, 0, "no penalty rate");
    }

    /// @notice What was repaid within grace bears no late fee.
    function test_late_fee_on_the_open_principal_only() public {
        uint256 id = confirmed(100_000);
        financed(id, 70_000);
        paid(id, 60_000);
        vm.warp(uint256(registry.termsOf(id).dueDate) + 10 days + 1);
        eq(_owed(id).fee, 100, "1 % of 10,000");
    }

    /// @notice Late payments go to fee, interest, principal, supplier: in that order, and said.
    function test_late_waterfall() public {
        uint256 id = confirmed(100_000);
        uint256 payout = financed(id, 70_000);
        vm.warp(uint256(registry.termsOf(id).dueDate) + 73 days);
        // Owed: fee 700, interest 1,400, principal 70,000.
        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanRepaid(id, bank, 500, 0, 0, 0);
        paid(id, 500);
        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanRepaid(id, bank, 200, 300, 0, 0);
        paid(id, 500);
        eq(pool.loanOf(id).interestDue, 1_100, "interest open");
        eq(pool.bankOf(bank).exposure, 70_000, "principal untouched");
        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanRepaid(id, bank, 0, 1_100, 900, 0);
        paid(id, 2_000);
        eq(pool.bankOf(bank).exposure, 69_100, "principal");
        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanRepaid(id, bank, 0, 0, 69_100, 900);
        paid(id, 70_000);
        eq(pool.bankOf(bank).liquidity, 1e14 - payout + 72_100, "liquidity");
        eq(token.balanceOf(supplier), payout + 900, "residual");
        eq(registry.remainingOf(id), 27_000, "what the supplier still gets");
        eq(registry.ownerOf(id), supplier, "leaf came back");
    }

    /// @notice Interest runs on from the last booking, on what is open then.
    function test_late_interest_runs_on_the_open_principal() public {
        uint256 id = confirmed(100_000);
        financed(id, 70_000);
        uint256 due = registry.termsOf(id).dueDate;
        vm.warp(due + 73 days);
        paid(id, 700 + 1_400 + 35_000);
        eq(pool.loanOf(id).accruedAt, due + 73 days, "booked");
        vm.warp(due + 146 days);
        eq(_owed(id).interest, 700, "a fifth of a year on the half");
        eq(_owed(id).principal, 35_000, "principal");
    }

    /// @notice Nobody owes anything on what was never lent.
    function test_owed_on_nothing() public view {
        Owed memory owed = _owed(99);
        eq(uint256(owed.fee) + owed.interest + owed.principal, 0, "nothing");
    }

    /// @notice Whatever is paid whenever: waterfall order, conservation and books hold.
    function testFuzz_waterfall(uint96 principal, uint96 amount, uint32 late) public {
        principal = uint96(within(principal, 100, 80_000));
        amount = uint96(within(amount, 1, 100_000));
        uint256 id = confirmed(100_000);
        uint256 payout = financed(id, principal);
        vm.warp(uint256(registry.termsOf(id).dueDate) - 10 days + within(late, 0, 500 days));
        uint256 elapsed =
            block.timestamp > registry.termsOf(id).dueDate ? block.timestamp - registry.termsOf(id).dueDate : 0;
        uint256 fee = elapsed > 10 days ? (uint256(principal) * 100 + 9_999) / 10_000 : 0;
        uint256 interest = _interest(principal, 1_000, elapsed);
        Owed memory owed = _owed(id);
        eq(owed.fee, fee, "fee");
        eq(owed.interest, interest, "interest");
        eq(owed.principal, principal, "principal");

        uint256 left = amount;
        uint256 toFee = left < fee ? left : fee;
        left -= toFee;
        uint256 toInterest = left < interest ? left : interest;
        left -= toInterest;
        uint256 toPrincipal = left < principal ? left : principal;
        left -= toPrincipal;
        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanRepaid(id, bank, uint96(toFee), uint96(toInterest), uint96(toPrincipal), uint96(left));
        paid(id, amount);
        owed = _owed(id);
        eq(owed.fee, fee - toFee, "fee left");
        eq(owed.interest, interest - toInterest, "interest left");
        eq(owed.principal, principal - toPrincipal, "principal left");
        eq(pool.bankOf(bank).exposure, principal - toPrincipal, "exposure");
        eq(pool.bankOf(bank).liquidity, 1e14 - payout + amount - left, "liquidity");
        eq(token.balanceOf(supplier), payout + left, "supplier");
        bool over = uint256(amount) >= fee + interest + principal;
        yes((pool.loanOf(id).status == IFinancingPool.LoanStatus.Settled) == over, "settled when nothing is owed");
        eq(
            token.balanceOf(address(pool)),
            uint256(pool.bankOf(bank).liquidity) + pool.bankOf(secondBank).liquidity,
            "cash is liquidity"
        );
    }

    /// @notice Paid at one time, any instalments book the same as one payment of their sum.
    function testFuzz_instalments_at_one_time(uint96 amount, uint96 first, uint96 second, uint32 late) public {
        amount = uint96(within(amount, 3, 99_999));
        first = uint96(within(first, 1, amount - 2));
        second = uint96(within(second, 1, amount - first - 1));
        uint256 id = confirmed(100_000);
        financed(id, 70_000);
        vm.warp(uint256(registry.termsOf(id).dueDate) - 1 days + within(late, 0, 400 days));
        uint256 before = vm.snapshotState();
        paid(id, amount);
        Owed memory once = _owed(id);
        (uint256 liquidity, uint256 cash) = (pool.bankOf(bank).liquidity, token.balanceOf(supplier));
        vm.revertToState(before);
        paid(id, first);
        paid(id, second);
        paid(id, amount - first - second);
        Owed memory thrice = _owed(id);
        eq(thrice.fee, once.fee, "fee");
        eq(thrice.interest, once.interest, "interest");
        eq(thrice.principal, once.principal, "principal");
        eq(pool.bankOf(bank).liquidity, liquidity, "liquidity");
        eq(token.balanceOf(supplier), cash, "supplier");
    }

    /// @notice Bookings in between add at most one unit of interest each, for the bank, and never take any.
    function testFuzz_bookings_round_by_a_unit(uint32 first, uint32 second) public {
        uint256 id = confirmed(1e12);
        financed(id, 7e11);
        uint256 due = registry.termsOf(id).dueDate;
        uint256 early = within(first, 1, 200 days);
        uint256 late = early + within(second, 1, 200 days);
        vm.warp(due + early);
        // The fee first, so that the instalment is one of interest, which bears none.
        uint96 part = _owed(id).fee + 1;
        paid(id, part);
        vm.warp(due + late);
        Owed memory owed = _owed(id);
        uint256 interest = uint256(owed.interest) + owed.fee + part - 7e9 * (late > 10 days ? 1 : 0);
        uint256 exact = _interest(7e11, 1_000, late);
        yes(interest >= exact && interest <= exact + 1, "within a unit");
    }

    /// @notice Interest of ages on the largest claim fits its bits: even then a payment goes through.
    function test_late_interest_never_stops_a_payment() public {
        vm.prank(admin);
        pool.admitBank(bank, type(uint96).max);
        token.mint(bank, type(uint96).max);
        vm.startPrank(bank);
        pool.setTerms(IFinancingPool.Terms(10_000, 10_000, 10_000, 0));
        pool.setDebtorLimit(debtor, type(uint96).max);
        pool.setSupplierLimit(supplier, type(uint96).max);
        pool.deposit(1 << 95);
        vm.stopPrank();
        uint256 id = confirmed(registry.MAX_FACE());
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        a.advanceCapBps = 10_000;
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier);
        pool.finance(id, 1 << 62, a, signature);
        uint256 due = registry.termsOf(id).dueDate;
        for (uint256 year = 1; year < 4; ++year) {
            vm.warp(due + year * 1_000 * 365 days);
            paid(id, 1);
        }
        Owed memory owed = _owed(id);
        eq(owed.interest, 3_000 << 62, "three thousand years at 100 %");
        eq(owed.fee, (1 << 62) - 3, "fee is paid first");
    }

    // ---------------------------------------------------------------- repurchase

    /// @notice The supplier pays a loan off, gets the leaf back, and it is said.
    function test_repurchase() public {
        uint256 id = confirmed(100_000);
        uint256 payout = financed(id, 70_000);
        vm.warp(uint256(registry.termsOf(id).dueDate) + 73 days);
        token.mint(supplier, 10_000);
        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanRepurchased(id, supplier, 72_100);
        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanSettled(id, bank);
        vm.prank(supplier);
        eq(pool.repurchase(id), 72_100, "amount");
        eq(registry.ownerOf(id), supplier, "leaf came back");
        eq(token.balanceOf(supplier), payout + 10_000 - 72_100, "paid");
        eq(pool.bankOf(bank).liquidity, 1e14 - payout + 72_100, "liquidity");
        eq(pool.bankOf(bank).exposure, 0, "exposure");
        eq(pool.debtorLine(bank, debtor).exposure, 0, "debtor");
        eq(pool.supplierLine(bank, supplier).exposure, 0, "supplier");
        IFinancingPool.Loan memory loan = pool.loanOf(id);
        eq(uint256(loan.principal) + loan.interestDue + loan.feeDue, 0, "nothing owed");
    }

    /// @notice Only the supplier buys back, only what is lent on, and only once.
    function test_repurchase_refusals() public {
        uint256 id = confirmed(100_000);
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.LoanNotOpen.selector, id, IFinancingPool.LoanStatus.None));
        pool.repurchase(id);
        financed(id, 70_000);
        vm.prank(secondSupplier);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.NotTheSupplier.selector, id, secondSupplier));
        pool.repurchase(id);
        vm.prank(supplier);
        vm.expectRevert(
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientBalance.selector, supplier, uint256(69_136), uint256(70_000)
            )
        );
        pool.repurchase(id);
        token.mint(supplier, 1_000);
        vm.startPrank(supplier);
        pool.repurchase(id);
        vm.expectRevert(
            abi.encodeWithSelector(IFinancingPool.LoanNotOpen.selector, id, IFinancingPool.LoanStatus.Settled)
        );
        pool.repurchase(id);
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- held payments

    /// @notice Who has nothing held takes nothing.
    function test_take_nothing() public {
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.NothingHeld.selector, supplier));
        pool.takeHeldPayment(supplier);
    }

    /// @notice A payment with nothing over for the supplier transfers nothing to it.
    function test_no_residual_no_transfer() public {
        uint256 id = confirmed(100_000);
        financed(id, 70_000);
        vm.recordLogs();
        paid(id, 100);
        // Paid and repaid, and one transfer.
        eq(vm.getRecordedLogs().length, 3, "logs");
    }
}
