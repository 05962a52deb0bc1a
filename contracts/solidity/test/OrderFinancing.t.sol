// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OrderFinancing} from "../src/OrderFinancing.sol";
import {IFinancingPool} from "../src/interfaces/IFinancingPool.sol";
import {IOrderFinancing} from "../src/interfaces/IOrderFinancing.sol";
import {IScoreAttestation} from "../src/interfaces/IScoreAttestation.sol";
import {Fixture} from "./base/Fixture.sol";
import {SignerWallet} from "./mocks/HostileReceivers.sol";

/// @dev Orders: acceptance, facility, deliveries, draws. 30 % upfront; facilities at 5 % a year.
contract OrderFinancingTest is Fixture {
    uint256 private constant FIRST = (1 << 128) + 1;

    function _acceptRefused(IOrderFinancing.PurchaseOrder memory o, bytes memory error_) private {
        bytes memory consent = signOrder(o, DEBTOR_KEY);
        vm.prank(supplier);
        vm.expectRevert(error_);
        orders.accept(o, consent);
    }

    function _status(uint256 id, IOrderFinancing.OrderStatus status) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IOrderFinancing.WrongStatus.selector, id, status);
    }

    function _delivery(uint256 id, uint96 value) private view returns (IOrderFinancing.Delivery memory) {
        return IOrderFinancing.Delivery(id, value, "note", uint40(block.timestamp + 1 hours));
    }

    function _deliveryRefused(IOrderFinancing.Delivery memory d, bytes memory error_) private {
        bytes memory signature = signDelivery(d, DEBTOR_KEY);
        vm.expectRevert(error_);
        orders.signDelivery(d, signature);
    }

    function _openRefused(uint256 id, uint96 facility, bytes memory error_) private {
        _openRefused(id, facility, attestation(id, address(orders)), error_);
    }

    function _openRefused(uint256 id, uint96 facility, IScoreAttestation.Attestation memory a, bytes memory error_)
        private
    {
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier);
        vm.expectRevert(error_);
        orders.openFacility(id, facility, a, signature);
    }

    function _drawRefused(uint256 id, uint96 amount, bytes memory error_) private {
        vm.prank(supplier);
        vm.expectRevert(error_);
        orders.draw(id, amount);
    }

    // ---------------------------------------------------------------- acceptance

    /// @notice The supplier accepts what the buyer signed; ids begin above every receivable's.
    function test_accept() public {
        IOrderFinancing.PurchaseOrder memory o = purchaseOrder(10_000);
        bytes memory consent = signOrder(o, DEBTOR_KEY);
        vm.expectEmit(address(orders));
        emit IOrderFinancing.OrderAccepted(FIRST, supplier, debtor, 10_000, o.deliverBy, o.fingerprint, o.documentHash);
        vm.prank(supplier);
        eq(orders.accept(o, consent), FIRST, "id");
        IOrderFinancing.Order memory order = orders.orderOf(FIRST);
        eq(order.supplier, supplier, "supplier");
        eq(order.buyer, debtor, "buyer");
        eq(order.value, 10_000, "value");
        eq(order.deliverBy, o.deliverBy, "deliver by");
        eq(order.upfrontBps, 3_000, "upfront");
        yes(order.fingerprint == o.fingerprint, "fingerprint");
        yes(order.status == IOrderFinancing.OrderStatus.Accepted, "accepted");
        eq(uint256(order.facility) + order.delivered + order.drawn + order.principal, 0, "nothing yet");
        eq(order.bank, address(0), "no bank");
        eq(orders.drawableOn(FIRST), 0, "nothing to draw");
        eq(accepted(1), FIRST + 1, "next id");
    }

    /// @notice Only the supplier accepts; value, fingerprint, share, date and buyer are checked.
    function test_accept_refusals() public {
        IOrderFinancing.PurchaseOrder memory o = purchaseOrder(10_000);
        bytes memory consent = signOrder(o, DEBTOR_KEY);
        vm.prank(secondSupplier);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.NotTheSupplier.selector, FIRST, secondSupplier));
        orders.accept(o, consent);
        o.value = 0;
        _acceptRefused(o, abi.encodeWithSelector(IOrderFinancing.ZeroAmount.selector));
        o = purchaseOrder(10_000);
        o.fingerprint = 0;
        _acceptRefused(o, abi.encodeWithSelector(IOrderFinancing.ZeroAmount.selector));
        o = purchaseOrder(10_000);
        o.upfrontBps = 10_001;
        _acceptRefused(o, abi.encodeWithSelector(IOrderFinancing.ShareOutOfRange.selector, uint16(10_001)));
        o.upfrontBps = 10_000;
        o.deliverBy = uint40(block.timestamp);
        _acceptRefused(o, abi.encodeWithSelector(IOrderFinancing.DeliveryDatePassed.selector, o.deliverBy));
        o.deliverBy += 1;
        o.buyer = bank;
        _acceptRefused(o, abi.encodeWithSelector(IOrderFinancing.BuyerNotAdmitted.selector, bank));
        o.buyer = debtor;
        consent = signOrder(o, DEBTOR_KEY);
        vm.prank(supplier);
        eq(orders.accept(o, consent), FIRST, "accepted");
    }

    /// @notice An order counts as live from acceptance on until it ends; each pair's are its own.
    function test_live_orders() public {
        eq(orders.liveOrders(supplier, debtor), 0, "none");
        uint256 first = accepted(orders.MAX_VALUE());
        uint256 second = opened(10_000, 5_000);
        eq(orders.liveOrders(supplier, debtor), 2, "two");
        eq(orders.liveOrders(secondSupplier, debtor), 0, "not another supplier's");
        vm.startPrank(supplier);
        orders.lapse(first);
        eq(orders.liveOrders(supplier, debtor), 1, "one");
        orders.lapse(second);
        vm.stopPrank();
        eq(orders.liveOrders(supplier, debtor), 0, "none again");
    }

    /// @notice A fingerprint has one order, for good.
    function test_accept_refuses_a_taken_fingerprint() public {
        IOrderFinancing.PurchaseOrder memory o = purchaseOrder(10_000);
        bytes memory consent = signOrder(o, DEBTOR_KEY);
        vm.startPrank(supplier);
        uint256 id = orders.accept(o, consent);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.FingerprintTaken.selector, o.fingerprint, id));
        orders.accept(o, consent);
        orders.lapse(id);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.FingerprintTaken.selector, o.fingerprint, id));
        orders.accept(o, consent);
        vm.stopPrank();
    }

    /// @notice The buyer's signature serves to its deadline; another's, or a twin, never.
    function test_accept_signature() public {
        IOrderFinancing.PurchaseOrder memory o = purchaseOrder(10_000);
        bytes memory good = signOrder(o, DEBTOR_KEY);
        bytes memory forged = signOrder(o, SUPPLIER_KEY);
        bytes memory mirrored = twin(good);
        bytes memory invalid = abi.encodeWithSelector(IOrderFinancing.SignatureInvalid.selector, debtor);
        vm.startPrank(supplier);
        vm.expectRevert(invalid);
        orders.accept(o, forged);
        vm.expectRevert(invalid);
        orders.accept(o, mirrored);
        vm.warp(o.deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.SignatureExpired.selector, o.deadline));
        orders.accept(o, good);
        vm.warp(o.deadline);
        orders.accept(o, good);
        vm.stopPrank();
    }

    /// @notice A buyer that is a contract signs by ERC-1271.
    function test_accept_with_a_contract_as_buyer() public {
        SignerWallet wallet = new SignerWallet();
        vm.prank(admin);
        registry.admitDebtor(address(wallet), true);
        IOrderFinancing.PurchaseOrder memory o = purchaseOrder(10_000);
        o.buyer = address(wallet);
        for (uint8 answer = 1; answer <= uint8(type(SignerWallet.Answer).max); ++answer) {
            wallet.set(SignerWallet.Answer(answer));
            vm.prank(supplier);
            vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.SignatureInvalid.selector, address(wallet)));
            orders.accept{gas: 1_000_000}(o, "any");
        }
        wallet.set(SignerWallet.Answer.Yes);
        vm.prank(supplier);
        eq(orders.accept(o, "any"), FIRST, "accepted");
    }

    /// @notice What the buyer signs is EIP-712's digest of every field, put together here by hand.
    function testFuzz_order_and_delivery_digests(uint96 value, uint40 by, uint16 share, bytes32 document) public {
        IOrderFinancing.PurchaseOrder memory o = purchaseOrder(uint96(within(value, 1, orders.MAX_VALUE())));
        o.deliverBy = uint40(block.timestamp + within(by, 1, 3650 days));
        o.upfrontBps = uint16(within(share, 0, 10_000));
        o.documentHash = document;
        bytes32 separator = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("veilscore OrderFinancing"),
                keccak256("1"),
                block.chainid,
                address(orders)
            )
        );
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256(
                    "PurchaseOrder(address supplier,address buyer,uint96 value,uint40 deliverBy,uint16 upfrontBps,bytes32 fingerprint,bytes32 documentHash,uint40 deadline)"
                ),
                o.supplier,
                o.buyer,
                o.value,
                o.deliverBy,
                o.upfrontBps,
                o.fingerprint,
                o.documentHash,
                o.deadline
            )
        );
        bytes memory signature = signTyped(DEBTOR_KEY, separator, structHash);
        vm.prank(supplier);
        uint256 id = orders.accept(o, signature);
        structHash = keccak256(
            abi.encode(
                keccak256("Delivery(uint256 order,uint96 deliveredValue,bytes32 documentHash,uint40 deadline)"),
                id,
                o.value,
                document,
                o.deadline
            )
        );
        orders.signDelivery(
            IOrderFinancing.Delivery(id, o.value, document, o.deadline), signTyped(DEBTOR_KEY, separator, structHash)
        );
        eq(orders.orderOf(id).delivered, o.value, "delivered");
    }

    // ---------------------------------------------------------------- facility

    /// @notice A facility is opened on the bank's decision about this order, and said.
    function test_open_facility() public {
        uint256 id = accepted(10_000);
        IScoreAttestation.Attestation memory a = attestation(id, address(orders));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.expectEmit(address(orders));
        emit IOrderFinancing.FacilityOpened(id, bank, 8_000, 500);
        vm.prank(supplier);
        orders.openFacility(id, 8_000, a, signature);
        IOrderFinancing.Order memory order = orders.orderOf(id);
        eq(order.bank, bank, "bank");
        eq(order.facility, 8_000, "facility");
        eq(order.rateBps, 500, "rate");
        eq(order.graceSeconds, 10 days, "grace");
        yes(order.status == IOrderFinancing.OrderStatus.Open, "open");
        yes(attestations.isUsed(bank, a.nonce), "used up");
    }

    /// @notice Whose, when, how much and on which decision a facility is not opened.
    function test_open_facility_refusals() public {
        uint256 id = accepted(10_001);
        IScoreAttestation.Attestation memory a = attestation(id, address(orders));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(secondSupplier);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.NotTheSupplier.selector, id, secondSupplier));
        orders.openFacility(id, 100, a, signature);
        _openRefused(id, 0, abi.encodeWithSelector(IOrderFinancing.ZeroAmount.selector));
        _openRefused(
            id, 8_001, abi.encodeWithSelector(IOrderFinancing.FacilityOverCap.selector, uint256(8_001), uint256(8_000))
        );
        a.subject = secondSupplier;
        _openRefused(id, 100, a, abi.encodeWithSelector(IOrderFinancing.AttestationMismatch.selector));
        a = attestation(id + 1, address(orders));
        _openRefused(id, 100, a, abi.encodeWithSelector(IOrderFinancing.AttestationMismatch.selector));
        a = attestation(id, address(pool));
        _openRefused(
            id, 100, a, abi.encodeWithSelector(IScoreAttestation.WrongConsumer.selector, address(pool), address(orders))
        );
        uint40 by = orders.orderOf(id).deliverBy;
        vm.warp(by);
        _openRefused(id, 100, abi.encodeWithSelector(IOrderFinancing.DeliveryDatePassed.selector, by));
        vm.warp(by - 1);
        a = attestation(id, address(orders));
        signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier);
        orders.openFacility(id, 8_000, a, signature);
        _openRefused(id, 100, _status(id, IOrderFinancing.OrderStatus.Open));
    }

    // ---------------------------------------------------------------- deliveries

    /// @notice The buyer signs what was delivered in all, of an accepted or an open order; anybody submits.
    function test_sign_delivery() public {
        uint256 id = accepted(10_000);
        IOrderFinancing.Delivery memory d = _delivery(id, 4_000);
        bytes memory signature = signDelivery(d, DEBTOR_KEY);
        vm.expectEmit(address(orders));
        emit IOrderFinancing.DeliverySigned(id, 4_000, "note");
        orders.signDelivery(d, signature);
        eq(orders.orderOf(id).delivered, 4_000, "delivered");
        eq(orders.drawableOn(id), 0, "no facility");
        uint256 other = opened(10_000, 5_000);
        delivered(other, 10_000);
        eq(orders.orderOf(other).delivered, 10_000, "all of it");
    }

    /// @notice Deliveries rise, up to the order's value, and are the buyer's word in time.
    function test_sign_delivery_refusals() public {
        uint256 id = opened(10_000, 5_000);
        delivered(id, 4_000);
        _deliveryRefused(
            _delivery(id, 4_000),
            abi.encodeWithSelector(IOrderFinancing.DeliveryFalls.selector, uint96(4_000), uint96(4_000))
        );
        _deliveryRefused(
            _delivery(id, 3_999),
            abi.encodeWithSelector(IOrderFinancing.DeliveryFalls.selector, uint96(4_000), uint96(3_999))
        );
        _deliveryRefused(
            _delivery(id, 10_001),
            abi.encodeWithSelector(IOrderFinancing.DeliveryOverValue.selector, uint96(10_001), uint96(10_000))
        );
        _deliveryRefused(_delivery(99, 1), _status(99, IOrderFinancing.OrderStatus.None));
        IOrderFinancing.Delivery memory d = _delivery(id, 5_000);
        bytes memory forged = signDelivery(d, SUPPLIER_KEY);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.SignatureInvalid.selector, debtor));
        orders.signDelivery(d, forged);
        vm.warp(d.deadline + 1);
        _deliveryRefused(d, abi.encodeWithSelector(IOrderFinancing.SignatureExpired.selector, d.deadline));
        vm.warp(d.deadline);
        orders.signDelivery(d, signDelivery(d, DEBTOR_KEY));
        vm.prank(supplier);
        orders.lapse(id);
        _deliveryRefused(_delivery(id, 6_000), _status(id, IOrderFinancing.OrderStatus.Lapsed));
    }

    // ---------------------------------------------------------------- draws

    /// @notice The upfront share is drawn at once and the rest as goods come; cash and limits move along.
    function test_draw_in_stages() public {
        uint256 id = opened(10_000, 8_000);
        eq(orders.drawableOn(id), 2_400, "30 % of 8,000");
        vm.expectEmit(address(orders));
        emit IOrderFinancing.Drawn(id, 2_400, 2_400);
        vm.expectEmit(address(pool));
        emit IFinancingPool.OrderAdvanced(id, bank, supplier, debtor, 2_400);
        drawn(id, 2_400);
        eq(token.balanceOf(supplier), 2_400, "cash");
        eq(orders.openAdvances(supplier, debtor), 2_400, "open advances");
        eq(pool.bankOf(bank).exposure, 2_400, "exposure");
        eq(pool.bankOf(bank).liquidity, 1e14 - 2_400, "liquidity");
        eq(pool.debtorLine(bank, debtor).exposure, 2_400, "debtor");
        eq(pool.supplierLine(bank, supplier).exposure, 2_400, "supplier");
        _drawRefused(id, 1, abi.encodeWithSelector(IOrderFinancing.OverDrawable.selector, 1, 0));

        delivered(id, 5_000);
        eq(orders.drawableOn(id), 2_800, "half of the rest");
        _drawRefused(id, 2_801, abi.encodeWithSelector(IOrderFinancing.OverDrawable.selector, 2_801, 2_800));
        drawn(id, 2_800);
        delivered(id, 10_000);
        drawn(id, 2_800);
        IOrderFinancing.Order memory order = orders.orderOf(id);
        eq(order.drawn, 8_000, "drawn");
        eq(order.principal, 8_000, "principal");
        eq(order.accruedAt, block.timestamp, "accrued at");
        eq(orders.openAdvances(supplier, debtor), 8_000, "open advances");
        eq(orders.drawableOn(id), 0, "all drawn");
    }

    /// @notice Only the supplier draws, something, on an open facility, before the delivery date.
    function test_draw_refusals() public {
        uint256 id = accepted(10_000);
        _drawRefused(id, 1, _status(id, IOrderFinancing.OrderStatus.Accepted));
        id = opened(10_000, 8_000);
        vm.prank(debtor);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.NotTheSupplier.selector, id, debtor));
        orders.draw(id, 1);
        _drawRefused(id, 0, abi.encodeWithSelector(IOrderFinancing.ZeroAmount.selector));
        uint40 by = orders.orderOf(id).deliverBy;
        vm.warp(by);
        _drawRefused(id, 1, abi.encodeWithSelector(IOrderFinancing.DeliveryDatePassed.selector, by));
        vm.warp(by - 1);
        drawn(id, 1);
    }

    /// @notice The pool's limits and the recourse rule bound draws as well.
    function test_draw_within_the_limits() public {
        uint256 id = opened(10_000, 8_000);
        vm.prank(bank);
        pool.setDebtorLimit(debtor, 999);
        _drawRefused(
            id,
            1_000,
            abi.encodeWithSelector(IFinancingPool.DebtorLimit.selector, bank, debtor, uint256(1_000), uint96(999))
        );
        drawn(id, 999);
    }

    /// @notice What was paid back is not drawn again.
    function test_draw_is_not_revolving() public {
        uint256 id = opened(10_000, 8_000);
        drawn(id, 2_400);
        vm.prank(supplier);
        orders.repay(id, 2_400);
        eq(orders.drawableOn(id), 0, "nothing");
        delivered(id, 1);
        eq(orders.drawableOn(id), 0, "rounds down");
        delivered(id, 2);
        eq(orders.drawableOn(id), 1, "rounds down");
    }

    /// @notice However it is delivered and drawn: never more than the facility's share of what came.
    function testFuzz_drawable(uint96 value, uint96 facility, uint16 share, uint96 came) public {
        value = uint96(within(value, 100, 1e13));
        facility = uint96(within(facility, 1, uint256(value) * 8_000 / 10_000));
        IOrderFinancing.PurchaseOrder memory o = purchaseOrder(value);
        o.upfrontBps = uint16(within(share, 0, 10_000));
        bytes memory consent = signOrder(o, DEBTOR_KEY);
        vm.prank(supplier);
        uint256 id = orders.accept(o, consent);
        IScoreAttestation.Attestation memory a = attestation(id, address(orders));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier);
        orders.openFacility(id, facility, a, signature);
        uint256 upfront = uint256(facility) * o.upfrontBps / 10_000;
        eq(orders.drawableOn(id), upfront, "upfront");
        if (upfront != 0) drawn(id, uint96(upfront));
        came = uint96(within(came, 1, value));
        delivered(id, came);
        uint256 more = (facility - upfront) * came / value;
        eq(orders.drawableOn(id), more, "as delivered");
        if (more != 0) drawn(id, uint96(more));
        if (came < value) delivered(id, value);
        eq(orders.drawableOn(id), facility - upfront - more, "the rest");
    }

    // ---------------------------------------------------------------- lapse

    /// @notice Supplier or bank end an order on which nothing is drawn, and it is said.
    function test_lapse() public {
        uint256 id = accepted(10_000);
        vm.expectEmit(address(orders));
        emit IOrderFinancing.OrderLapsed(id);
        vm.prank(supplier);
        orders.lapse(id);
        yes(orders.orderOf(id).status == IOrderFinancing.OrderStatus.Lapsed, "lapsed");
        id = opened(10_000, 8_000);
        vm.prank(bank);
        orders.lapse(id);
        yes(orders.orderOf(id).status == IOrderFinancing.OrderStatus.Lapsed, "by the bank");
        _drawRefused(id, 1, _status(id, IOrderFinancing.OrderStatus.Lapsed));
        _openRefused(id, 1, _status(id, IOrderFinancing.OrderStatus.Lapsed));
    }

    /// @notice An order with an open advance, another's, or an ended one does not lapse.
    function test_lapse_refusals() public {
        vm.expectRevert(_status(99, IOrderFinancing.OrderStatus.None));
        orders.lapse(99);
        uint256 id = opened(10_000, 8_000);
        vm.prank(debtor);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.NotTheSupplier.selector, id, debtor));
        orders.lapse(id);
        drawn(id, 100);
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IOrderFinancing.AdvanceOpen.selector, id, uint96(100)));
        orders.lapse(id);
        vm.startPrank(supplier);
        orders.repay(id, 100);
        orders.lapse(id);
        vm.expectRevert(_status(id, IOrderFinancing.OrderStatus.Lapsed));
        orders.lapse(id);
        vm.stopPrank();
    }

    /// @notice The addresses that it was made with are what it uses.
    function test_wiring() public {
        OrderFinancing other = new OrderFinancing(address(registry), address(pool), address(attestations));
        eq(address(other.registry()), address(registry), "registry");
        eq(address(other.pool()), address(pool), "pool");
        eq(address(other.attestations()), address(attestations), "attestations");
    }
}
