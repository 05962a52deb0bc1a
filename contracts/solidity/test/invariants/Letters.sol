// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFinancingPool} from "../../src/interfaces/IFinancingPool.sol";
import {IOrderFinancing} from "../../src/interfaces/IOrderFinancing.sol";
import {IReceivableRegistry} from "../../src/interfaces/IReceivableRegistry.sol";
import {FreezableToken} from "./FreezableToken.sol";
import {Watch} from "./Watch.sol";

/// @dev The rules, one function a letter. Each reads the contracts and compares with the model, or
/// sums the contracts' own books. A failure's text begins with the letter.
contract Letters is Watch {
    /// @notice A: the remaining amounts of a debtor's live leaves sum to what it owes in that token.
    function letterA() public view {
        uint256[2][3] memory sums;
        for (uint256 i = 0; i < live.length; ++i) {
            (IReceivableRegistry.Leaf memory leaf, IReceivableRegistry.Terms memory t,) = registry.positionOf(live[i]);
            sums[_debtorIndex(t.debtor)][t.token == address(coins[0]) ? 0 : 1] += leaf.face - leaf.paid - leaf.credited;
        }
        for (uint256 d = 0; d < 3; ++d) {
            for (uint256 c = 0; c < 2; ++c) {
                eq(registry.outstandingOf(debtors[d], address(coins[c])), sums[d][c], "A: live leaves and outstanding");
            }
        }
        yes(registry.leafOf(lastId + 1).status == IReceivableRegistry.Status.None, "A: a leaf that nobody made");
    }

    function _debtorIndex(address debtor_) private view returns (uint256) {
        return debtor_ == debtors[0] ? 0 : debtor_ == debtors[1] ? 1 : 2;
    }

    /// @notice B: children sum to what remained of their parent, and over a whole invoice what is open,
    /// paid and credited sums to its face.
    function letterB() public view {
        uint256[] memory open = new uint256[](lastId + 1);
        for (uint256 i = 0; i < live.length; ++i) {
            open[leaves[live[i]].root] += registry.remainingOf(live[i]);
        }
        for (uint256 i = 0; i < roots.length; ++i) {
            Tree storage tree = trees[roots[i]];
            eq(open[roots[i]], tree.open, "B: open leaves of an invoice");
            if (!tree.cancelled) eq(tree.open + tree.paid + tree.credited, tree.face, "B: an invoice's face");
        }
        uint256 first = dead.length > 4 ? dead.length - 4 : 0;
        for (uint256 i = first; i < dead.length; ++i) {
            _checkChildren(dead[i]);
        }
    }

    function _checkChildren(uint256 id) private view {
        IReceivableRegistry.Leaf memory leaf = registry.leafOf(id);
        if (leaf.status != IReceivableRegistry.Status.Split) return;
        eq(childrenSum[id], leaf.face - leaf.paid - leaf.credited, "B: children and parent");
    }

    /// @notice C: paid and credited never exceed the face; a leaf is settled exactly when they reach it.
    function letterC() public view {
        for (uint256 i = 0; i < live.length; ++i) {
            IReceivableRegistry.Leaf memory leaf = registry.leafOf(live[i]);
            yes(uint256(leaf.paid) + leaf.credited < leaf.face, "C: a live leaf is not paid up");
        }
        uint256 first = dead.length > 4 ? dead.length - 4 : 0;
        for (uint256 i = first; i < dead.length; ++i) {
            IReceivableRegistry.Leaf memory leaf = registry.leafOf(dead[i]);
            uint256 gone = uint256(leaf.paid) + leaf.credited;
            yes(gone <= leaf.face, "C: paid and credited exceed the face");
            yes(
                (gone == leaf.face) == (leaf.status == IReceivableRegistry.Status.Settled),
                "C: settled is when all is paid or credited"
            );
        }
    }

    /// @notice D: an advance was at most the cap's share of what remained then, and never grows.
    function letterD() public view {
        for (uint256 i = 0; i < loans.length; ++i) {
            Origin storage origin = origins[loans[i]];
            yes(uint256(origin.principal) * 10_000 <= uint256(origin.remaining) * origin.capBps, "D: over the cap");
            yes(pool.loanOf(loans[i]).principal <= origin.principal, "D: a principal grew");
        }
        for (uint256 i = 0; i < orderIds.length; ++i) {
            Origin storage origin = origins[orderIds[i]];
            IOrderFinancing.Order memory order = orders.orderOf(orderIds[i]);
            yes(uint256(origin.principal) * 10_000 <= uint256(origin.remaining) * origin.capBps, "D: facility over cap");
            yes(order.drawn <= order.facility && order.principal <= order.drawn, "D: drawn over the facility");
        }
    }

    /// @notice E: the pool's cash is the banks' liquidity and what it holds for receivers.
    function letterE() public view {
        uint256 sum = 0;
        for (uint256 i = 0; i < banks.length; ++i) {
            sum += pool.bankOf(banks[i]).liquidity;
        }
        for (uint256 i = 0; i < accounts.length; ++i) {
            sum += pool.heldFor(accounts[i]);
        }
        eq(token.balanceOf(address(pool)), sum, "E: the pool's cash");
        eq(coins[1].balanceOf(address(pool)), 0, "E: the pool has no other money");
    }

    /// @notice F: the registry's cash is what it holds for receivers; the order contract has none.
    function letterF() public view {
        for (uint256 k = 0; k < coins.length; ++k) {
            uint256 sum = 0;
            for (uint256 i = 0; i < accounts.length; ++i) {
                sum += registry.heldFor(address(coins[k]), accounts[i]);
            }
            eq(coins[k].balanceOf(address(registry)), sum, "F: the registry's cash");
            eq(coins[k].balanceOf(address(orders)), 0, "F: the order contract's cash");
        }
    }

    /// @notice G: a fingerprint has one live tree at most, and its revision counts cancellations.
    function letterG() public view {
        uint256 first = roots.length > 8 ? roots.length - 8 : 0;
        for (uint256 i = first; i < roots.length; ++i) {
            bytes32 fingerprint = terms[roots[i]].fingerprint;
            yes(liveTrees[fingerprint] <= 1, "G: two live trees of one fingerprint");
            if (trees[roots[i]].cancelled) yes(registry.rootOf(fingerprint) != roots[i], "G: a cancelled tree");
            else eq(registry.rootOf(fingerprint), roots[i], "G: the tree of a fingerprint");
            eq(registry.revisionOf(fingerprint), revisions[fingerprint], "G: revision");
        }
    }

    /// @notice H: a live leaf is the pool's exactly when a loan on it is unpaid, and that loan has one bank.
    function letterH() public view {
        for (uint256 i = 0; i < live.length; ++i) {
            IFinancingPool.Loan memory loan = pool.loanOf(live[i]);
            bool unpaid =
                loan.status != IFinancingPool.LoanStatus.None && loan.status != IFinancingPool.LoanStatus.Settled;
            yes((registry.ownerOf(live[i]) == address(pool)) == unpaid, "H: the pool holds what is financed");
            if (unpaid) eq(loan.bank, loanOf[live[i]].bank, "H: a loan changed its bank");
        }
    }

    /// @notice I: each nonce that was used stays used; bad attestations were refused as they were tried.
    function letterI() public view {
        for (uint256 k = 0; k < banks.length; ++k) {
            uint64[] storage nonces = usedNonces[banks[k]];
            uint256 first = nonces.length > 4 ? nonces.length - 4 : 0;
            for (uint256 n = first; n < nonces.length; ++n) {
                yes(attestations.isUsed(banks[k], nonces[n]), "I: a used nonce");
            }
            yes(!attestations.isUsed(banks[k], nextNonce), "I: a nonce that nobody used");
            if (revokedKey[banks[k]] == 0) continue;
            yes(attestations.isRevoked(banks[k], vm.addr(revokedKey[banks[k]])), "I: a revoked key");
        }
    }

    /// @notice J: leaves, loans and orders that have ended stay as they were. (That each step moves
    /// them only as the tables of Watch allow is checked after it.)
    function letterJ() public view {
        uint256 first = dead.length > 4 ? dead.length - 4 : 0;
        for (uint256 k = first; k < dead.length; ++k) {
            _checkEnded(dead[k]);
        }
        first = endedOrders.length > 4 ? endedOrders.length - 4 : 0;
        for (uint256 k = first; k < endedOrders.length; ++k) {
            IOrderFinancing.Order memory order = orders.orderOf(endedOrders[k]);
            eq(uint8(order.status), uint8(orderOf[endedOrders[k]].status), "J: an order that has ended");
        }
    }

    function _checkEnded(uint256 id) private view {
        (IReceivableRegistry.Leaf memory leaf,, address holder) = registry.positionOf(id);
        eq(keccak256(abi.encode(leaf)) == keccak256(abi.encode(leaves[id])) ? 0 : 1, 0, "J: a leaf that has ended");
        eq(holder, address(0), "J: a holder of nothing");
    }

    /// @notice K: no loan and no order was in default before its due date and grace had passed.
    function letterK() public view {
        for (uint256 i = 0; i < loans.length; ++i) {
            IFinancingPool.Loan memory loan = pool.loanOf(loans[i]);
            if (loan.status == IFinancingPool.LoanStatus.Open) continue;
            yes(origins[loans[i]].defaultedAt > uint256(loan.dueDate) + loan.graceSeconds, "K: default too early");
        }
        for (uint256 i = 0; i < orderIds.length; ++i) {
            IOrderFinancing.Order memory order = orders.orderOf(orderIds[i]);
            if (order.status < IOrderFinancing.OrderStatus.Defaulted) continue;
            yes(orderDefaultedAt[orderIds[i]] > uint256(order.deliverBy) + order.graceSeconds, "K: order too early");
        }
    }

    /// @notice L: exposures of a bank, and its lines to debtors and suppliers, are the open advances.
    function letterL() public view {
        uint256[3] memory ofBank;
        uint256[3][3] memory ofDebtor;
        uint256[4][3] memory ofSupplier;
        for (uint256 i = 0; i < loans.length; ++i) {
            IFinancingPool.Loan memory loan = pool.loanOf(loans[i]);
            if (loan.status == IFinancingPool.LoanStatus.WrittenOff) continue;
            uint256 bank_ = _bankIndex(loan.bank);
            ofBank[bank_] += loan.principal;
            ofDebtor[bank_][_debtorIndex(registry.termsOf(loans[i]).debtor)] += loan.principal;
            ofSupplier[bank_][_supplierIndex(loan.supplier)] += loan.principal;
        }
        for (uint256 i = 0; i < orderIds.length; ++i) {
            IOrderFinancing.Order memory order = orders.orderOf(orderIds[i]);
            if (order.status == IOrderFinancing.OrderStatus.WrittenOff || order.principal == 0) continue;
            uint256 bank_ = _bankIndex(order.bank);
            ofBank[bank_] += order.principal;
            ofDebtor[bank_][_debtorIndex(order.buyer)] += order.principal;
            ofSupplier[bank_][_supplierIndex(order.supplier)] += order.principal;
        }
        for (uint256 n = 0; n < 3; ++n) {
            eq(pool.bankOf(banks[n]).exposure, ofBank[n], "L: a bank's exposure");
            for (uint256 m = 0; m < 3; ++m) {
                eq(pool.debtorLine(banks[n], debtors[m]).exposure, ofDebtor[n][m], "L: exposure to a debtor");
            }
            for (uint256 m = 0; m < 4; ++m) {
                eq(pool.supplierLine(banks[n], suppliers[m]).exposure, ofSupplier[n][m], "L: exposure to a supplier");
            }
        }
    }

    function _bankIndex(address bank_) private view returns (uint256) {
        return bank_ == banks[0] ? 0 : bank_ == banks[1] ? 1 : 2;
    }

    function _supplierIndex(address supplier_) private view returns (uint256) {
        for (uint256 i = 0; i < 3; ++i) {
            if (suppliers[i] == supplier_) return i;
        }
        return 3;
    }

    /// @notice M: what the pool holds stays with the pool: no approval lets anybody else move it.
    function letterM() public view {
        for (uint256 i = 0; i < loans.length; ++i) {
            if (!_isLive(loans[i])) continue;
            eq(registry.ownerOf(loans[i]), address(pool), "M: a financed claim is the pool's");
            eq(registry.getApproved(loans[i]), address(0), "M: nobody else may move it");
            yes(!registry.isApprovedForAll(address(pool), loanOf[loans[i]].supplier), "M: nor may its supplier");
            yes(registry.leafOf(loans[i]).status == IReceivableRegistry.Status.Live, "M: it is not in dispute");
        }
    }

    /// @notice O: no money comes or goes: everybody's balance is the model's, and they sum to the supply.
    function letterO() public view {
        for (uint256 n = 0; n < coins.length; ++n) {
            uint256 sum = 0;
            for (uint256 i = 0; i < accounts.length; ++i) {
                uint256 balance = coins[n].balanceOf(accounts[i]);
                eq(balance, cash[address(coins[n])][accounts[i]], "O: a balance");
                sum += balance;
            }
            eq(coins[n].totalSupply(), sum, "O: all balances and the supply");
            eq(minted[address(coins[n])], sum, "O: all balances and what was minted");
        }
        for (uint256 i = 0; i < banks.length; ++i) {
            eq(pool.bankOf(banks[i]).liquidity, liquidity[banks[i]], "O: a bank's liquidity");
        }
    }

    /// @notice P: a supplier's recourse count at a bank is its unpaid loans with recourse in default.
    function letterP() public view {
        uint256[4][3] memory counts;
        for (uint256 i = 0; i < loans.length; ++i) {
            IFinancingPool.Loan memory loan = pool.loanOf(loans[i]);
            if (!loan.recourse || loan.status == IFinancingPool.LoanStatus.Open) continue;
            ++counts[_bankIndex(loan.bank)][_supplierIndex(loan.supplier)];
        }
        for (uint256 n = 0; n < banks.length; ++n) {
            for (uint256 s = 0; s < suppliers.length; ++s) {
                eq(
                    pool.supplierLine(banks[n], suppliers[s]).recourse,
                    counts[n][s],
                    "P: loans with recourse in default"
                );
            }
        }
    }

    /// @notice Q: open advances of supplier and buyer are the principals of their orders that have not ended; deliveries stay
    /// within the order, draws within what delivery has freed.
    function letterQ() public view {
        for (uint256 s = 0; s < suppliers.length; ++s) {
            for (uint256 n = 0; n < debtors.length; ++n) {
                eq(
                    orders.openAdvances(suppliers[s], debtors[n]),
                    _openAdvances(suppliers[s], debtors[n]),
                    "Q: open advances"
                );
                eq(orders.liveOrders(suppliers[s], debtors[n]), _liveOrders(suppliers[s], debtors[n]), "Q: live orders");
            }
        }
        for (uint256 i = 0; i < orderIds.length; ++i) {
            IOrderFinancing.Order memory order = orders.orderOf(orderIds[i]);
            yes(order.delivered <= order.value, "Q: delivered over the order");
            uint256 upfront = uint256(order.facility) * order.upfrontBps / 10_000;
            uint256 freed_ = upfront + (order.facility - upfront) * order.delivered / order.value;
            yes(order.drawn <= freed_, "Q: drawn before delivery");
            yes(order.principal != 0 || order.interestDue == 0, "Q: interest without an advance");
        }
    }

    /// @notice R: an order's advance and its invoice's are never open both: the order ends as the invoice
    /// is financed.
    function letterR() public view {
        for (uint256 i = 0; i < loans.length; ++i) {
            uint256 order = origins[loans[i]].order;
            if (order == 0) continue;
            IOrderFinancing.Order memory entry = orders.orderOf(order);
            yes(entry.status == IOrderFinancing.OrderStatus.Converted, "R: an order with a financed invoice is over");
            eq(entry.principal + entry.interestDue, 0, "R: and nothing is owed on it");
        }
    }

    /// @notice S: with everything paused, a claim can be paid, a loan bought back, an order repaid and
    /// money taken out. Foundry undoes what an invariant does.
    function letterS() public {
        vm.startPrank(pauser);
        if (!registryPaused) registry.pause();
        if (!poolPaused) pool.pause();
        vm.stopPrank();
        (registryPaused, poolPaused) = (true, true);
        vm.warp(clock);
        if (live.length != 0) _pay(live[live.length - 1], 1);
        if (loans.length != 0) {
            uint256 id = loans[loans.length - 1];
            if (_canPay(id)) _repurchase(id);
        }
        for (uint256 i = 0; i < orderIds.length; ++i) {
            if (!_owes(orderIds[i])) continue;
            _repayOrder(orderIds[i], 1);
            break;
        }
        if (liquidity[bank] != 0) {
            vm.prank(bank);
            pool.withdraw(1);
        }
    }

    /// @notice T: leaves, loans and orders are what the model says, field by field.
    function letterT() public view {
        for (uint256 i = 0; i < live.length; ++i) {
            (IReceivableRegistry.Leaf memory leaf, IReceivableRegistry.Terms memory t, address holder) =
                registry.positionOf(live[i]);
            yes(keccak256(abi.encode(leaf)) == keccak256(abi.encode(leaves[live[i]])), "T: a leaf");
            yes(keccak256(abi.encode(t)) == keccak256(abi.encode(_termsOf(live[i]))), "T: terms");
            eq(holder, holderOf[live[i]], "T: a holder");
        }
        for (uint256 i = 0; i < loans.length; ++i) {
            yes(keccak256(abi.encode(pool.loanOf(loans[i]))) == keccak256(abi.encode(loanOf[loans[i]])), "T: a loan");
        }
        for (uint256 i = 0; i < orderIds.length; ++i) {
            uint256 id = orderIds[i];
            yes(keccak256(abi.encode(orders.orderOf(id))) == keccak256(abi.encode(orderOf[id])), "T: an order");
        }
    }

    function everyLetter() external {
        letterA();
        letterB();
        letterC();
        letterD();
        letterE();
        letterF();
        letterG();
        letterH();
        letterI();
        letterJ();
        letterK();
        letterL();
        letterM();
        letterO();
        letterP();
        letterQ();
        letterR();
        letterT();
        letterS();
    }

    /// @notice What the fuzzer calls; each takes a seed of its own.
    function steps() external pure returns (bytes4[] memory all) {
        all = new bytes4[](61);
        all[0] = this.confirm.selector;
        all[1] = this.split.selector;
        all[2] = this.merge.selector;
        all[3] = this.transfer.selector;
        all[4] = this.dispute.selector;
        all[5] = this.disputeTooLate.selector;
        all[6] = this.withdrawDispute.selector;
        all[7] = this.settleDispute.selector;
        all[8] = this.credit.selector;
        all[9] = this.cancel.selector;
        all[10] = this.payInPart.selector;
        all[11] = this.payInFull.selector;
        all[12] = this.takeHeldPayment.selector;
        all[13] = this.freezeOrThaw.selector;
        all[14] = this.travel.selector;
        all[15] = this.pauseOrGoOn.selector;
        all[16] = this.stopOrAdmitDebtor.selector;
        all[17] = this.rotateSigner.selector;
        all[18] = this.revokeSigner.selector;
        all[19] = this.revokeNonce.selector;
        all[20] = this.deposit.selector;
        all[21] = this.withdraw.selector;
        all[22] = this.setTerms.selector;
        all[23] = this.setLimits.selector;
        all[24] = this.finance.selector;
        all[25] = this.repay.selector;
        all[26] = this.repurchase.selector;
        all[27] = this.declareDefault.selector;
        all[28] = this.writeOff.selector;
        all[29] = this.recover.selector;
        all[30] = this.disposeOfFinanced.selector;
        all[31] = this.financeUnfinanceable.selector;
        all[32] = this.acceptOrder.selector;
        all[33] = this.openFacility.selector;
        all[34] = this.signForDelivery.selector;
        all[35] = this.draw.selector;
        all[36] = this.repayOrder.selector;
        all[37] = this.convert.selector;
        all[38] = this.defaultOrder.selector;
        all[39] = this.writeOffOrder.selector;
        all[40] = this.lapseOrder.selector;
        all[41] = this.poseAsOrders.selector;
        all[60] = this.payTooLate.selector;
        // What campaigns live on comes up more often.
        all[42] = this.confirm.selector;
        all[43] = this.confirm.selector;
        all[44] = this.finance.selector;
        all[45] = this.finance.selector;
        all[46] = this.finance.selector;
        all[47] = this.finance.selector;
        all[48] = this.payInPart.selector;
        all[49] = this.payInFull.selector;
        all[50] = this.repay.selector;
        all[51] = this.split.selector;
        all[52] = this.draw.selector;
        all[53] = this.draw.selector;
        all[54] = this.convert.selector;
        all[55] = this.convert.selector;
        all[56] = this.declareDefault.selector;
        all[57] = this.writeOff.selector;
        all[58] = this.recover.selector;
        all[59] = this.defaultOrder.selector;
    }

    // ---------------------------------------------------------------- the end of a campaign

    /// @notice Everything that is owed is paid: then every book is empty and all money is back.
    function windDown() external {
        vm.warp(clock);
        _travel(clock + 200 days);
        for (uint256 i = 0; i < suppliers.length; ++i) {
            _thaw(suppliers[i]);
        }
        while (live.length != 0) _pay(live[live.length - 1], _remaining(live[live.length - 1]));
        while (loans.length != 0) _repurchase(loans[loans.length - 1]);
        for (uint256 i = 0; i < orderIds.length;) {
            uint256 count = orderIds.length;
            if (_owes(orderIds[i])) _repayOrder(orderIds[i], type(uint96).max);
            if (orderIds.length == count) ++i;
        }
        _takeAllHeld();
        for (uint256 i = 0; i < banks.length; ++i) {
            uint96 free = uint96(liquidity[banks[i]]);
            liquidity[banks[i]] = 0;
            if (free == 0) continue;
            vm.prank(banks[i]);
            pool.withdraw(free);
            _move(address(token), address(pool), banks[i], free);
        }
        _checkEmpty();
    }

    function _thaw(address account) private {
        for (uint256 n = 0; n < coins.length; ++n) {
            coins[n].freeze(account, FreezableToken.Freeze.None);
        }
    }

    function _takeAllHeld() private {
        for (uint256 i = 0; i < suppliers.length; ++i) {
            address holder = suppliers[i];
            for (uint256 n = 0; n < coins.length; ++n) {
                uint256 held = heldByRegistry[address(coins[n])][holder];
                if (held == 0) continue;
                vm.prank(holder);
                registry.takeHeldPayment(address(coins[n]), holder);
                _move(address(coins[n]), address(registry), holder, held);
            }
            if (heldByPool[holder] == 0) continue;
            vm.prank(holder);
            pool.takeHeldPayment(holder);
            _move(address(token), address(pool), holder, heldByPool[holder]);
        }
    }

    function _checkEmpty() private view {
        letterO();
        for (uint256 n = 0; n < coins.length; ++n) {
            eq(coins[n].balanceOf(address(pool)), 0, "money is left in the pool");
            eq(coins[n].balanceOf(address(registry)), 0, "money is left in the registry");
            for (uint256 i = 0; i < debtors.length; ++i) {
                eq(registry.outstandingOf(debtors[i], address(coins[n])), 0, "a debtor still owes");
            }
        }
        letterL();
        letterP();
        letterQ();
        for (uint256 n = 0; n < banks.length; ++n) {
            eq(pool.bankOf(banks[n]).exposure, 0, "a bank is still exposed");
            eq(pool.bankOf(banks[n]).liquidity, 0, "a bank has liquidity left");
        }
        for (uint256 id = 1; id <= lastId; ++id) {
            _checkEnded(id);
            _checkChildren(id);
        }
    }
}
