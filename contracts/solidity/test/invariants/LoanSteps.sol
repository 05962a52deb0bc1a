// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IFinancingPool} from "../../src/interfaces/IFinancingPool.sol";
import {IReceivableRegistry} from "../../src/interfaces/IReceivableRegistry.sol";
import {IScoreAttestation} from "../../src/interfaces/IScoreAttestation.sol";
import {AttestationSteps} from "./AttestationSteps.sol";

/// @dev What banks and financed suppliers do, and what becomes of loans.
abstract contract LoanSteps is AttestationSteps {
    // ---------------------------------------------------------------- a bank's own

    function deposit(uint256 seed) external step(seed) {
        address bank_ = banks[_throw() % banks.length];
        uint96 amount = uint96(_draw(1, 1e9));
        _fund(address(token), bank_, amount);
        bytes memory call = abi.encodeCall(pool.deposit, (amount));
        if (poolPaused) {
            _refusedByPause(bank_, address(pool), call);
            return;
        }
        if (pool.bankOf(bank_).limit == 0) {
            _refused(bank_, address(pool), call, IFinancingPool.BankNotAdmitted.selector);
            return;
        }
        _deposit(bank_, amount);
    }

    function _deposit(address bank_, uint96 amount) internal {
        _fund(address(token), bank_, amount);
        vm.prank(bank_);
        pool.deposit(amount);
        _move(address(token), bank_, address(pool), amount);
        liquidity[bank_] += amount;
        _did("deposit");
    }

    function withdraw(uint256 seed) external step(seed) {
        address bank_ = banks[_throw() % banks.length];
        uint96 free = uint96(liquidity[bank_]);
        bytes memory call = abi.encodeCall(pool.withdraw, (free + 1));
        _refused(bank_, address(pool), call, IFinancingPool.LiquidityShort.selector);
        if (free == 0) return;
        uint96 amount = uint96(_chance(3) ? free : _draw(1, free));
        vm.prank(bank_);
        pool.withdraw(amount);
        _move(address(token), address(pool), bank_, amount);
        liquidity[bank_] -= amount;
        _did("withdraw");
    }

    function setTerms(uint256 seed) external step(seed) {
        address bank_ = banks[_throw() % banks.length];
        IFinancingPool.Terms memory t = IFinancingPool.Terms({
            maxAdvanceBps: uint16(_draw(1_000, 10_000)),
            penaltyRateBps: uint16(_draw(0, 10_000)),
            lateFeeBps: uint16(_draw(0, 500)),
            graceSeconds: uint32(_draw(0, 20) * 1 days)
        });
        vm.prank(bank_);
        pool.setTerms(t);
        bankTerms[bank_] = t;
        t.graceSeconds = uint32(180 days + 1);
        bytes memory call = abi.encodeCall(pool.setTerms, (t));
        _refused(bank_, address(pool), call, IFinancingPool.TermsOutOfRange.selector);
        _did("setTerms");
    }

    function setLimits(uint256 seed) external step(seed) {
        address bank_ = banks[_throw() % banks.length];
        uint96 limit = uint96(_chance(3) ? 0 : _draw(1, 1e9));
        uint256 which = _throw() % 3;
        if (which == 0) {
            vm.prank(admin);
            pool.admitBank(bank_, limit);
        } else if (which == 1) {
            vm.prank(bank_);
            pool.setDebtorLimit(_anyDebtor(), limit);
        } else {
            vm.prank(bank_);
            pool.setSupplierLimit(_anySupplier(), limit);
        }
        _did("setLimits");
    }

    // ---------------------------------------------------------------- room for an advance

    /// @dev Makes room for an advance; where there was none, sees first that it is refused, and why.
    function _makeRoom(
        address caller,
        address target,
        bytes memory call,
        address[3] memory who,
        uint96 principal,
        uint96 payout
    ) internal {
        bytes4 why = _shortOf(who, principal, payout);
        if (why != 0) {
            _refused(caller, target, call, why);
            _did("no room");
        }
        if (pool.bankOf(who[0]).limit < _exposure(who[0], address(0), address(0)) + principal) {
            vm.prank(admin);
            pool.admitBank(who[0], 1e15);
        }
        if (liquidity[who[0]] < payout) _deposit(who[0], uint96(payout - liquidity[who[0]] + _draw(0, 1e6)));
        vm.startPrank(who[0]);
        if (pool.debtorLine(who[0], who[1]).limit < _exposure(who[0], who[1], address(0)) + principal) {
            pool.setDebtorLimit(who[1], 1e14);
        }
        if (pool.supplierLine(who[0], who[2]).limit < _exposure(who[0], address(0), who[2]) + principal) {
            pool.setSupplierLimit(who[2], 1e14);
        }
        vm.stopPrank();
    }

    /// @dev Which limit stands against an advance, in the order of the checks; who: bank, debtor, supplier.
    function _shortOf(address[3] memory who, uint96 principal, uint96 payout) private view returns (bytes4) {
        uint256 limit = pool.bankOf(who[0]).limit;
        if (limit == 0) return IFinancingPool.BankNotAdmitted.selector;
        if (limit < _exposure(who[0], address(0), address(0)) + principal) return IFinancingPool.BankLimit.selector;
        if (liquidity[who[0]] < payout) return IFinancingPool.LiquidityShort.selector;
        if (pool.debtorLine(who[0], who[1]).limit < _exposure(who[0], who[1], address(0)) + principal) {
            return IFinancingPool.DebtorLimit.selector;
        }
        if (_recourse(who[0], who[2]) != 0) return IFinancingPool.RecourseOpen.selector;
        if (pool.supplierLine(who[0], who[2]).limit < _exposure(who[0], address(0), who[2]) + principal) {
            return IFinancingPool.SupplierLimit.selector;
        }
        return 0;
    }

    /// @dev A bank with which the supplier has no defaulted loan with recourse; 0 where there is none.
    function _bankFor(address supplier_) internal returns (address) {
        uint256 start = _throw();
        for (uint256 i = 0; i < banks.length; ++i) {
            address bank_ = banks[(start % 3 + i) % 3];
            if (_recourse(bank_, supplier_) == 0) return bank_;
        }
        return address(0);
    }

    // ---------------------------------------------------------------- lending

    function finance(uint256 seed) external step(seed) {
        if (loans.length >= MOST_LOANS) return;
        uint256 id = _pick(live, _financeable);
        if (id == 0) {
            id = _confirmed(0);
            if (id == 0 || !_financeable(id)) return;
        }
        address bank_ = _bankFor(holderOf[id]);
        if (bank_ == address(0)) return;
        if (bankTerms[bank_].maxAdvanceBps == 0) _standardTerms(bank_);
        _finance(id, _attestation(bank_, holderOf[id], id, address(pool)));
    }

    function _standardTerms(address bank_) internal {
        bankTerms[bank_] = bankTerms[bank];
        vm.prank(bank_);
        pool.setTerms(bankTerms[bank]);
    }

    function _financeable(uint256 id) internal view returns (bool) {
        IReceivableRegistry.Terms storage t = _termsOf(id);
        return _heldLive(id) && t.token == address(token) && clock >= t.disputeUntil && clock < t.dueDate
            && _openAdvances(holderOf[id], t.debtor) == 0 && !_frozen(t.token, holderOf[id]);
    }

    function _finance(uint256 id, IScoreAttestation.Attestation memory a) private {
        (uint96 principal, uint96 discount) = _principal(id, a);
        if (principal == 0) return;
        address supplier_ = a.subject;
        (wantedClaim, wantedAmount) = (id, principal);
        bytes memory signature = signAttestation(a, _signerKey(a.bank));
        bytes memory call = abi.encodeCall(pool.finance, (id, principal, a, signature));
        if (!poolPaused) {
            address[3] memory who = [a.bank, _termsOf(id).debtor, supplier_];
            _makeRoom(supplier_, address(pool), call, who, principal, principal - discount);
        }
        if (poolPaused || registryPaused) {
            _refusedByPause(supplier_, address(pool), call);
            return;
        }
        _refused(nobody, address(pool), call, IFinancingPool.NotHolder.selector);
        _tryBadAttestation(supplier_, address(pool), a, _encodeFinance);
        vm.prank(supplier_);
        uint96 payout = pool.finance(id, principal, a, signature);
        eq(payout, principal - discount, "payout");
        _bookLent(id, a, principal, payout, 0);
        _did("finance");
        _refused(supplier_, address(pool), call, IFinancingPool.AlreadyFinanced.selector);
        _refused(
            address(pool),
            address(attestations),
            abi.encodeCall(attestations.consume, (a, signature)),
            IScoreAttestation.NonceUsed.selector
        );
    }

    function _encodeFinance(IScoreAttestation.Attestation memory a, bytes memory signature)
        internal
        view
        returns (bytes memory)
    {
        return abi.encodeCall(pool.finance, (wantedClaim, wantedAmount, a, signature));
    }

    /// @dev An amount under the cap; sees first that one more than the cap is refused.
    function _principal(uint256 id, IScoreAttestation.Attestation memory a)
        internal
        returns (uint96 principal, uint96 discount)
    {
        uint256 cap = uint256(_remaining(id)) * _capBps(a) / 10_000;
        if (!registryPaused && !poolPaused) {
            bytes memory call =
                abi.encodeCall(pool.finance, (id, uint96(cap + 1), a, signAttestation(a, _signerKey(a.bank))));
            _refused(a.subject, address(pool), call, IFinancingPool.AdvanceOverCap.selector);
        }
        if (cap == 0) return (0, 0);
        principal = uint96(_chance(2) ? cap : _draw(1, cap));
        discount = _interest(principal, a.rateBps, _termsOf(id).dueDate - clock);
        if (discount >= principal) return (0, 0);
    }

    function _capBps(IScoreAttestation.Attestation memory a) internal view returns (uint16) {
        uint16 most = bankTerms[a.bank].maxAdvanceBps;
        return a.advanceCapBps < most ? a.advanceCapBps : most;
    }

    function _bookLent(
        uint256 id,
        IScoreAttestation.Attestation memory a,
        uint96 principal,
        uint96 payout,
        uint256 order
    ) internal {
        IFinancingPool.Terms storage t = bankTerms[a.bank];
        loanOf[id] = IFinancingPool.Loan({
            bank: a.bank,
            dueDate: _termsOf(id).dueDate,
            graceSeconds: t.graceSeconds,
            penaltyRateBps: t.penaltyRateBps,
            status: IFinancingPool.LoanStatus.Open,
            supplier: a.subject,
            principal: principal,
            interestDue: 0,
            accruedAt: _termsOf(id).dueDate,
            lateFeeBps: t.lateFeeBps,
            feeDue: 0,
            recourse: a.recourse
        });
        origins[id] = Origin({
            debtor: _termsOf(id).debtor,
            principal: principal,
            remaining: _remaining(id),
            capBps: _capBps(a),
            defaultedAt: 0,
            order: order
        });
        loans.push(id);
        placeInLoans[id] = loans.length;
        holderOf[id] = address(pool);
        liquidity[a.bank] -= payout;
        _move(address(token), address(pool), a.subject, payout);
        _use(a.bank, a.nonce);
    }

    // ---------------------------------------------------------------- after that

    function _accrue(uint256 id) internal {
        IFinancingPool.Loan storage loan = loanOf[id];
        if (loan.status != IFinancingPool.LoanStatus.Open && loan.status != IFinancingPool.LoanStatus.Defaulted) {
            return;
        }
        if (clock <= loan.accruedAt) return;
        loan.interestDue += _interest(loan.principal, loan.penaltyRateBps, clock - loan.accruedAt);
        loan.accruedAt = uint40(clock);
        if (loan.lateFeeBps != 0 && clock > uint256(loan.dueDate) + loan.graceSeconds) {
            loan.feeDue += uint96((uint256(loan.principal) * loan.lateFeeBps + 9_999) / 10_000);
            loan.lateFeeBps = 0;
            _did("late fee");
        }
    }

    function _endIfPaid(uint256 id) private returns (bool) {
        IFinancingPool.Loan storage loan = loanOf[id];
        if (loan.feeDue != 0 || loan.interestDue != 0 || loan.principal != 0) return false;
        loan.status = IFinancingPool.LoanStatus.Settled;
        _remove(loans, placeInLoans, id);
        if (_isLive(id)) holderOf[id] = loan.supplier;
        return true;
    }

    function _loanPaid(uint256 id, uint96 amount, bool settles) internal override {
        _accrue(id);
        IFinancingPool.Loan storage loan = loanOf[id];
        IFinancingPool.LoanStatus status = loan.status;
        uint96 fee = _least(loan.feeDue, amount);
        uint96 interest = _least(loan.interestDue, amount - fee);
        uint96 principal = _least(loan.principal, amount - fee - interest);
        uint96 residual = amount - fee - interest - principal;
        loan.feeDue -= fee;
        loan.interestDue -= interest;
        loan.principal -= principal;
        liquidity[loan.bank] += amount - residual;
        if (residual != 0) {
            if (_frozen(address(token), loan.supplier)) {
                heldByPool[loan.supplier] += residual;
                _did("held by the pool");
            } else {
                _move(address(token), address(pool), loan.supplier, residual);
            }
        }
        if (status == IFinancingPool.LoanStatus.WrittenOff) _did("recovery");
        else _did("repayment");
        if (clock > loan.dueDate) _did("repayment after the due date");
        if (_endIfPaid(id)) _did(settles ? bytes32("loan and leaf end") : bytes32("leaf goes back"));
        else if (settles) _did("leaf ends before its loan");
    }

    function _isFinancedLive(uint256 id) internal view returns (bool) {
        return !_held(id);
    }

    function repay(uint256 seed) external step(seed) {
        uint256 id = _pick(live, _isFinancedLive);
        if (id == 0) return;
        _pauseAll(10);
        (uint96 fee, uint96 interest, uint96 principal) = pool.owedOn(id);
        uint96 owed = fee + interest + principal;
        uint256 dice = _throw() % 4;
        uint96 amount = dice == 0 ? fee : dice == 1 ? fee + interest : dice == 2 ? owed : owed + 1;
        if (amount == 0) amount = 1;
        _pay(id, _least(amount, _remaining(id)));
        if (poolPaused) _did("repay while paused");
    }

    function _mostlyLent(uint256 id) internal view returns (bool) {
        return !_held(id) && loanOf[id].penaltyRateBps >= 500 && loanOf[id].principal > _remaining(id) / 10 * 8;
    }

    /// @dev A claim is paid in full so late that the loan on it is not.
    function payTooLate(uint256 seed) external step(seed) {
        uint256 id = _pick(live, _mostlyLent);
        if (id == 0 || !_chance(2)) return;
        IFinancingPool.Loan storage loan = loanOf[id];
        uint256 missing = _remaining(id) > loan.principal ? _remaining(id) - loan.principal : 0;
        uint256 late = missing * 10_000 * 365 days;
        _travel(loan.dueDate + late / loan.principal / loan.penaltyRateBps + 2 days);
        _pay(id, _remaining(id));
        _did("payTooLate");
    }

    function _canPay(uint256 id) internal view returns (bool) {
        return !_frozen(address(token), loanOf[id].supplier);
    }

    function repurchase(uint256 seed) external step(seed) {
        uint256 id = _pick(loans, _canPay);
        if (id == 0) return;
        _pauseAll(6);
        bytes memory call = abi.encodeCall(pool.repurchase, (id));
        _refused(nobody, address(pool), call, IFinancingPool.NotTheSupplier.selector);
        _repurchase(id);
        _refused(loanOf[id].supplier, address(pool), call, IFinancingPool.LoanNotOpen.selector);
    }

    function _repurchase(uint256 id) internal {
        _accrue(id);
        IFinancingPool.Loan storage loan = loanOf[id];
        uint96 owed = loan.feeDue + loan.interestDue + loan.principal;
        _fund(address(token), loan.supplier, owed);
        vm.prank(loan.supplier);
        uint96 amount = pool.repurchase(id);
        eq(amount, owed, "repurchase price");
        _move(address(token), loan.supplier, address(pool), owed);
        liquidity[loan.bank] += owed;
        (loan.feeDue, loan.interestDue, loan.principal) = (0, 0, 0);
        yes(_endIfPaid(id), "a repurchase ends the loan");
        _did("repurchase");
        if (poolPaused || registryPaused) _did("repurchase while paused");
    }

    function _isOpen(uint256 id) internal view returns (bool) {
        return loanOf[id].status == IFinancingPool.LoanStatus.Open;
    }

    function _isLate(uint256 id) internal view returns (bool) {
        return _isOpen(id) && clock > uint256(loanOf[id].dueDate) + loanOf[id].graceSeconds;
    }

    function declareDefault(uint256 seed) external step(seed) {
        uint256 id = _pick(loans, _isLate);
        if (id == 0 && _chance(2)) id = _pick(loans, _isOpen);
        if (id != 0) _declareDefault(id);
    }

    function _declareDefault(uint256 id) internal {
        IFinancingPool.Loan storage loan = loanOf[id];
        bytes memory call = abi.encodeCall(pool.declareDefault, (id));
        uint256 last = uint256(loan.dueDate) + loan.graceSeconds;
        if (clock <= last) {
            _refused(loan.bank, address(pool), call, IFinancingPool.TooEarlyToDefault.selector);
            _travel(last);
            _refused(loan.bank, address(pool), call, IFinancingPool.TooEarlyToDefault.selector);
            _travel(last + _draw(1, 2 days));
        }
        _refused(nobody, address(pool), call, IFinancingPool.NotTheBank.selector);
        vm.prank(loan.bank);
        pool.declareDefault(id);
        loan.status = IFinancingPool.LoanStatus.Defaulted;
        origins[id].defaultedAt = uint40(clock);
        _did("declareDefault");
    }

    function _isDefaulted(uint256 id) internal view returns (bool) {
        return loanOf[id].status == IFinancingPool.LoanStatus.Defaulted;
    }

    function writeOff(uint256 seed) external step(seed) {
        uint256 id = _pick(loans, _isOpen);
        if (id != 0) {
            bytes memory call = abi.encodeCall(pool.writeOff, (id));
            _refused(loanOf[id].bank, address(pool), call, IFinancingPool.LoanNotOpen.selector);
        }
        id = _pick(loans, _isDefaulted);
        if (id == 0) return;
        _accrue(id);
        vm.prank(loanOf[id].bank);
        pool.writeOff(id);
        loanOf[id].status = IFinancingPool.LoanStatus.WrittenOff;
        _did("writeOff");
    }

    function _isWrittenOffLive(uint256 id) internal view returns (bool) {
        return loanOf[id].status == IFinancingPool.LoanStatus.WrittenOff && _isLive(id);
    }

    function recover(uint256 seed) external step(seed) {
        uint256 id = _pick(loans, _isWrittenOffLive);
        if (id == 0) return;
        _pay(id, uint96(_draw(1, _remaining(id))));
    }

    // ---------------------------------------------------------------- what must not be

    /// @dev A supplier tries whatever moves or shrinks a claim that the pool holds.
    function disposeOfFinanced(uint256 seed) external step(seed) {
        uint256 id = _pick(live, _isFinancedLive);
        if (id == 0) return;
        address supplier_ = loanOf[id].supplier;
        bytes4 notHolder = IReceivableRegistry.NotHolder.selector;
        _refused(supplier_, address(registry), abi.encodeCall(registry.credit, (id, 1)), notHolder);
        _refused(supplier_, address(registry), abi.encodeCall(registry.cancel, (id)), notHolder);
        _refused(
            supplier_, address(registry), abi.encodeCall(registry.settleDispute, (id, 1, uint40(clock), "")), notHolder
        );
        _refused(
            supplier_,
            address(registry),
            abi.encodeCall(registry.transferFrom, (address(pool), supplier_, id)),
            IERC721Errors.ERC721InsufficientApproval.selector
        );
        uint96[] memory faces = new uint96[](2);
        (faces[0], faces[1]) = (_remaining(id) - 1, 1);
        address[] memory holders = new address[](2);
        (holders[0], holders[1]) = (supplier_, supplier_);
        bytes4 why = registryPaused ? PAUSED : notHolder;
        _refused(supplier_, address(registry), abi.encodeCall(registry.split, (id, faces, holders)), why);
        uint256[] memory ids = new uint256[](2);
        (ids[0], ids[1]) = (id, id);
        _refused(supplier_, address(registry), abi.encodeCall(registry.merge, (ids)), why);
        bytes memory call = abi.encodeCall(registry.dispute, (id, "late"));
        _refused(origins[id].debtor, address(registry), call, IReceivableRegistry.DisputeWindowClosed.selector);
        _did("disposeOfFinanced");
    }

    function _unfinanceable(uint256 id) internal view returns (bool) {
        return _held(id) && !_financeable(id);
    }

    function _besideAnOrder(uint256 id) internal view returns (bool) {
        return _heldLive(id) && _termsOf(id).token == address(token) && clock < _termsOf(id).dueDate
            && _openAdvances(holderOf[id], _termsOf(id).debtor) != 0;
    }

    /// @dev A claim that may not be lent on is refused for its own reason.
    function financeUnfinanceable(uint256 seed) external step(seed) {
        uint256 id = _pick(live, _besideAnOrder);
        if (id == 0) id = _pick(live, _unfinanceable);
        if (id == 0 || poolPaused || registryPaused) return;
        IReceivableRegistry.Terms storage t = _termsOf(id);
        address supplier_ = holderOf[id];
        address bank_ = _bankFor(supplier_);
        if (bank_ == address(0)) return;
        if (bankTerms[bank_].maxAdvanceBps == 0) _standardTerms(bank_);
        IScoreAttestation.Attestation memory a = _attestation(bank_, supplier_, id, address(pool));
        (a.advanceCapBps, a.rateBps) = (10_000, 0);
        bytes memory call = abi.encodeCall(pool.finance, (id, 1, a, signAttestation(a, _signerKey(bank_))));
        bytes4 why;
        if (!_isLive(id)) why = IFinancingPool.NotFinanceable.selector;
        else if (t.token != address(token)) why = IFinancingPool.WrongToken.selector;
        else if (clock < t.disputeUntil) why = IFinancingPool.DisputeWindowOpen.selector;
        else if (clock >= t.dueDate) why = IFinancingPool.DueDatePassed.selector;
        else if (uint256(_remaining(id)) * bankTerms[bank_].maxAdvanceBps < 10_000) return;
        else if (_openAdvances(supplier_, t.debtor) != 0) why = IFinancingPool.OrderAdvanceOpen.selector;
        if (why == IFinancingPool.OrderAdvanceOpen.selector) {
            _makeRoomSilently([bank_, t.debtor, supplier_]);
            _refused(supplier_, address(pool), call, why);
            _did("invoice beside an order");
        } else if (why != 0) {
            _refused(supplier_, address(pool), call, why);
        } else {
            _refusedByFrozenToken(supplier_, call, [bank_, t.debtor, supplier_]);
        }
        _did("financeUnfinanceable");
    }

    function _makeRoomSilently(address[3] memory who) internal {
        vm.prank(admin);
        pool.admitBank(who[0], 1e15);
        if (liquidity[who[0]] == 0) _deposit(who[0], uint96(_draw(1, 1e6)));
        vm.startPrank(who[0]);
        pool.setDebtorLimit(who[1], 1e14);
        pool.setSupplierLimit(who[2], 1e14);
        vm.stopPrank();
    }

    /// @dev A payout that cannot arrive undoes the loan: the supplier gets exactly the payout, or nothing is.
    function _refusedByFrozenToken(address supplier_, bytes memory call, address[3] memory who) private {
        _makeRoomSilently(who);
        vm.prank(supplier_);
        (bool succeeded,) = address(pool).call(call);
        yes(!succeeded, "no loan without its payout");
        eq(
            IERC20(address(token)).balanceOf(supplier_),
            cash[address(token)][supplier_],
            "no payout to a frozen account"
        );
    }
}
