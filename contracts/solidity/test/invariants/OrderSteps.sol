// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFinancingPool} from "../../src/interfaces/IFinancingPool.sol";
import {IOrderFinancing} from "../../src/interfaces/IOrderFinancing.sol";
import {IReceivableRegistry} from "../../src/interfaces/IReceivableRegistry.sol";
import {IScoreAttestation} from "../../src/interfaces/IScoreAttestation.sol";
import {LoanSteps} from "./LoanSteps.sol";

/// @dev Purchase orders, from the buyer's signature to the invoice or the loss.
abstract contract OrderSteps is LoanSteps {
    // ---------------------------------------------------------------- birth

    function acceptOrder(uint256 seed) external step(seed) {
        _accepted();
    }

    function _accepted() private returns (uint256 id) {
        if (orderIds.length >= MOST_ORDERS) return 0;
        IOrderFinancing.PurchaseOrder memory o = purchaseOrder(uint96(_draw(1_000, 1e7)));
        o.supplier = _anySupplier();
        o.buyer = _anyDebtor();
        o.deliverBy = uint40(clock + _draw(5 days, 90 days));
        o.upfrontBps = uint16(_draw(0, 10_000));
        bytes memory consent = signOrder(o, keyOf[o.buyer]);
        bytes memory call = abi.encodeCall(orders.accept, (o, consent));
        _refused(nobody, address(orders), call, IOrderFinancing.NotTheSupplier.selector);
        vm.prank(o.supplier);
        id = orders.accept(o, consent);
        eq(id, ++lastOrder, "a new order takes the next id");
        _refused(o.supplier, address(orders), call, IOrderFinancing.FingerprintTaken.selector);
        IOrderFinancing.Order storage order = orderOf[id];
        order.supplier = o.supplier;
        order.deliverBy = o.deliverBy;
        order.upfrontBps = o.upfrontBps;
        order.status = IOrderFinancing.OrderStatus.Accepted;
        order.buyer = o.buyer;
        order.value = o.value;
        order.fingerprint = o.fingerprint;
        orderIds.push(id);
        placeInOrders[id] = orderIds.length;
        _did("acceptOrder");
    }

    function _endOrder(uint256 id, IOrderFinancing.OrderStatus status) private {
        orderOf[id].status = status;
        _remove(orderIds, placeInOrders, id);
        endedOrders.push(id);
    }

    // ---------------------------------------------------------------- facility, delivery, draws

    function _canOpen(uint256 id) internal view returns (bool) {
        return orderOf[id].status == IOrderFinancing.OrderStatus.Accepted && clock < orderOf[id].deliverBy;
    }

    function openFacility(uint256 seed) external step(seed) {
        _opened();
    }

    function _opened() private returns (uint256 id) {
        id = _pick(orderIds, _canOpen);
        if (id == 0) id = _accepted();
        if (id == 0) return 0;
        IOrderFinancing.Order storage order = orderOf[id];
        address bank_ = _bankFor(order.supplier);
        if (bank_ == address(0)) bank_ = bank;
        IScoreAttestation.Attestation memory a = _attestation(bank_, order.supplier, id, address(orders));
        a.advanceCapBps = uint16(_draw(1_000, 10_000));
        uint256 share = bankTerms[bank_].maxAdvanceBps;
        if (a.advanceCapBps < share) share = a.advanceCapBps;
        uint256 cap = uint256(order.value) * share / 10_000;
        if (cap == 0) return 0;
        bytes memory signature = signAttestation(a, _signerKey(bank_));
        _refused(
            order.supplier,
            address(orders),
            abi.encodeCall(orders.openFacility, (id, uint96(cap + 1), a, signature)),
            IOrderFinancing.FacilityOverCap.selector
        );
        (wantedClaim, wantedAmount) = (id, uint96(_draw(cap / 2 + 1, cap)));
        _tryBadAttestation(order.supplier, address(orders), a, _encodeFacility);
        vm.prank(order.supplier);
        orders.openFacility(id, wantedAmount, a, signature);
        order.status = IOrderFinancing.OrderStatus.Open;
        order.bank = bank_;
        order.facility = wantedAmount;
        order.rateBps = a.rateBps;
        order.graceSeconds = bankTerms[bank_].graceSeconds;
        origins[id] = Origin(order.buyer, wantedAmount, order.value, uint16(share), 0, id);
        _use(bank_, a.nonce);
        _did("openFacility");
    }

    function _encodeFacility(IScoreAttestation.Attestation memory a, bytes memory signature)
        internal
        view
        returns (bytes memory)
    {
        return abi.encodeCall(orders.openFacility, (wantedClaim, wantedAmount, a, signature));
    }

    function _canDeliver(uint256 id) internal view returns (bool) {
        IOrderFinancing.Order storage order = orderOf[id];
        return (order.status == IOrderFinancing.OrderStatus.Accepted
                || order.status == IOrderFinancing.OrderStatus.Open) && order.delivered < order.value;
    }

    function signForDelivery(uint256 seed) external step(seed) {
        uint256 id = _pick(orderIds, _canDeliver);
        if (id == 0) return;
        IOrderFinancing.Order storage order = orderOf[id];
        IOrderFinancing.Delivery memory d = IOrderFinancing.Delivery({
            order: id, deliveredValue: order.value + 1, documentHash: keccak256("delivery"), deadline: uint40(clock)
        });
        bytes memory call = abi.encodeCall(orders.signDelivery, (d, signDelivery(d, keyOf[order.buyer])));
        _refused(nobody, address(orders), call, IOrderFinancing.DeliveryOverValue.selector);
        d.deliveredValue = uint96(_draw(order.delivered + 1, order.value));
        bytes memory consent = signDelivery(d, keyOf[order.buyer]);
        vm.prank(nobody);
        orders.signDelivery(d, consent);
        order.delivered = d.deliveredValue;
        call = abi.encodeCall(orders.signDelivery, (d, consent));
        _refused(nobody, address(orders), call, IOrderFinancing.DeliveryFalls.selector);
        _did("signForDelivery");
    }

    function _drawable(uint256 id) internal view returns (uint256) {
        IOrderFinancing.Order storage order = orderOf[id];
        if (order.status != IOrderFinancing.OrderStatus.Open) return 0;
        uint256 upfront = uint256(order.facility) * order.upfrontBps / 10_000;
        return upfront + (order.facility - upfront) * order.delivered / order.value - order.drawn;
    }

    function _canDraw(uint256 id) internal view returns (bool) {
        IOrderFinancing.Order storage order = orderOf[id];
        return _drawable(id) != 0 && clock < order.deliverBy && !_frozen(address(token), order.supplier)
            && _recourse(order.bank, order.supplier) == 0;
    }

    function draw(uint256 seed) external step(seed) {
        uint256 id = _pick(orderIds, _canDraw);
        if (id == 0) {
            id = _opened();
            if (id == 0 || !_canDraw(id)) return;
        }
        IOrderFinancing.Order storage order = orderOf[id];
        uint96 most = uint96(_drawable(id));
        uint96 amount = uint96(_draw(1, most));
        bytes memory call = abi.encodeCall(orders.draw, (id, most + 1));
        _refused(order.supplier, address(orders), call, IOrderFinancing.OverDrawable.selector);
        call = abi.encodeCall(orders.draw, (id, amount));
        if (poolPaused) {
            _refusedByPause(order.supplier, address(orders), call);
            return;
        }
        _refused(nobody, address(orders), call, IOrderFinancing.NotTheSupplier.selector);
        _makeRoom(order.supplier, address(orders), call, [order.bank, order.buyer, order.supplier], amount, amount);
        vm.prank(order.supplier);
        orders.draw(id, amount);
        _accrueOrder(id);
        order.drawn += amount;
        order.principal += amount;
        liquidity[order.bank] -= amount;
        _move(address(token), address(pool), order.supplier, amount);
        _did("draw");
    }

    function _accrueOrder(uint256 id) private {
        IOrderFinancing.Order storage order = orderOf[id];
        if (order.status != IOrderFinancing.OrderStatus.WrittenOff && order.principal != 0) {
            order.interestDue += _interest(order.principal, order.rateBps, clock - order.accruedAt);
        }
        order.accruedAt = uint40(clock);
    }

    function _owedOnOrder(uint256 id) internal view returns (uint96) {
        IOrderFinancing.Order storage order = orderOf[id];
        uint96 owed = order.principal + order.interestDue;
        if (order.principal == 0 || order.status == IOrderFinancing.OrderStatus.WrittenOff) return owed;
        return owed + _interest(order.principal, order.rateBps, clock - order.accruedAt);
    }

    // ---------------------------------------------------------------- the ways it ends

    function repayOrder(uint256 seed) external step(seed) {
        uint256 id = _pick(orderIds, _owes);
        if (id == 0) return;
        _pauseAll(6);
        uint96 owed = _owedOnOrder(id);
        _repayOrder(id, uint96(_chance(2) ? _draw(owed, owed + 5) : _draw(1, owed)));
    }

    /// @dev Pays back what is asked, or what is owed where that is less; interest first.
    function _repayOrder(uint256 id, uint96 asked) internal {
        _accrueOrder(id);
        IOrderFinancing.Order storage order = orderOf[id];
        uint96 owed = order.principal + order.interestDue;
        uint96 amount = _least(asked, owed);
        uint96 interest = _least(order.interestDue, amount);
        address payer = _frozen(address(token), order.supplier) ? nobody : order.supplier;
        _fund(address(token), payer, amount);
        vm.prank(payer);
        orders.repay(id, asked);
        order.interestDue -= interest;
        order.principal -= amount - interest;
        liquidity[order.bank] += amount;
        _move(address(token), payer, address(pool), amount);
        if (amount == owed && order.status != IOrderFinancing.OrderStatus.Open) {
            _endOrder(id, IOrderFinancing.OrderStatus.Repaid);
            _did("order repaid");
        }
        if (poolPaused) _did("order repayment while paused");
        _did("repayOrder");
    }

    function _convertible(uint256 id) internal view returns (bool) {
        IOrderFinancing.Order storage order = orderOf[id];
        bool is_ =
            order.status == IOrderFinancing.OrderStatus.Open || order.status == IOrderFinancing.OrderStatus.Defaulted;
        return is_ && !_frozen(address(token), order.supplier) && _recourse(order.bank, order.supplier) == 0;
    }

    function _convertibleOwing(uint256 id) internal view returns (bool) {
        return _convertible(id) && _owes(id);
    }

    function convert(uint256 seed) external step(seed) {
        if (loans.length >= MOST_LOANS) return;
        uint256 id = _pick(orderIds, _convertibleOwing);
        if (id == 0) id = _pick(orderIds, _convertible);
        if (id == 0) {
            id = _opened();
            _watch();
        }
        if (id == 0 || !_convertible(id)) return;
        _convert(id);
    }

    function _convert(uint256 id) private {
        IOrderFinancing.Order storage order = orderOf[id];
        if (bankTerms[order.bank].maxAdvanceBps == 0) _standardTerms(order.bank);
        uint96 retired = _owedOnOrder(id);
        IReceivableRegistry.Confirmation memory c = confirmation(retired * uint96(_draw(2, 20)) + 1_000);
        (c.supplier, c.debtor, c.order) = (order.supplier, order.buyer, id);
        c.dueDate = uint40(clock + _draw(1 days, 90 days));
        bytes memory consent = signConfirmation(c, keyOf[c.debtor]);
        IScoreAttestation.Attestation memory a = _attestation(order.bank, order.supplier, id, address(pool));
        uint256 cap = uint256(c.face) * _capBps(a) / 10_000;
        uint96 principal = _principalThatRetires(retired, uint96(cap), a.rateBps, c.dueDate - clock);
        if (principal == 0) return;
        bytes memory call =
            abi.encodeCall(orders.convert, (id, c, consent, principal, a, signAttestation(a, _signerKey(a.bank))));
        if (poolPaused || registryPaused) {
            _refusedByPause(order.supplier, address(orders), call);
            return;
        }
        _makeRoomSilently([order.bank, order.buyer, order.supplier]);
        if (liquidity[order.bank] < principal) _deposit(order.bank, principal);
        _refused(nobody, address(registry), abi.encodeCall(registry.confirm, (c, consent)), _onlyOrders());
        _refused(nobody, address(orders), call, IOrderFinancing.NotTheSupplier.selector);
        vm.prank(order.supplier);
        (bool succeeded, bytes memory answer) = address(orders).call(call);
        if (!succeeded) revert NotTrue(string.concat("convert: ", vm.toString(uint256(uint32(bytes4(answer))))));
        _bookConverted(id, abi.decode(answer, (uint256)), c, a, principal);
        _refused(order.supplier, address(orders), call, IOrderFinancing.WrongStatus.selector);
    }

    function _onlyOrders() private pure returns (bytes4) {
        return IReceivableRegistry.OnlyOrders.selector;
    }

    /// @dev A principal up to the cap whose payout pays the advance back; 0 where there is none.
    function _principalThatRetires(uint96 retired, uint96 cap, uint16 rateBps, uint256 seconds_)
        private
        returns (uint96 principal)
    {
        if (cap == 0) return 0;
        principal = _chance(2) ? cap : uint96(_draw(cap / 2 + 1, cap));
        uint96 discount = _interest(principal, rateBps, seconds_);
        if (discount >= principal || principal - discount < retired) return 0;
    }

    function _bookConverted(
        uint256 id,
        uint256 receivable,
        IReceivableRegistry.Confirmation memory c,
        IScoreAttestation.Attestation memory a,
        uint96 principal
    ) private {
        IOrderFinancing.Order storage order = orderOf[id];
        uint96 retired = _owedOnOrder(id);
        uint96 discount = _interest(principal, a.rateBps, c.dueDate - clock);
        order.accruedAt = uint40(clock);
        liquidity[order.bank] += retired;
        (order.principal, order.interestDue) = (0, 0);
        _bookConfirmed(receivable, c);
        _bookLent(receivable, a, principal, principal - discount, id);
        // The payout pays the advance back before the rest of it reaches the supplier.
        _move(address(token), order.supplier, address(pool), retired);
        _endOrder(id, IOrderFinancing.OrderStatus.Converted);
        _did(retired == 0 ? bytes32("convert without an advance") : bytes32("convert"));
    }

    function _canDefault(uint256 id) internal view returns (bool) {
        return orderOf[id].status == IOrderFinancing.OrderStatus.Open && _owes(id);
    }

    function defaultOrder(uint256 seed) external step(seed) {
        uint256 id = _pick(orderIds, _isLateOrder);
        if (id == 0) id = _pick(orderIds, _canDefault);
        if (id != 0) _defaultOrder(id);
    }

    function _isLateOrder(uint256 id) internal view returns (bool) {
        return _canDefault(id) && clock > uint256(orderOf[id].deliverBy) + orderOf[id].graceSeconds;
    }

    function _defaultOrder(uint256 id) private {
        IOrderFinancing.Order storage order = orderOf[id];
        bytes memory call = abi.encodeCall(orders.declareDefault, (id));
        uint256 last = uint256(order.deliverBy) + order.graceSeconds;
        if (clock <= last) {
            _refused(order.bank, address(orders), call, IOrderFinancing.TooEarly.selector);
            if (!_chance(3)) return;
            _travel(last);
            _refused(order.bank, address(orders), call, IOrderFinancing.TooEarly.selector);
            _travel(last + 1);
        }
        _refused(nobody, address(orders), call, IOrderFinancing.NotTheBank.selector);
        vm.prank(order.bank);
        orders.declareDefault(id);
        _accrueOrder(id);
        order.status = IOrderFinancing.OrderStatus.Defaulted;
        orderDefaultedAt[id] = uint40(clock);
        _did("defaultOrder");
    }

    function _defaultedOrder(uint256 id) internal view returns (bool) {
        return orderOf[id].status == IOrderFinancing.OrderStatus.Defaulted;
    }

    function writeOffOrder(uint256 seed) external step(seed) {
        uint256 id = _pick(orderIds, _defaultedOrder);
        if (id == 0) {
            id = _pick(orderIds, _canDefault);
            if (id == 0) return;
            _travel(uint256(orderOf[id].deliverBy) + orderOf[id].graceSeconds + 1);
            _defaultOrder(id);
            _watch();
        }
        IOrderFinancing.Order storage order = orderOf[id];
        bytes memory call = abi.encodeCall(orders.writeOff, (id));
        _refused(nobody, address(orders), call, IOrderFinancing.NotTheBank.selector);
        vm.prank(order.bank);
        orders.writeOff(id);
        _accrueOrder(id);
        order.status = IOrderFinancing.OrderStatus.WrittenOff;
        _did("writeOffOrder");
    }

    function _mayLapse(uint256 id) internal view returns (bool) {
        IOrderFinancing.Order storage order = orderOf[id];
        return order.status == IOrderFinancing.OrderStatus.Accepted
            || (order.status == IOrderFinancing.OrderStatus.Open && order.principal == 0);
    }

    function lapseOrder(uint256 seed) external step(seed) {
        uint256 id = _pick(orderIds, _canDefault);
        if (id != 0) {
            bytes memory call = abi.encodeCall(orders.lapse, (id));
            _refused(orderOf[id].supplier, address(orders), call, IOrderFinancing.AdvanceOpen.selector);
        }
        id = _pick(orderIds, _mayLapse);
        if (id == 0 || (clock < orderOf[id].deliverBy && !_chance(3))) return;
        vm.prank(orderOf[id].supplier);
        orders.lapse(id);
        _endOrder(id, IOrderFinancing.OrderStatus.Lapsed);
        _did("lapseOrder");
    }

    /// @dev Nobody but the order contract makes the pool lend on orders.
    function poseAsOrders(uint256 seed) external step(seed) {
        address poser = _chance(2) ? _anySupplier() : nobody;
        bytes4 why = IFinancingPool.OnlyOrders.selector;
        address supplier_ = _anySupplier();
        _refused(poser, address(pool), abi.encodeCall(pool.advanceOrder, (1, bank, supplier_, debtors[0], 1)), why);
        _refused(
            poser, address(pool), abi.encodeCall(pool.retireOrder, (1, bank, supplier_, debtors[0], nobody, 1, 1)), why
        );
        _refused(poser, address(pool), abi.encodeCall(pool.writeOffOrder, (1, bank, supplier_, debtors[0], 1)), why);
        _refused(
            poser,
            address(pool),
            abi.encodeCall(pool.onPayment, (1, 1, false, debtors[0], uint40(clock))),
            IFinancingPool.OnlyRegistry.selector
        );
        _did("poseAsOrders");
    }
}
