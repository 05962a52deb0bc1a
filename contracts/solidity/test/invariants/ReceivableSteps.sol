// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {IReceivableRegistry} from "../../src/interfaces/IReceivableRegistry.sol";
import {FreezableToken} from "./FreezableToken.sol";
import {World} from "./World.sol";

/// @dev What debtors, suppliers down the tiers and payers do with claims.
abstract contract ReceivableSteps is World {
    bytes4 internal constant PAUSED = Pausable.EnforcedPause.selector;

    // ---------------------------------------------------------------- birth

    function confirm(uint256 seed) external step(seed) {
        if (live.length >= MOST_LEAVES) _payOff();
        _confirmed(_chance(3) ? _draw(1, 5 days) : 0);
    }

    /// @dev Makes room: pays a leaf in full.
    function _payOff() private {
        uint256 id = _pick(live, _any);
        _pay(id, _remaining(id));
    }

    /// @dev A new invoice; 0 where there is no room for one, or none may be.
    function _confirmed(uint256 window) internal returns (uint256 id) {
        if (live.length >= MOST_LEAVES) return 0;
        IReceivableRegistry.Confirmation memory c = _newConfirmation(window);
        bytes memory consent = signConfirmation(c, keyOf[c.debtor]);
        if (registryPaused) {
            _refusedByPause(nobody, address(registry), abi.encodeCall(registry.confirm, (c, consent)));
            return 0;
        }
        if (_liveOrders(c.supplier, c.debtor) != 0) {
            _refused(
                nobody,
                address(registry),
                abi.encodeCall(registry.confirm, (c, consent)),
                IReceivableRegistry.OrderAdvanceOpen.selector
            );
            _did("invoice beside an order");
            return 0;
        }
        vm.prank(nobody);
        id = registry.confirm(c, consent);
        _bookConfirmed(id, c);
        _did("confirm");
        if (_chance(8)) _tryTakenFingerprint(c);
    }

    function _newConfirmation(uint256 window) internal returns (IReceivableRegistry.Confirmation memory c) {
        c = confirmation(uint96(_draw(DUST_FLOOR, 1e7)));
        c.debtor = _anyDebtor();
        c.supplier = _anySupplier();
        uint256 order = _chance(8) ? _pick(orderIds, _owes) : 0;
        if (order != 0) (c.debtor, c.supplier) = (orderOf[order].buyer, orderOf[order].supplier);
        c.token = address(coins[_chance(8) ? 1 : 0]);
        c.dueDate = uint40(clock + _draw(1 days, 120 days));
        c.disputeWindow = uint40(window);
        if (freed.length != 0 && _chance(3)) {
            c.fingerprint = freed[freed.length - 1];
            c.revision = revisions[c.fingerprint];
        }
    }

    function _bookConfirmed(uint256 id, IReceivableRegistry.Confirmation memory c) internal {
        _bear(id, id, 0, c.face, c.supplier);
        terms[id] = IReceivableRegistry.Terms({
            debtor: c.debtor,
            dueDate: c.dueDate,
            confirmedAt: uint40(clock),
            token: c.token,
            disputeUntil: uint40(clock) + c.disputeWindow,
            fingerprint: c.fingerprint
        });
        trees[id].face = c.face;
        trees[id].open = c.face;
        roots.push(id);
        ++liveTrees[c.fingerprint];
        if (c.revision != 0) {
            freed.pop();
            _did("revision");
        }
    }

    function _tryTakenFingerprint(IReceivableRegistry.Confirmation memory c) private {
        c.face += 1;
        bytes memory consent = signConfirmation(c, keyOf[c.debtor]);
        bytes memory call = abi.encodeCall(registry.confirm, (c, consent));
        _refused(nobody, address(registry), call, IReceivableRegistry.FingerprintTaken.selector);
        (c.fingerprint, c.revision) = (keccak256(abi.encode(c.fingerprint)), 0);
        call = abi.encodeCall(registry.confirm, (c, consent));
        _refused(nobody, address(registry), call, IReceivableRegistry.SignatureInvalid.selector);
    }

    // ---------------------------------------------------------------- lineage

    function split(uint256 seed) external step(seed) {
        if (live.length >= MOST_LEAVES) _payOff();
        uint256 id = _pick(live, _divisible);
        if (id == 0) id = _confirmed(0);
        if (id != 0 && _divisible(id)) _split(id, false);
    }

    function _divisible(uint256 id) internal view returns (bool) {
        return _heldLive(id) && leaves[id].depth < 8 && _remaining(id) >= 2 * DUST_FLOOR;
    }

    function _split(uint256 id, bool keep) internal returns (uint256[] memory children) {
        (uint96[] memory faces, address[] memory holders) = _parts(id, keep);
        address holder = holderOf[id];
        bytes memory call = abi.encodeCall(registry.split, (id, faces, holders));
        if (registryPaused) {
            _refusedByPause(holder, address(registry), call);
            return children;
        }
        if (_chance(8)) {
            ++faces[0];
            _refused(
                holder,
                address(registry),
                abi.encodeCall(registry.split, (id, faces, holders)),
                IReceivableRegistry.PartsDoNotSum.selector
            );
            --faces[0];
        }
        vm.prank(holder);
        children = registry.split(id, faces, holders);
        for (uint256 i = 0; i < children.length; ++i) {
            _bear(children[i], leaves[id].root, leaves[id].depth + 1, faces[i], holders[i]);
            childrenSum[id] += faces[i];
        }
        _end(id, IReceivableRegistry.Status.Split);
        _did("split");
        if (leaves[id].paid != 0) _did("split after a part payment");
    }

    /// @dev Two to four parts (now and then sixteen), each at least the dust floor, that sum to the rest.
    function _parts(uint256 id, bool keep) private returns (uint96[] memory faces, address[] memory holders) {
        uint96 rest = _remaining(id);
        uint256 most = rest / DUST_FLOOR;
        uint256 wanted = !keep && live.length < MOST_LEAVES && _chance(32) ? 16 : _draw(2, 4);
        uint256 count = wanted < most ? wanted : most;
        faces = new uint96[](count);
        holders = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 others = count - 1 - i;
            faces[i] = others == 0 ? rest : uint96(_draw(DUST_FLOOR, rest - others * DUST_FLOOR));
            rest -= faces[i];
            holders[i] = keep ? holderOf[id] : _anySupplier();
        }
    }

    function merge(uint256 seed) external step(seed) {
        uint256 id = _pick(live, _hasSibling);
        if (id == 0) {
            id = _pick(live, _divisible);
            if (id == 0) return;
            uint256[] memory children = _split(id, true);
            if (children.length == 0) return;
            id = children[0];
        }
        _merge(id);
    }

    function _hasSibling(uint256 id) internal view returns (bool) {
        return _heldLive(id) && _siblings(id).length > 1;
    }

    /// @dev Leaves of the same invoice in the same hands, sixteen at most.
    function _siblings(uint256 id) private view returns (uint256[] memory found) {
        uint256 count = 0;
        uint256[] memory all = new uint256[](16);
        for (uint256 i = 0; i < live.length && count < 16; ++i) {
            uint256 other = live[i];
            if (leaves[other].root != leaves[id].root || holderOf[other] != holderOf[id]) continue;
            if (_isLive(other)) all[count++] = other;
        }
        found = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            found[i] = all[i];
        }
    }

    function _merge(uint256 id) private {
        uint256[] memory ids = _siblings(id);
        address holder = holderOf[id];
        bytes memory call = abi.encodeCall(registry.merge, (ids));
        if (registryPaused) {
            _refusedByPause(holder, address(registry), call);
            return;
        }
        _tryBadMerge(holder, ids);
        vm.prank(holder);
        uint256 merged = registry.merge(ids);
        uint96 face = 0;
        uint8 depth = 0;
        for (uint256 i = 0; i < ids.length; ++i) {
            face += _remaining(ids[i]);
            if (leaves[ids[i]].depth > depth) depth = leaves[ids[i]].depth;
            _end(ids[i], IReceivableRegistry.Status.Merged);
        }
        _bear(merged, leaves[ids[0]].root, depth, face, holder);
        _did("merge");
    }

    function _tryBadMerge(address holder, uint256[] memory ids) private {
        uint256 saved = ids[1];
        ids[1] = ids[0];
        // A leaf given twice has ended when its turn comes again.
        _refused(
            holder, address(registry), abi.encodeCall(registry.merge, (ids)), IReceivableRegistry.NotHolder.selector
        );
        for (uint256 i = 0; i < live.length; ++i) {
            if (holderOf[live[i]] != holder || leaves[live[i]].root == leaves[ids[0]].root) continue;
            if (!_isLive(live[i])) continue;
            ids[1] = live[i];
            bytes memory call = abi.encodeCall(registry.merge, (ids));
            _refused(holder, address(registry), call, IReceivableRegistry.DifferentRoots.selector);
            break;
        }
        ids[1] = saved;
    }

    function transfer(uint256 seed) external step(seed) {
        uint256 id = _pick(live, _held);
        if (id == 0) id = _confirmed(0);
        if (id == 0) return;
        address holder = holderOf[id];
        address to = _anySupplier();
        bytes memory call = abi.encodeCall(registry.transferFrom, (holder, to, id));
        if (!_isLive(id)) {
            _refused(holder, address(registry), call, IReceivableRegistry.NotLive.selector);
            return;
        }
        if (registryPaused) {
            _refusedByPause(holder, address(registry), call);
            return;
        }
        _refused(
            holder,
            address(registry),
            abi.encodeCall(registry.transferFrom, (holder, address(pool), id)),
            IReceivableRegistry.OnlyPoolTakes.selector
        );
        _refused(nobody, address(registry), call, IERC721Errors.ERC721InsufficientApproval.selector);
        vm.prank(holder);
        registry.transferFrom(holder, to, id);
        holderOf[id] = to;
        _did("transfer");
    }

    // ---------------------------------------------------------------- disputes

    function dispute(uint256 seed) external step(seed) {
        uint256 id = _pick(live, _disputable);
        if (id == 0) id = _confirmed(_draw(1 days, 5 days));
        if (id != 0) _dispute(id);
    }

    function _disputable(uint256 id) internal view returns (bool) {
        return _heldLive(id) && clock < _termsOf(id).disputeUntil;
    }

    function _dispute(uint256 id) private {
        bytes memory call = abi.encodeCall(registry.dispute, (id, "goods damaged"));
        _refused(nobody, address(registry), call, IReceivableRegistry.NotDebtor.selector);
        vm.prank(_termsOf(id).debtor);
        registry.dispute(id, "goods damaged");
        leaves[id].status = IReceivableRegistry.Status.Disputed;
        ++leaves[id].disputes;
        _did("dispute");
    }

    function disputeTooLate(uint256 seed) external step(seed) {
        uint256 id = _pick(live, _undisputable);
        if (id == 0) return;
        _refused(
            _termsOf(id).debtor,
            address(registry),
            abi.encodeCall(registry.dispute, (id, "late")),
            IReceivableRegistry.DisputeWindowClosed.selector
        );
        _did("disputeTooLate");
    }

    function _undisputable(uint256 id) internal view returns (bool) {
        return _isLive(id) && clock >= _termsOf(id).disputeUntil;
    }

    function _isDisputed(uint256 id) internal view returns (bool) {
        return leaves[id].status == IReceivableRegistry.Status.Disputed;
    }

    function withdrawDispute(uint256 seed) external step(seed) {
        uint256 id = _pick(live, _isDisputed);
        if (id == 0) return;
        bytes memory call = abi.encodeCall(registry.withdrawDispute, (id));
        _refused(holderOf[id], address(registry), call, IReceivableRegistry.NotDebtor.selector);
        vm.prank(_termsOf(id).debtor);
        registry.withdrawDispute(id);
        leaves[id].status = IReceivableRegistry.Status.Live;
        _did("withdrawDispute");
    }

    function settleDispute(uint256 seed) external step(seed) {
        uint256 id = _pick(live, _isDisputed);
        if (id == 0) {
            id = _confirmed(_draw(1 days, 5 days));
            if (id == 0) return;
            _dispute(id);
        }
        uint96 amount = uint96(_draw(0, _remaining(id)));
        address holder = holderOf[id];
        bytes memory consent = _settlement(id, amount);
        bytes memory call = abi.encodeCall(registry.settleDispute, (id, amount, uint40(clock), consent));
        _refused(nobody, address(registry), call, IReceivableRegistry.NotHolder.selector);
        vm.prank(holder);
        registry.settleDispute(id, amount, uint40(clock), consent);
        leaves[id].status = IReceivableRegistry.Status.Live;
        if (amount != 0) _bookCredited(id, amount);
        _did("settleDispute");
        if (_isLive(id) && _disputable(id)) {
            // A signature for one dispute settles no other.
            _dispute(id);
            _refused(holder, address(registry), call, IReceivableRegistry.SignatureInvalid.selector);
        }
    }

    function _settlement(uint256 id, uint96 amount) private view returns (bytes memory) {
        bytes32 typehash = keccak256("DisputeSettlement(uint256 id,uint8 dispute,uint96 credit,uint40 deadline)");
        return signTyped(
            keyOf[_termsOf(id).debtor],
            domain("veilscore ReceivableRegistry", address(registry)),
            keccak256(abi.encode(typehash, id, leaves[id].disputes, amount, uint40(clock)))
        );
    }

    // ---------------------------------------------------------------- credits, cancellation

    function credit(uint256 seed) external step(seed) {
        uint256 id = _pick(live, _held);
        if (id == 0) return;
        uint96 remaining = _remaining(id);
        address holder = holderOf[id];
        _refused(
            holder,
            address(registry),
            abi.encodeCall(registry.credit, (id, remaining + 1)),
            IReceivableRegistry.OverCredit.selector
        );
        uint96 amount = uint96(_draw(1, _chance(2) ? remaining : remaining / 4));
        vm.prank(holder);
        registry.credit(id, amount);
        _bookCredited(id, amount);
        _did("credit");
    }

    function _cancellable(uint256 id) internal view returns (bool) {
        return _held(id) && leaves[id].root == id;
    }

    function _notCancellable(uint256 id) internal view returns (bool) {
        return _held(id) && !_cancellable(id);
    }

    function cancel(uint256 seed) external step(seed) {
        uint256 id = _pick(live, _notCancellable);
        if (id != 0) {
            bytes memory call = abi.encodeCall(registry.cancel, (id));
            _refused(holderOf[id], address(registry), call, IReceivableRegistry.NotCancellable.selector);
        }
        id = _pick(live, _cancellable);
        if (id == 0) return;
        vm.prank(holderOf[id]);
        registry.cancel(id);
        bytes32 fingerprint = terms[id].fingerprint;
        trees[id].open = 0;
        trees[id].cancelled = true;
        --liveTrees[fingerprint];
        ++revisions[fingerprint];
        freed.push(fingerprint);
        _end(id, IReceivableRegistry.Status.Cancelled);
        _did("cancel");
    }

    // ---------------------------------------------------------------- payment

    function payInPart(uint256 seed) external step(seed) {
        uint256 id = _pick(live, _any);
        if (id == 0) id = _confirmed(0);
        if (id != 0) _pay(id, uint96(_draw(1, _remaining(id))));
    }

    function payInFull(uint256 seed) external step(seed) {
        uint256 id = _pick(live, _any);
        if (id == 0) return;
        _refused(
            _termsOf(id).debtor,
            address(registry),
            abi.encodeCall(registry.pay, (id, _remaining(id) + 1)),
            IReceivableRegistry.Overpayment.selector
        );
        _pay(id, _remaining(id));
    }

    function _pay(uint256 id, uint96 amount) internal {
        address holder = holderOf[id];
        address coin = _termsOf(id).token;
        address payer = _chance(4) ? nobody : _termsOf(id).debtor;
        if (_held(id)) {
            bytes memory call = abi.encodeCall(registry.pay, (id, amount));
            _refused(holder, address(registry), call, IReceivableRegistry.PayerIsHolder.selector);
        }
        _fund(coin, payer, amount);
        bool settles = amount == _remaining(id);
        vm.prank(payer);
        registry.pay(id, amount);
        _bookPaid(id, amount);
        if (holder == address(pool)) {
            _move(coin, payer, holder, amount);
            _loanPaid(id, amount, settles);
        } else if (_frozen(coin, holder)) {
            _move(coin, payer, address(registry), amount);
            heldByRegistry[coin][holder] += amount;
            _did("held by the registry");
        } else {
            _move(coin, payer, holder, amount);
        }
        if (registryPaused) _did("pay while paused");
        _did(settles ? bytes32("pay in full") : bytes32("pay in part"));
    }

    /// @dev The model's waterfall.
    function _loanPaid(uint256 id, uint96 amount, bool settles) internal virtual;

    function takeHeldPayment(uint256 seed) external step(seed) {
        uint256 start = _throw();
        address coin = address(coins[_chance(3) ? 1 : 0]);
        for (uint256 i = 0; i < suppliers.length; ++i) {
            address holder = suppliers[(start % 4 + i) % 4];
            address to = _frozen(coin, holder) ? nobody : holder;
            if (heldByRegistry[coin][holder] != 0) {
                vm.prank(holder);
                registry.takeHeldPayment(coin, to);
                _move(coin, address(registry), to, heldByRegistry[coin][holder]);
                heldByRegistry[coin][holder] = 0;
                _did("take what the registry held");
                return;
            }
            if (coin == address(token) && heldByPool[holder] != 0) {
                vm.prank(holder);
                pool.takeHeldPayment(to);
                _move(coin, address(pool), to, heldByPool[holder]);
                heldByPool[holder] = 0;
                _did("take what the pool held");
                return;
            }
        }
        bytes memory call = abi.encodeCall(registry.takeHeldPayment, (address(token), nobody));
        _refused(nobody, address(registry), call, IReceivableRegistry.NothingHeld.selector);
    }

    // ---------------------------------------------------------------- circumstances

    function freezeOrThaw(uint256 seed) external step(seed) {
        FreezableToken coin = coins[_chance(4) ? 1 : 0];
        address account = _anySupplier();
        if (_frozen(address(coin), account)) coin.freeze(account, FreezableToken.Freeze.None);
        else coin.freeze(account, _chance(2) ? FreezableToken.Freeze.Reverts : FreezableToken.Freeze.ReturnsFalse);
        _did("freezeOrThaw");
    }

    function travel(uint256 seed) external step(seed) {
        _travel(clock + (_chance(4) ? _draw(1 days, 45 days) : _draw(1, 2 days)));
        _did("travel");
    }

    /// @dev Pauses the registry, the pool or both; ends a pause when it is asked again.
    function pauseOrGoOn(uint256 seed) external step(seed) {
        if (registryPaused || poolPaused) {
            _goOn();
            return;
        }
        uint256 which = _throw() % 6;
        if (which > 2) return;
        vm.startPrank(pauser);
        if (which != 1) registry.pause();
        if (which != 0) pool.pause();
        vm.stopPrank();
        (registryPaused, poolPaused) = (which != 1, which != 0);
        _did("pause");
    }

    /// @dev Now and then, before a repayment, which no pause may stop.
    function _pauseAll(uint256 in_) internal {
        if (registryPaused || poolPaused || !_chance(in_)) return;
        vm.startPrank(pauser);
        registry.pause();
        pool.pause();
        vm.stopPrank();
        (registryPaused, poolPaused) = (true, true);
    }

    function _goOn() private {
        vm.startPrank(pauser);
        if (registryPaused) registry.unpause();
        if (poolPaused) pool.unpause();
        vm.stopPrank();
        (registryPaused, poolPaused) = (false, false);
    }

    /// @dev A call that a pause forbids; the pause may end after it, so that campaigns get on.
    function _refusedByPause(address caller, address target, bytes memory call) internal {
        _refused(caller, target, call, PAUSED);
        _did("refused by a pause");
        if (_chance(2)) _goOn();
    }

    function stopOrAdmitDebtor(uint256 seed) external step(seed) {
        IReceivableRegistry.Confirmation memory c = _newConfirmation(0);
        vm.prank(admin);
        registry.admitDebtor(c.debtor, false);
        bytes memory call = abi.encodeCall(registry.confirm, (c, signConfirmation(c, keyOf[c.debtor])));
        bytes4 why = registryPaused ? PAUSED : IReceivableRegistry.DebtorNotAdmitted.selector;
        _refused(nobody, address(registry), call, why);
        vm.prank(admin);
        registry.admitDebtor(c.debtor, true);
        _did("stopOrAdmitDebtor");
    }
}
