// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFinancingPool} from "../src/interfaces/IFinancingPool.sol";
import {IOrderFinancing} from "../src/interfaces/IOrderFinancing.sol";
import {IReceivableRegistry} from "../src/interfaces/IReceivableRegistry.sol";
import {IScoreAttestation} from "../src/interfaces/IScoreAttestation.sol";
import {Fixture} from "./base/Fixture.sol";

/// @dev How an advance on an order ends: paid back, turned into an invoice, or lost.
contract OrderFinancingRepaymentTest is Fixture {
    function _advanced(uint96 amount) private returns (uint256 id) {
        id = opened(100_000, 80_000);
        delivered(id, 100_000);
        drawn(id, amount);
        token.mint(supplier, 100_000);
    }

    function _status(uint256 id, IOrderFinancing.OrderStatus status) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IOrderFinancing.WrongStatus.selector, id, status);
    }

    function _repaid(uint256 id, uint96 amount) private {
        vm.prank(supplier);
        orders.repay(id, amount);
    }

    function _defaulted(uint96 amount) private returns (uint256 id) {
        id = _advanced(amount);
        vm.warp(uint256(orders.orderOf(id).deliverBy) + 10 days + 1);
        vm.prank(bank);
        orders.declareDefault(id);
    }

    struct Conversion {
        IReceivableRegistry.Confirmation confirmation;
        bytes consent;
        uint96 principal;
        IScoreAttestation.Attestation attestation;
        bytes signature;
    }

    function _conversion(uint256 id, uint96 face, uint96 principal) private returns (Conversion memory c) {
        c.confirmation = confirmation(face);
        c.confirmation.order = id;
        c.principal = principal;
        c.attestation = attestation(id, address(pool));
        _sign(c);
    }

    function _sign(Conversion memory c) private view {
        c.consent = signConfirmation(c.confirmation, DEBTOR_KEY);
        c.signature = signAttestation(c.attestation, SIGNER_KEY);
    }

    function _convert(uint256 id, Conversion memory c) private returns (uint256) {
        vm.prank(supplier);
        return orders.convert(id, c.confirmation, c.consent, c.principal, c.attestation, c.signature);
    }

    function _convertRefused(uint256 id, Conversion memory c, bytes memory error_) private {
        vm.prank(supplier);
        vm.expectRevert(error_);
        orders.convert(id, c.confirmation, c.consent, c.principal, c.attestation, c.signature);
    }

    // ---------------------------------------------------------------- interest and repayment

    /// @notice Interest runs from the draw on, rounded up, on what is open.
    function test_interest() public {
        uint256 id = _advanced(40_000);
        uint256 start = block.timestamp;
        vm.warp(start + 1);
        (uint96 interest, uint96 principal) = orders.owedOn(id);
        eq(interest, 1, "a second");
        eq(principal, 40_000, "principal");
        vm.warp(start + 36.5 days);
        (interest,) = orders.owedOn(id);
        eq(interest, 200, "a tenth of a year at 5 %");
        drawn(id, 10_000);
        vm.warp(start + 73 days);
        // The due 200, and 250 on 50,000.
        (interest, principal) = orders.owedOn(id);
        eq(interest, 450, "on both draws");
        eq(principal, 50_000, "both draws");
    }

    /// @notice Repayments go to interest first, and free limits and open advances by the principal.
    function test_repay() public {
        uint256 id = _advanced(40_000);
        uint256 liquidity = pool.bankOf(bank).liquidity;
        vm.warp(block.timestamp + 36.5 days);
        vm.expectEmit(address(orders));
        emit IOrderFinancing.OrderPaidBack(id, 0, 150);
        vm.expectEmit(address(pool));
        emit IFinancingPool.OrderRetired(id, bank, 150, 0);
        _repaid(id, 150);
        eq(orders.orderOf(id).interestDue, 50, "interest left");
        eq(orders.openAdvances(supplier, debtor), 40_000, "advance open");
        vm.expectEmit(address(orders));
        emit IOrderFinancing.OrderPaidBack(id, 1_000, 50);
        vm.expectEmit(address(pool));
        emit IFinancingPool.OrderRetired(id, bank, 1_050, 1_000);
        _repaid(id, 1_050);
        eq(orders.orderOf(id).principal, 39_000, "principal");
        eq(orders.openAdvances(supplier, debtor), 39_000, "advance open");
        eq(pool.bankOf(bank).exposure, 39_000, "exposure");
        eq(pool.debtorLine(bank, debtor).exposure, 39_000, "debtor");
        eq(pool.supplierLine(bank, supplier).exposure, 39_000, "supplier");
        eq(pool.bankOf(bank).liquidity, liquidity + 1_200, "liquidity");
        eq(token.balanceOf(supplier), 140_000 - 1_200, "paid by the supplier");
        vm.expectEmit(address(orders));
        emit IOrderFinancing.OrderPaidBack(id, 39_000, 0);
        _repaid(id, type(uint96).max);
        eq(token.balanceOf(supplier), 140_000 - 40_200, "no more than is owed");
        yes(orders.orderOf(id).status == IOrderFinancing.OrderStatus.Open, "still open");
        eq(orders.liveOrders(supplier, debtor), 1, "still live");
        eq(orders.openAdvances(supplier, debtor), 0, "none open");
    }

    /// @notice Anybody pays back; nothing, or on nothing, is not paid.
    function test_repay_by_others_and_refusals() public {
        vm.expectRevert(_status(99, IOrderFinancing.OrderStatus.None));
        orders.repay(99, 1);
        uint256 id = accepted(10_000);
        vm.expectRevert(_status(id, IOrderFinancing.OrderStatus.Accepted));
        orders.repay(id, 1);
        id = _advanced(40_000);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.ZeroAmount.selector));
        orders.repay(id, 0);
        vm.startPrank(debtor);
        token.approve(address(pool), 40_000);
        orders.repay(id, 40_000);
        vm.stopPrank();
        eq(token.balanceOf(supplier), 140_000, "not the supplier's money");
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.ZeroAmount.selector));
        orders.repay(id, 1);
    }

    /// @notice Whatever is paid when: interest first, the books agree, and instalments equal one payment.
    function testFuzz_repay(uint96 principal, uint96 first, uint96 second, uint32 wait) public {
        principal = uint96(within(principal, 10, 80_000));
        uint256 id = _advanced(principal);
        uint256 elapsed = within(wait, 0, 500 days);
        vm.warp(block.timestamp + elapsed);
        uint256 interest = (uint256(principal) * 500 * elapsed + 315_359_999_999) / 315_360_000_000;
        uint256 owed = interest + principal;
        first = uint96(within(first, 1, owed - 1));
        second = uint96(within(second, 1, owed - first));
        uint256 before = vm.snapshotState();
        _repaid(id, first + second);
        (uint96 interestOnce, uint96 principalOnce) = orders.owedOn(id);
        uint256 sum = first + second;
        eq(interestOnce, sum < interest ? interest - sum : 0, "interest first");
        eq(uint256(interestOnce) + principalOnce, owed - sum, "the rest");
        eq(pool.bankOf(bank).exposure, principalOnce, "exposure");
        eq(orders.openAdvances(supplier, debtor), principalOnce, "open advances");
        vm.revertToState(before);
        _repaid(id, first);
        _repaid(id, second);
        (uint96 interestTwice, uint96 principalTwice) = orders.owedOn(id);
        eq(interestTwice, interestOnce, "interest in instalments");
        eq(principalTwice, principalOnce, "principal in instalments");
    }

    // ---------------------------------------------------------------- conversion

    /// @notice The invoice is registered, financed and pays the advance back, all in one transaction.
    function test_convert() public {
        uint256 id = _advanced(40_000);
        vm.warp(block.timestamp + 36.5 days);
        Conversion memory c = _conversion(id, 100_000, 70_000);
        uint256 cash = token.balanceOf(supplier);
        uint256 liquidity = pool.bankOf(bank).liquidity;
        vm.expectEmit(address(orders));
        emit IOrderFinancing.OrderConverted(id, 1, 40_200);
        vm.expectEmit(address(pool));
        emit IFinancingPool.OrderRetired(id, bank, 40_200, 40_000);
        vm.expectEmit(address(pool));
        emit IFinancingPool.ReceivableFinanced(
            1, bank, supplier, debtor, 70_000, 864, 500, c.confirmation.dueDate, c.attestation.nonce, true
        );
        eq(_convert(id, c), 1, "receivable");
        eq(token.balanceOf(supplier), cash + 69_136 - 40_200, "payout less the advance");
        eq(pool.bankOf(bank).liquidity, liquidity + 40_200 - 69_136, "liquidity");
        eq(pool.bankOf(bank).exposure, 70_000, "one exposure");
        eq(pool.debtorLine(bank, debtor).exposure, 70_000, "debtor");
        eq(pool.supplierLine(bank, supplier).exposure, 70_000, "supplier");
        eq(orders.openAdvances(supplier, debtor), 0, "no open advance");
        eq(registry.ownerOf(1), address(pool), "collateral");
        yes(attestations.isUsed(bank, c.attestation.nonce), "used up");
        IOrderFinancing.Order memory order = orders.orderOf(id);
        yes(order.status == IOrderFinancing.OrderStatus.Converted, "converted");
        eq(orders.liveOrders(supplier, debtor), 0, "not live");
        eq(uint256(order.principal) + order.interestDue, 0, "nothing open");
        yes(pool.loanOf(1).status == IFinancingPool.LoanStatus.Open, "loan");
        vm.expectRevert(_status(id, IOrderFinancing.OrderStatus.Converted));
        orders.repay(id, 1);
        _convertRefused(id, c, _status(id, IOrderFinancing.OrderStatus.Converted));
    }

    /// @notice A payout of exactly what is owed converts with nothing left to pay; one less does not.
    function test_convert_payout_covers_the_advance() public {
        uint256 id = _advanced(40_000);
        Conversion memory c = _conversion(id, 100_000, 40_000);
        uint96 principal = 40_000;
        while (principal - pool.discountOf(principal, 500, 90 days) < 40_000) {
            ++principal;
        }
        c.principal = principal - 1;
        _convertRefused(
            id, c, abi.encodeWithSelector(IFinancingPool.PayoutBelow.selector, uint256(39_999), uint256(40_000))
        );
        c.principal = principal;
        uint256 cash = token.balanceOf(supplier);
        vm.recordLogs();
        _convert(id, c);
        eq(token.balanceOf(supplier), cash, "nothing left to pay");
        // Converted, confirmed, minted; retired, financed, consumed, moved: no transfer of money.
        eq(vm.getRecordedLogs().length, 7, "logs");
        eq(pool.loanOf(1).principal, principal, "loan");
    }

    /// @notice Limits count advance or loan, never both.
    function test_convert_within_the_limits() public {
        uint256 id = _advanced(80_000);
        vm.startPrank(bank);
        pool.setDebtorLimit(debtor, 90_000);
        pool.setSupplierLimit(supplier, 90_000);
        vm.stopPrank();
        vm.prank(admin);
        pool.admitBank(bank, 90_000);
        _convert(id, _conversion(id, 200_000, 90_000));
        eq(pool.bankOf(bank).exposure, 90_000, "exposure");
    }

    /// @notice An order on which nothing is drawn converts as well.
    function test_convert_without_an_advance() public {
        uint256 id = opened(100_000, 80_000);
        uint256 receivable = _convert(id, _conversion(id, 100_000, 70_000));
        eq(pool.loanOf(receivable).principal, 70_000, "loan");
        eq(token.balanceOf(supplier), 69_136, "payout");
    }

    /// @notice An order in default still converts.
    function test_convert_in_default() public {
        uint256 id = _defaulted(40_000);
        _convert(id, _conversion(id, 100_000, 70_000));
        yes(orders.orderOf(id).status == IOrderFinancing.OrderStatus.Converted, "converted");
        eq(pool.bankOf(bank).exposure, 70_000, "one exposure");
    }

    /// @notice Only the supplier converts, an open order, with an invoice and a decision about it.
    function test_convert_refusals() public {
        uint256 id = accepted(100_000);
        Conversion memory c = _conversion(id, 100_000, 70_000);
        _convertRefused(id, c, _status(id, IOrderFinancing.OrderStatus.Accepted));
        id = _advanced(40_000);
        c = _conversion(id, 100_000, 70_000);
        vm.prank(debtor);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.NotTheSupplier.selector, id, debtor));
        orders.convert(id, c.confirmation, c.consent, c.principal, c.attestation, c.signature);

        bytes memory mismatch = abi.encodeWithSelector(IOrderFinancing.ConfirmationMismatch.selector);
        c.confirmation.order = id + 1;
        _convertRefused(id, c, mismatch);
        c.confirmation.order = 0;
        _convertRefused(id, c, mismatch);
        c.confirmation.order = id;
        c.confirmation.supplier = secondSupplier;
        _convertRefused(id, c, mismatch);
        c.confirmation.supplier = supplier;
        c.confirmation.debtor = bank;
        _convertRefused(id, c, mismatch);
        c.confirmation.debtor = debtor;
        c.confirmation.token = address(1);
        _convertRefused(id, c, mismatch);
        c.confirmation.token = address(token);

        c.attestation.bank = secondBank;
        _convertRefused(id, c, abi.encodeWithSelector(IOrderFinancing.AttestationMismatch.selector));
        c.attestation.bank = bank;
        c.attestation.subject = secondSupplier;
        _convertRefused(id, c, abi.encodeWithSelector(IOrderFinancing.AttestationMismatch.selector));
        c.attestation.subject = supplier;
        c.attestation.claim = 1;
        _sign(c);
        _convertRefused(id, c, abi.encodeWithSelector(IFinancingPool.AttestationMismatch.selector));
        c.attestation.claim = id;
        c.attestation.consumer = address(orders);
        _sign(c);
        _convertRefused(
            id, c, abi.encodeWithSelector(IScoreAttestation.WrongConsumer.selector, address(orders), address(pool))
        );
        c.attestation.consumer = address(pool);
        c.consent = signConfirmation(c.confirmation, SUPPLIER_KEY);
        c.signature = signAttestation(c.attestation, SIGNER_KEY);
        _convertRefused(id, c, abi.encodeWithSelector(IReceivableRegistry.SignatureInvalid.selector, debtor));
        _sign(c);
        _convert(id, c);
    }

    /// @notice With another order's advance still open, an order converts, and only its own advance ends.
    function test_convert_one_of_two_orders() public {
        uint256 first = _advanced(40_000);
        uint256 second = _advanced(10_000);
        uint256 receivable = _convert(first, _conversion(first, 100_000, 70_000));
        eq(orders.openAdvances(supplier, debtor), 10_000, "the other's");
        eq(pool.loanOf(receivable).principal, 70_000, "loan");
        eq(pool.bankOf(bank).exposure, 80_000, "both");
        _repaid(second, 10_000);
        eq(orders.openAdvances(supplier, debtor), 0, "none");
    }

    /// @notice A dispute window on the invoice of an order keeps it from being converted.
    function test_convert_refuses_a_dispute_window() public {
        uint256 id = _advanced(40_000);
        Conversion memory c = _conversion(id, 100_000, 70_000);
        c.confirmation.disputeWindow = 1;
        _sign(c);
        _convertRefused(
            id, c, abi.encodeWithSelector(IFinancingPool.DisputeWindowOpen.selector, 1, uint40(block.timestamp + 1))
        );
    }

    // ---------------------------------------------------------------- default and write-off

    /// @notice A default is declared from the second after delivery date and grace on, and said.
    function test_default() public {
        uint256 id = _advanced(40_000);
        uint256 end = uint256(orders.orderOf(id).deliverBy) + 10 days;
        vm.startPrank(bank);
        vm.warp(end);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.TooEarly.selector, end + 1));
        orders.declareDefault(id);
        vm.warp(end + 1);
        vm.expectEmit(address(orders));
        emit IOrderFinancing.OrderDefaulted(id, 40_000);
        orders.declareDefault(id);
        vm.stopPrank();
        IOrderFinancing.Order memory order = orders.orderOf(id);
        yes(order.status == IOrderFinancing.OrderStatus.Defaulted, "defaulted");
        // 40,000 x 5 % x (70 days and a second) / 365, rounded up.
        eq(order.interestDue, 384, "interest booked");
        eq(order.accruedAt, end + 1, "up to now");
        eq(pool.bankOf(bank).exposure, 40_000, "still exposed");
        vm.prank(supplier);
        vm.expectRevert(_status(id, IOrderFinancing.OrderStatus.Defaulted));
        orders.draw(id, 1);
    }

    /// @notice Only the bank declares, on an open advance, and once.
    function test_default_refusals() public {
        vm.expectRevert(_status(99, IOrderFinancing.OrderStatus.None));
        orders.declareDefault(99);
        uint256 id = opened(100_000, 80_000);
        uint256 other = _advanced(40_000);
        vm.warp(uint256(orders.orderOf(id).deliverBy) + 10 days + 1);
        vm.prank(secondBank);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.NotTheBank.selector, other, secondBank));
        orders.declareDefault(other);
        vm.startPrank(bank);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.ZeroAmount.selector));
        orders.declareDefault(id);
        orders.declareDefault(other);
        vm.expectRevert(_status(other, IOrderFinancing.OrderStatus.Defaulted));
        orders.declareDefault(other);
        vm.stopPrank();
    }

    /// @notice A defaulted advance that is paid back in full is repaid; a unit less and it is not.
    function test_default_repaid() public {
        uint256 id = _defaulted(40_000);
        _repaid(id, 40_383);
        yes(orders.orderOf(id).status == IOrderFinancing.OrderStatus.Defaulted, "a unit is open");
        eq(orders.liveOrders(supplier, debtor), 1, "live");
        _repaid(id, 1);
        eq(orders.liveOrders(supplier, debtor), 0, "not live");
        yes(orders.orderOf(id).status == IOrderFinancing.OrderStatus.Repaid, "repaid");
        eq(pool.bankOf(bank).exposure, 0, "exposure");
        vm.expectRevert(_status(id, IOrderFinancing.OrderStatus.Repaid));
        orders.repay(id, 1);
    }

    /// @notice A write-off frees the limits, stops the interest, keeps the advance open, and is said.
    function test_write_off() public {
        uint256 id = _defaulted(40_000);
        vm.warp(block.timestamp + 3 days);
        vm.expectEmit(address(orders));
        emit IOrderFinancing.OrderLost(id, 40_000);
        vm.expectEmit(address(pool));
        emit IFinancingPool.OrderWrittenOff(id, bank, 40_000);
        vm.prank(bank);
        orders.writeOff(id);
        IOrderFinancing.Order memory order = orders.orderOf(id);
        yes(order.status == IOrderFinancing.OrderStatus.WrittenOff, "written off");
        eq(order.interestDue, 401, "interest booked");
        eq(pool.bankOf(bank).exposure, 0, "exposure");
        eq(pool.debtorLine(bank, debtor).exposure, 0, "debtor");
        eq(pool.supplierLine(bank, supplier).exposure, 0, "supplier");
        eq(orders.openAdvances(supplier, debtor), 40_000, "still owed");
        vm.warp(block.timestamp + 300 days);
        (uint96 interest, uint96 principal) = orders.owedOn(id);
        eq(interest, 401, "no more interest");
        eq(principal, 40_000, "principal");

        uint256 liquidity = pool.bankOf(bank).liquidity;
        vm.expectEmit(address(pool));
        emit IFinancingPool.OrderRetired(id, bank, 10_401, 0);
        _repaid(id, 10_401);
        eq(pool.bankOf(bank).liquidity, liquidity + 10_401, "recovered");
        yes(orders.orderOf(id).status == IOrderFinancing.OrderStatus.WrittenOff, "still written off");
        eq(orders.openAdvances(supplier, debtor), 30_000, "still owed");
        _repaid(id, 30_000);
        yes(orders.orderOf(id).status == IOrderFinancing.OrderStatus.Repaid, "repaid");
        eq(orders.openAdvances(supplier, debtor), 0, "nothing owed");
        eq(pool.bankOf(bank).exposure, 0, "exposure");
    }

    /// @notice Only the bank writes off, only what is in default; what is written off is not converted.
    function test_write_off_refusals() public {
        uint256 id = _advanced(40_000);
        vm.prank(bank);
        vm.expectRevert(_status(id, IOrderFinancing.OrderStatus.Open));
        orders.writeOff(id);
        vm.warp(uint256(orders.orderOf(id).deliverBy) + 10 days + 1);
        vm.prank(bank);
        orders.declareDefault(id);
        vm.prank(secondBank);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.NotTheBank.selector, id, secondBank));
        orders.writeOff(id);
        vm.prank(bank);
        orders.writeOff(id);
        _convertRefused(id, _conversion(id, 100_000, 70_000), _status(id, IOrderFinancing.OrderStatus.WrittenOff));
    }
}
