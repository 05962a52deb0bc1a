// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IFinancingPool} from "../src/interfaces/IFinancingPool.sol";
import {IOrderFinancing} from "../src/interfaces/IOrderFinancing.sol";
import {IReceivableRegistry} from "../src/interfaces/IReceivableRegistry.sol";
import {IScoreAttestation} from "../src/interfaces/IScoreAttestation.sol";
import {Fixture} from "./base/Fixture.sol";
import {HookToken} from "./mocks/HostileTokens.sol";
import {MockDepositToken} from "./mocks/MockDepositToken.sol";

/// @dev Faults that were found in these contracts and mended; each test failed before.
contract MendedTest is Fixture {
    uint256 private _good;

    /// @notice A loan that is bought back in mid-payment (token with hooks) takes no other loan's default
    /// off the supplier's count, and what is paid goes to the supplier.
    function test_recourse_is_counted_down_once() public {
        HookToken hook = new HookToken();
        token = MockDepositToken(address(hook));
        _deploy(address(hook));
        uint256 bad = confirmed(100_000);
        financed(bad, 50_000);
        vm.warp(block.timestamp + 80 days);
        _good = confirmed(100_000);
        financed(_good, 50_000);
        vm.warp(uint256(registry.termsOf(bad).dueDate) + 10 days + 1);
        vm.prank(bank);
        pool.declareDefault(bad);
        token.mint(supplier, 100_000);
        hook.arm(address(this), abi.encodeCall(this.inside, ()));
        uint256 before = token.balanceOf(supplier);
        paid(_good, 100_000);
        yes(hook.succeeded(), "the hook ran");
        eq(pool.supplierLine(bank, supplier).recourse, 1, "one loan is in default");
        eq(token.balanceOf(supplier), before - 50_000 + 100_000, "bought back, then paid");
    }

    /// @dev In mid-payment the supplier pays the loan off, and as much goes out of the pool again, so
    /// that the registry's check of the pool's balance sees what it expects.
    function inside() external {
        vm.prank(supplier);
        pool.repurchase(_good);
        vm.prank(secondBank);
        pool.withdraw(50_000);
    }

    /// @notice Interest of ages on the largest order does not stop its repayment.
    function test_interest_does_not_stop_an_orders_repayment() public {
        uint96 most = orders.MAX_VALUE();
        vm.prank(admin);
        pool.admitBank(bank, most);
        token.mint(bank, most);
        vm.startPrank(bank);
        pool.setTerms(IFinancingPool.Terms(10_000, 0, 0, 0));
        pool.setDebtorLimit(debtor, most);
        pool.setSupplierLimit(supplier, most);
        pool.deposit(most);
        vm.stopPrank();
        uint256 id = accepted(most);
        IScoreAttestation.Attestation memory a = attestation(id, address(orders));
        (a.rateBps, a.advanceCapBps) = (type(uint16).max, 10_000);
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier);
        orders.openFacility(id, most, a, signature);
        delivered(id, most);
        drawn(id, most);
        // The last second that the contracts can count.
        vm.warp(type(uint40).max);
        token.mint(supplier, 1);
        vm.prank(supplier);
        orders.repay(id, 1);
        (uint96 interest, uint96 principal) = orders.owedOn(id);
        eq(principal, most, "interest is paid first");
        yes(interest > 100_000 * uint256(most), "of 34,000 years at 655 %");
    }

    /// @notice An order of more than an index can hold is refused.
    function test_an_absurd_order_is_refused() public {
        uint96 most = orders.MAX_VALUE();
        IOrderFinancing.PurchaseOrder memory o = purchaseOrder(most + 1);
        bytes memory signature = signOrder(o, DEBTOR_KEY);
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.ValueTooLarge.selector, most + 1, most));
        orders.accept(o, signature);
    }

    /// @notice Band 0 is none: bands are 1 (best) to 255.
    function test_score_band_zero_is_refused() public {
        IScoreAttestation.Attestation memory a = attestation(1, address(this));
        a.scoreBand = 0;
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.expectRevert(abi.encodeWithSelector(IScoreAttestation.BandOutOfRange.selector, uint8(0)));
        attestations.consume(a, signature);
        a.scoreBand = 1;
        attestations.consume(a, signAttestation(a, SIGNER_KEY));
    }

    /// @notice The bank's own highest share bounds facilities as it bounds advances.
    function test_the_banks_share_bounds_facilities() public {
        vm.prank(bank);
        pool.setTerms(IFinancingPool.Terms(1_000, 0, 0, 0));
        uint256 id = accepted(100_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(orders));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.FacilityOverCap.selector, 10_001, 10_000));
        orders.openFacility(id, 10_001, a, signature);
        vm.prank(supplier);
        orders.openFacility(id, 10_000, a, signature);
    }

    /// @notice No leaf goes to the registry itself, where its payments would be nobody's.
    function test_the_registry_holds_no_leaf() public {
        uint256 id = confirmed(100_000);
        bytes memory why = abi.encodeWithSelector(IERC721Errors.ERC721InvalidReceiver.selector, address(registry));
        vm.prank(supplier);
        vm.expectRevert(why);
        registry.transferFrom(supplier, address(registry), id);
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.supplier = address(registry);
        bytes memory signature = signConfirmation(c, DEBTOR_KEY);
        vm.expectRevert(why);
        registry.confirm(c, signature);
    }

    /// @notice A stranger's payment of one unit stops no cancellation.
    function test_a_stranger_does_not_stop_a_cancellation() public {
        uint256 id = confirmed(100_000);
        token.mint(address(0xBAD), 1);
        vm.startPrank(address(0xBAD));
        token.approve(address(registry), 1);
        registry.pay(id, 1);
        vm.stopPrank();
        vm.prank(supplier);
        registry.cancel(id);
        eq(registry.outstandingOf(debtor, address(token)), 0, "nothing owed");
    }
}
