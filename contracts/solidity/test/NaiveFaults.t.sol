// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IFinancingPool} from "../src/interfaces/IFinancingPool.sol";
import {IOrderFinancing} from "../src/interfaces/IOrderFinancing.sol";
import {IReceivableRegistry} from "../src/interfaces/IReceivableRegistry.sol";
import {IScoreAttestation} from "../src/interfaces/IScoreAttestation.sol";
import {Fixture} from "./base/Fixture.sol";

/// @dev The naive contract is a struct of debtor, creditor, amount, due date and `isFinanced`, a
/// `require(msg.sender == debtor)`, and `isFinanced = true`. One test for each of its faults.
contract NaiveFaultsTest is Fixture {
    address private constant CROOK = address(0xC1);
    uint256 private constant CROOK_KEY = 0xC200;

    function _financeRefused(
        uint256 id,
        uint96 principal,
        IScoreAttestation.Attestation memory a,
        bytes memory signature,
        bytes memory error_
    ) private {
        vm.prank(supplier);
        vm.expectRevert(error_);
        pool.finance(id, principal, a, signature);
    }

    /// @notice Fault: anyone makes themself a debtor.
    function test_nobody_makes_themself_a_debtor() public {
        address crook = vm.addr(CROOK_KEY);
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.debtor = crook;
        bytes memory own = signConfirmation(c, CROOK_KEY);
        vm.startPrank(crook);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.DebtorNotAdmitted.selector, crook));
        registry.confirm(c, own);
        vm.expectPartialRevert(bytes4(keccak256("AccessControlUnauthorizedAccount(address,bytes32)")));
        registry.admitDebtor(crook, true);
        vm.stopPrank();
    }

    /// @notice Fault: a claim needs no consent of the one who is said to owe.
    function test_nobody_makes_another_a_debtor() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        bytes memory forged = signConfirmation(c, CROOK_KEY);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.SignatureInvalid.selector, debtor));
        registry.confirm(c, forged);
    }

    /// @notice Fault: the amount of a claim that was consented to is changed afterwards.
    function test_the_amount_signed_is_the_amount_owed() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        bytes memory signature = signConfirmation(c, DEBTOR_KEY);
        c.face = 1_000_000;
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.SignatureInvalid.selector, debtor));
        registry.confirm(c, signature);
    }

    /// @notice Fault: the same invoice stands twice.
    function test_the_same_invoice_stands_once() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        bytes memory signature = signConfirmation(c, DEBTOR_KEY);
        uint256 id = registry.confirm(c, signature);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.FingerprintTaken.selector, c.fingerprint, id));
        registry.confirm(c, signature);
    }

    /// @notice Fault: a duplicate of an invoice is financed.
    function test_a_financed_invoice_has_no_duplicate() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        uint256 id = registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
        financed(id, 500);
        c.supplier = secondSupplier;
        bytes memory signature = signConfirmation(c, DEBTOR_KEY);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.FingerprintTaken.selector, c.fingerprint, id));
        registry.confirm(c, signature);
    }

    /// @notice Fault: one claim is financed by two banks.
    function test_one_claim_has_one_lender() public {
        uint256 id = confirmed(1_000);
        financed(id, 500);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        a.bank = secondBank;
        bytes memory signature = signAttestation(a, SECOND_SIGNER_KEY);
        _financeRefused(id, 100, a, signature, abi.encodeWithSelector(IFinancingPool.AlreadyFinanced.selector, id));
    }

    /// @notice Fault: a part of a financed claim is split off and financed again.
    function test_a_financed_claim_is_not_split() public {
        uint256 id = confirmed(1_000);
        financed(id, 500);
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.NotHolder.selector, id, supplier));
        registry.split(id, new uint96[](2), new address[](2));
    }

    /// @notice Fault: an absurd amount such as 2**255 is taken.
    function test_an_absurd_amount_is_refused() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        bytes memory call_ = abi.encodeCall(registry.confirm, (c, ""));
        (bool done, bytes memory answer) = address(registry).call(call_);
        yes(!done && bytes4(answer) == IReceivableRegistry.SignatureInvalid.selector, "understood");
        // The struct stands right after the selector, and the amount is its fourth word.
        assembly ("memory-safe") {
            mstore(add(add(call_, 32), add(4, mul(3, 32))), shl(255, 1))
        }
        (done, answer) = address(registry).call(call_);
        yes(!done && answer.length == 0, "does not fit");

        IReceivableRegistry.Confirmation memory large = confirmation(type(uint96).max);
        bytes memory consent = signConfirmation(large, DEBTOR_KEY);
        uint96 most = registry.MAX_FACE();
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.FaceTooLarge.selector, type(uint96).max, most));
        registry.confirm(large, consent);

        uint256 id = confirmed(most);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        _financeRefused(
            id,
            1e15 + 1,
            a,
            signature,
            abi.encodeWithSelector(IFinancingPool.BankLimit.selector, bank, 1e15 + 1, uint96(1e15))
        );
    }

    /// @notice Fault: no money moves.
    function test_money_moves() public {
        uint256 id = confirmed(1_000);
        uint256 cash = token.balanceOf(address(pool));
        uint256 payout = financed(id, 500);
        eq(token.balanceOf(supplier), payout, "to the supplier");
        eq(token.balanceOf(address(pool)), cash - payout, "out of the bank's liquidity");
        paid(id, 1_000);
        eq(token.balanceOf(supplier), payout + 500, "what is over");
        eq(token.balanceOf(address(pool)), cash - payout + 500, "back to the bank");
    }

    /// @notice Fault: a claim is financed without a score.
    function test_no_money_without_a_score() public {
        uint256 id = confirmed(1_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        _financeRefused(id, 100, a, "", abi.encodeWithSelector(IScoreAttestation.SignatureInvalid.selector));
    }

    /// @notice Fault: the supplier scores itself.
    function test_nobody_scores_themself() public {
        uint256 id = confirmed(1_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory own = signAttestation(a, SUPPLIER_KEY);
        _financeRefused(
            id, 100, a, own, abi.encodeWithSelector(IScoreAttestation.SignerUnknown.selector, bank, supplier)
        );
        vm.prank(supplier);
        attestations.authorise(supplier, uint40(block.timestamp + 1 days));
        a.bank = supplier;
        own = signAttestation(a, SUPPLIER_KEY);
        // Nobody's bank: it advances nothing.
        _financeRefused(id, 100, a, own, abi.encodeWithSelector(IFinancingPool.AdvanceOverCap.selector, 100, 0));
        vm.prank(supplier);
        pool.setTerms(IFinancingPool.Terms(10_000, 0, 0, 0));
        _financeRefused(id, 100, a, own, abi.encodeWithSelector(IFinancingPool.BankNotAdmitted.selector, supplier));
    }

    /// @notice Fault: one score serves twice.
    function test_a_score_serves_once() public {
        uint256 id = confirmed(1_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier);
        pool.finance(id, 100, a, signature);
        paid(id, 200);
        _financeRefused(
            id, 100, a, signature, abi.encodeWithSelector(IScoreAttestation.NonceUsed.selector, bank, a.nonce)
        );
    }

    /// @notice Fault: one claim's score serves another claim.
    function test_a_score_is_about_one_claim() public {
        (uint256 good, uint256 bad) = (confirmed(1_000), confirmed(1_000));
        IScoreAttestation.Attestation memory a = attestation(good, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        _financeRefused(bad, 100, a, signature, abi.encodeWithSelector(IFinancingPool.AttestationMismatch.selector));
    }

    /// @notice Fault: a score never goes stale.
    function test_a_score_goes_stale() public {
        uint256 id = confirmed(1_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.warp(a.expiry + 1);
        _financeRefused(
            id, 100, a, signature, abi.encodeWithSelector(IScoreAttestation.AttestationExpired.selector, a.expiry)
        );
    }

    /// @notice Fault: anyone finances someone else's claim.
    function test_nobody_finances_anothers_claim() public {
        uint256 id = confirmed(1_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(CROOK);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.NotHolder.selector, id, CROOK));
        pool.finance(id, 100, a, signature);
    }

    /// @notice Fault: a claim is financed after it was due.
    function test_no_money_on_an_overdue_claim() public {
        uint256 id = confirmed(1_000);
        uint40 due = registry.termsOf(id).dueDate;
        vm.warp(due);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        _financeRefused(id, 100, a, signature, abi.encodeWithSelector(IFinancingPool.DueDatePassed.selector, due));
    }

    /// @notice Fault: a claim is due before it exists.
    function test_no_claim_is_born_overdue() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.dueDate = 0;
        bytes memory signature = signConfirmation(c, DEBTOR_KEY);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.DueDatePassed.selector, 0));
        registry.confirm(c, signature);
    }

    /// @notice Fault: a claim that is paid is financed.
    function test_no_money_on_a_paid_claim() public {
        uint256 id = confirmed(1_000);
        paid(id, 1_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        _financeRefused(id, 100, a, signature, abi.encodeWithSelector(IFinancingPool.NotFinanceable.selector, id));
    }

    /// @notice Fault: a claim that does not exist is financed.
    function test_no_money_on_nothing() public {
        IScoreAttestation.Attestation memory a = attestation(12, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        _financeRefused(12, 100, a, signature, abi.encodeWithSelector(IFinancingPool.NotFinanceable.selector, 12));
    }

    /// @notice Fault: more is lent than is owed.
    function test_no_more_is_lent_than_is_owed() public {
        uint256 id = confirmed(1_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        _financeRefused(
            id, 1_001, a, signature, abi.encodeWithSelector(IFinancingPool.AdvanceOverCap.selector, 1_001, 800)
        );
    }

    /// @notice Fault: a financed claim is sold on as if it were free.
    function test_a_financed_claim_is_not_sold() public {
        uint256 id = confirmed(1_000);
        financed(id, 500);
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721InsufficientApproval.selector, supplier, id));
        registry.transferFrom(address(pool), secondSupplier, id);
    }

    /// @notice Fault: a claim is financed while its debtor may still say no.
    function test_no_money_while_a_claim_can_be_disputed() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.disputeWindow = 1 days;
        uint256 id = registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        _financeRefused(
            id,
            100,
            a,
            signature,
            abi.encodeWithSelector(IFinancingPool.DisputeWindowOpen.selector, id, uint40(block.timestamp + 1 days))
        );
    }

    /// @notice Fault: who owes or lends has no limit.
    function test_a_debtor_has_a_limit() public {
        vm.prank(bank);
        pool.setDebtorLimit(debtor, 99);
        uint256 id = confirmed(1_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        _financeRefused(
            id,
            100,
            a,
            signature,
            abi.encodeWithSelector(IFinancingPool.DebtorLimit.selector, bank, debtor, uint256(100), uint96(99))
        );
    }

    /// @notice Fault: a bank lends what another bank paid in.
    function test_a_bank_lends_its_own_money() public {
        vm.prank(bank);
        pool.withdraw(1e14);
        uint256 id = confirmed(1_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        _financeRefused(
            id, 100, a, signature, abi.encodeWithSelector(IFinancingPool.LiquidityShort.selector, bank, 98, 0)
        );
    }

    /// @notice Fault: an order and its invoice are financed both.
    function test_order_and_invoice_are_not_financed_both() public {
        uint256 order = opened(10_000, 5_000);
        drawn(order, 1_000);
        IReceivableRegistry.Confirmation memory c = confirmation(10_000);
        bytes memory signature = signConfirmation(c, DEBTOR_KEY);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.OrderAdvanceOpen.selector, supplier, debtor));
        registry.confirm(c, signature);
    }

    /// @notice Fault: an advance on an order is drawn before anything is delivered.
    function test_nothing_is_drawn_on_goods_to_come() public {
        IOrderFinancing.PurchaseOrder memory o = purchaseOrder(10_000);
        o.upfrontBps = 0;
        bytes memory consent = signOrder(o, DEBTOR_KEY);
        vm.startPrank(supplier);
        uint256 id = orders.accept(o, consent);
        IScoreAttestation.Attestation memory a = attestation(id, address(orders));
        orders.openFacility(id, 8_000, a, signAttestation(a, SIGNER_KEY));
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.OverDrawable.selector, 1, 0));
        orders.draw(id, 1);
        vm.stopPrank();
    }
}
