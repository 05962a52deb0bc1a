// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFinancingPool} from "../../src/interfaces/IFinancingPool.sol";
import {IOrderFinancing} from "../../src/interfaces/IOrderFinancing.sol";
import {IReceivableRegistry} from "../../src/interfaces/IReceivableRegistry.sol";
import {OrderSteps} from "./OrderSteps.sol";

/// @dev What leaves, loans and orders were after the last step, and the tables of what they may become.
/// It goes by the contracts' own word, not by the model's.
abstract contract Watch is OrderSteps {
    struct LeafSeen {
        uint96 paid;
        uint96 credited;
        IReceivableRegistry.Status status;
        IFinancingPool.LoanStatus loan;
        uint96 principal;
    }

    struct OrderSeen {
        uint96 delivered;
        uint96 drawn;
        IOrderFinancing.OrderStatus status;
    }

    uint256[] private _watched;
    uint256 private _lastWatched;
    mapping(uint256 id => LeafSeen) private _leafSeen;
    uint256[] private _watchedOrders;
    uint256 private _lastWatchedOrder = 1 << 128;
    mapping(uint256 id => OrderSeen) private _orderSeen;

    function _watch() internal override {
        while (_lastWatched < lastId) _watched.push(++_lastWatched);
        for (uint256 i = 0; i < _watched.length;) {
            if (_watchLeaf(_watched[i])) ++i;
            else _forget(_watched, i);
        }
        while (_lastWatchedOrder < lastOrder) _watchedOrders.push(++_lastWatchedOrder);
        for (uint256 i = 0; i < _watchedOrders.length;) {
            if (_watchOrder(_watchedOrders[i])) ++i;
            else _forget(_watchedOrders, i);
        }
    }

    function _forget(uint256[] storage list, uint256 place) private {
        list[place] = list[list.length - 1];
        list.pop();
    }

    /// @dev False once leaf and loan have both ended: letter J sees that they stay so.
    function _watchLeaf(uint256 id) private returns (bool) {
        IReceivableRegistry.Leaf memory leaf = registry.leafOf(id);
        IFinancingPool.Loan memory loan = pool.loanOf(id);
        LeafSeen storage seen = _leafSeen[id];
        yes(leaf.paid >= seen.paid && leaf.credited >= seen.credited, "J: paid or credited fell");
        yes(_leafMayBecome(seen.status, leaf.status), "J: a leaf's status");
        yes(_loanMayBecome(seen.loan, loan.status), "J: a loan's status");
        bool wasOpen = seen.loan != IFinancingPool.LoanStatus.None && seen.loan != IFinancingPool.LoanStatus.Settled;
        yes(!wasOpen || loan.principal <= seen.principal, "J: a principal grew");
        _leafSeen[id] = LeafSeen(leaf.paid, leaf.credited, leaf.status, loan.status, loan.principal);
        bool loanEnded =
            loan.status == IFinancingPool.LoanStatus.None || loan.status == IFinancingPool.LoanStatus.Settled;
        return leaf.status <= IReceivableRegistry.Status.Disputed || !loanEnded;
    }

    function _watchOrder(uint256 id) private returns (bool) {
        IOrderFinancing.Order memory order = orders.orderOf(id);
        OrderSeen storage seen = _orderSeen[id];
        yes(order.delivered >= seen.delivered && order.drawn >= seen.drawn, "J: delivered or drawn fell");
        yes(_orderMayBecome(seen.status, order.status), "J: an order's status");
        _orderSeen[id] = OrderSeen(order.delivered, order.drawn, order.status);
        return order.status != IOrderFinancing.OrderStatus.Converted
            && order.status != IOrderFinancing.OrderStatus.Repaid && order.status != IOrderFinancing.OrderStatus.Lapsed;
    }

    function _leafMayBecome(IReceivableRegistry.Status from, IReceivableRegistry.Status to)
        private
        pure
        returns (bool)
    {
        if (from == to) return true;
        // A new leaf can be disputed, financed or ended in the same step.
        if (from == IReceivableRegistry.Status.None) return true;
        if (from == IReceivableRegistry.Status.Live) return to > from;
        if (from != IReceivableRegistry.Status.Disputed) return false;
        return to == IReceivableRegistry.Status.Live || to == IReceivableRegistry.Status.Settled
            || to == IReceivableRegistry.Status.Cancelled;
    }

    function _loanMayBecome(IFinancingPool.LoanStatus from, IFinancingPool.LoanStatus to) private pure returns (bool) {
        if (from == to) return true;
        // Never financed, or settled: what came back can be financed anew.
        if (from == IFinancingPool.LoanStatus.None || from == IFinancingPool.LoanStatus.Settled) {
            return to == IFinancingPool.LoanStatus.Open;
        }
        if (to == IFinancingPool.LoanStatus.Settled) return true;
        if (from == IFinancingPool.LoanStatus.Open) return to == IFinancingPool.LoanStatus.Defaulted;
        return from == IFinancingPool.LoanStatus.Defaulted && to == IFinancingPool.LoanStatus.WrittenOff;
    }

    function _orderMayBecome(IOrderFinancing.OrderStatus from, IOrderFinancing.OrderStatus to)
        private
        pure
        returns (bool)
    {
        if (from == to || from == IOrderFinancing.OrderStatus.None) return true;
        if (from == IOrderFinancing.OrderStatus.Accepted) {
            return to == IOrderFinancing.OrderStatus.Open || to == IOrderFinancing.OrderStatus.Lapsed;
        }
        if (from == IOrderFinancing.OrderStatus.Open) {
            return to == IOrderFinancing.OrderStatus.Converted || to == IOrderFinancing.OrderStatus.Defaulted
                || to == IOrderFinancing.OrderStatus.Lapsed;
        }
        if (from == IOrderFinancing.OrderStatus.Defaulted) {
            return to == IOrderFinancing.OrderStatus.Converted || to == IOrderFinancing.OrderStatus.Repaid
                || to == IOrderFinancing.OrderStatus.WrittenOff;
        }
        return from == IOrderFinancing.OrderStatus.WrittenOff && to == IOrderFinancing.OrderStatus.Repaid;
    }
}
