// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFinancingPool} from "../src/interfaces/IFinancingPool.sol";
import {IScoreAttestation} from "../src/interfaces/IScoreAttestation.sol";
import {Fixture} from "./base/Fixture.sol";

/// @dev Default, recourse, write-off and recoveries. Grace is 10 days.
contract FinancingPoolDefaultTest is Fixture {
    function _overdue(uint96 principal, bool recourse) private returns (uint256 id) {
        id = _lent(principal, recourse);
        vm.warp(uint256(registry.termsOf(id).dueDate) + 10 days + 1);
    }

    function _lent(uint96 principal, bool recourse) private returns (uint256 id) {
        id = confirmed(100_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        a.recourse = recourse;
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier);
        pool.finance(id, principal, a, signature);
    }

    function _defaulted(uint96 principal, bool recourse) private returns (uint256 id) {
        id = _overdue(principal, recourse);
        vm.prank(bank);
        pool.declareDefault(id);
    }

    function _writtenOff(uint96 principal, bool recourse) private returns (uint256 id) {
        id = _defaulted(principal, recourse);
        vm.prank(bank);
        pool.writeOff(id);
    }

    function _notOpen(uint256 id, IFinancingPool.LoanStatus status) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IFinancingPool.LoanNotOpen.selector, id, status);
    }

    // ---------------------------------------------------------------- default

    /// @notice A default is declared from the second after the grace period on, and said.
    function test_default_after_grace() public {
        uint256 id = _lent(70_000, true);
        uint256 end = uint256(registry.termsOf(id).dueDate) + 10 days;
        vm.startPrank(bank);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.TooEarlyToDefault.selector, id, end + 1));
        pool.declareDefault(id);
        vm.warp(end);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.TooEarlyToDefault.selector, id, end + 1));
        pool.declareDefault(id);
        vm.warp(end + 1);
        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanDefaulted(id, bank, 70_000);
        pool.declareDefault(id);
        vm.stopPrank();
        yes(pool.loanOf(id).status == IFinancingPool.LoanStatus.Defaulted, "defaulted");
        eq(pool.supplierLine(bank, supplier).recourse, 1, "recourse counted");
        eq(pool.bankOf(bank).exposure, 70_000, "still exposed");
    }

    /// @notice Only the bank declares, only an open loan, and once.
    function test_default_refusals() public {
        vm.expectRevert(_notOpen(99, IFinancingPool.LoanStatus.None));
        pool.declareDefault(99);
        uint256 id = _overdue(70_000, true);
        vm.prank(secondBank);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.NotTheBank.selector, id, secondBank));
        pool.declareDefault(id);
        vm.startPrank(bank);
        pool.declareDefault(id);
        vm.expectRevert(_notOpen(id, IFinancingPool.LoanStatus.Defaulted));
        pool.declareDefault(id);
        vm.stopPrank();
    }

    /// @notice Interest runs on after a default, and payments still go by the waterfall.
    function test_default_accrues_on() public {
        uint256 id = _defaulted(70_000, false);
        uint256 due = registry.termsOf(id).dueDate;
        vm.warp(due + 73 days);
        (uint96 fee, uint96 interest, uint96 principal) = pool.owedOn(id);
        eq(fee, 700, "fee");
        eq(interest, 1_400, "interest");
        eq(principal, 70_000, "principal");
        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanRepaid(id, bank, 700, 1_400, 70_000, 0);
        paid(id, 72_100);
        yes(pool.loanOf(id).status == IFinancingPool.LoanStatus.Settled, "settled");
        eq(pool.bankOf(bank).exposure, 0, "exposure");
    }

    // ---------------------------------------------------------------- recourse

    /// @notice While loans with recourse are in default, their bank lends that supplier nothing.
    function test_recourse_stops_new_loans() public {
        uint256 first = _lent(10_000, true);
        uint256 second = _defaulted(20_000, true);
        vm.prank(bank);
        pool.declareDefault(first);
        uint256 id = confirmed(1_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.RecourseOpen.selector, supplier, uint64(2)));
        pool.finance(id, 100, a, signature);
        a.bank = secondBank;
        bytes memory others = signAttestation(a, SECOND_SIGNER_KEY);
        uint256 before = vm.snapshotState();
        vm.prank(supplier);
        pool.finance(id, 100, a, others);
        vm.revertToState(before);
        a.bank = bank;

        token.mint(supplier, 1_000_000);
        vm.prank(supplier);
        pool.repurchase(first);
        eq(pool.supplierLine(bank, supplier).recourse, 1, "one left");
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.RecourseOpen.selector, supplier, uint64(1)));
        pool.finance(id, 100, a, signature);
        paid(second, 100_000);
        eq(pool.supplierLine(bank, supplier).recourse, 0, "none left");
        vm.prank(supplier);
        pool.finance(id, 100, a, signature);
    }

    /// @notice A default without recourse is not the supplier's.
    function test_default_without_recourse() public {
        uint256 id = _defaulted(70_000, false);
        eq(pool.supplierLine(bank, supplier).recourse, 0, "not counted");
        financed(confirmed(1_000), 100);
        paid(id, 100_000);
        eq(pool.supplierLine(bank, supplier).recourse, 0, "still not");
    }

    /// @notice A loan with recourse that never defaulted takes none off the count.
    function test_recourse_counts_defaults_only() public {
        uint256 good = _lent(10_000, true);
        _defaulted(20_000, true);
        paid(good, 100_000);
        eq(pool.supplierLine(bank, supplier).recourse, 1, "one in default");
    }

    // ---------------------------------------------------------------- write-off

    /// @notice A write-off books what came due, frees the limits, stops the interest, and is said.
    function test_write_off() public {
        uint256 id = _defaulted(70_000, true);
        uint256 due = registry.termsOf(id).dueDate;
        vm.warp(due + 73 days);
        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanWrittenOff(id, bank, 70_000);
        vm.prank(bank);
        pool.writeOff(id);
        IFinancingPool.Loan memory loan = pool.loanOf(id);
        yes(loan.status == IFinancingPool.LoanStatus.WrittenOff, "written off");
        eq(loan.feeDue, 700, "fee");
        eq(loan.interestDue, 1_400, "interest");
        eq(loan.principal, 70_000, "principal");
        eq(pool.bankOf(bank).exposure, 0, "exposure");
        eq(pool.debtorLine(bank, debtor).exposure, 0, "debtor");
        eq(pool.supplierLine(bank, supplier).exposure, 0, "supplier");
        eq(pool.supplierLine(bank, supplier).recourse, 1, "recourse stays");
        eq(registry.ownerOf(id), address(pool), "leaf stays");
        vm.warp(due + 500 days);
        (uint96 fee, uint96 interest, uint96 principal) = pool.owedOn(id);
        eq(uint256(fee) + interest + principal, 72_100, "no more comes due");
    }

    /// @notice Only the bank writes off, only what is in default, and once.
    function test_write_off_refusals() public {
        vm.expectRevert(_notOpen(99, IFinancingPool.LoanStatus.None));
        pool.writeOff(99);
        uint256 id = _overdue(70_000, true);
        vm.startPrank(bank);
        vm.expectRevert(_notOpen(id, IFinancingPool.LoanStatus.Open));
        pool.writeOff(id);
        pool.declareDefault(id);
        vm.stopPrank();
        vm.prank(secondBank);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.NotTheBank.selector, id, secondBank));
        pool.writeOff(id);
        vm.startPrank(bank);
        pool.writeOff(id);
        vm.expectRevert(_notOpen(id, IFinancingPool.LoanStatus.WrittenOff));
        pool.writeOff(id);
        vm.expectRevert(_notOpen(id, IFinancingPool.LoanStatus.WrittenOff));
        pool.declareDefault(id);
        vm.stopPrank();
    }

    /// @notice What the debtor pays after a write-off is the bank's recovery, and beyond it the supplier's.
    function test_recovery_from_the_debtor() public {
        uint256 id = _writtenOff(70_000, true);
        (uint96 fee, uint96 interest,) = pool.owedOn(id);
        uint256 liquidity = pool.bankOf(bank).liquidity;
        uint256 cash = token.balanceOf(supplier);
        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanRecovered(id, bank, 30_000, 0);
        paid(id, 30_000);
        eq(pool.loanOf(id).principal, 70_000 + fee + interest - 30_000, "principal");
        uint96 rest = 70_000 + fee + interest - 30_000;
        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanRecovered(id, bank, rest, 5);
        vm.expectEmit(address(pool));
        emit IFinancingPool.LoanSettled(id, bank);
        paid(id, rest + 5);
        eq(pool.bankOf(bank).liquidity, liquidity + 70_000 + fee + interest, "liquidity");
        eq(token.balanceOf(supplier), cash + 5, "residual");
        eq(pool.supplierLine(bank, supplier).recourse, 0, "recourse ended");
        eq(pool.bankOf(bank).exposure, 0, "exposure");
        eq(registry.ownerOf(id), supplier, "leaf came back");
    }

    /// @notice The supplier buys a written-off loan back at what was owed then.
    function test_recovery_from_the_supplier() public {
        uint256 id = _writtenOff(70_000, true);
        (uint96 fee, uint96 interest,) = pool.owedOn(id);
        token.mint(supplier, 10_000);
        vm.warp(block.timestamp + 100 days);
        vm.prank(supplier);
        eq(pool.repurchase(id), 70_000 + fee + interest, "amount");
        eq(pool.supplierLine(bank, supplier).recourse, 0, "recourse ended");
        eq(pool.bankOf(bank).exposure, 0, "exposure");
        eq(registry.ownerOf(id), supplier, "leaf came back");
    }

    /// @notice A write-off right at the default's second books the fee and no double interest.
    function testFuzz_write_off_books_once(uint32 declared, uint32 written) public {
        uint256 id = _lent(70_000, false);
        uint256 end = uint256(registry.termsOf(id).dueDate) + 10 days;
        uint256 moment = end + within(declared, 1, 200 days);
        vm.warp(moment);
        vm.prank(bank);
        pool.declareDefault(id);
        moment += within(written, 0, 200 days);
        vm.warp(moment);
        vm.prank(bank);
        pool.writeOff(id);
        (uint96 fee, uint96 interest, uint96 principal) = pool.owedOn(id);
        uint256 year = 10_000 * 365 days;
        eq(fee, 700, "fee");
        eq(interest, (uint256(70_000) * 1_000 * (moment - end + 10 days) + year - 1) / year, "interest");
        eq(principal, 70_000, "principal");
    }
}
