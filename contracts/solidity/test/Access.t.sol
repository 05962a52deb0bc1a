// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IAccessControlDefaultAdminRules} from "@openzeppelin/contracts/access/extensions/IAccessControlDefaultAdminRules.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {FinancingPool} from "../src/FinancingPool.sol";
import {ReceivableRegistry} from "../src/ReceivableRegistry.sol";
import {IFinancingPool} from "../src/interfaces/IFinancingPool.sol";
import {IReceivableRegistry} from "../src/interfaces/IReceivableRegistry.sol";
import {IScoreAttestation} from "../src/interfaces/IScoreAttestation.sol";
import {Fixture} from "./base/Fixture.sol";

/// @dev Who may do what, and what a pause stops.
contract AccessTest is Fixture {
    bytes32 private constant ADMIN_ROLE = 0;
    bytes32 private constant PAUSER_ROLE = keccak256("PAUSER_ROLE");
    address private constant STRANGER = address(0xBAD);

    /// @dev A call by somebody without the role is refused for the lack of that role.
    function _needs(bytes32 role, address caller, address target, bytes memory call_) private {
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, caller, role));
        // What does not revert as expected shows here as a call that failed.
        (bool done,) = target.call(call_);
        yes(done, "refused for lack of the role");
    }

    function _paused() private {
        vm.startPrank(pauser);
        registry.pause();
        pool.pause();
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- roles

    /// @notice What the administrator does, neither a stranger nor the pauser does.
    function test_admin_only() public {
        address[2] memory callers = [STRANGER, pauser];
        for (uint256 i = 0; i < 2; ++i) {
            address caller = callers[i];
            _needs(ADMIN_ROLE, caller, address(registry), abi.encodeCall(registry.admitDebtor, (caller, true)));
            _needs(ADMIN_ROLE, caller, address(registry), abi.encodeCall(registry.admitToken, (caller, true, 1)));
            _needs(ADMIN_ROLE, caller, address(registry), abi.encodeCall(registry.admitPool, (caller)));
            _needs(ADMIN_ROLE, caller, address(registry), abi.encodeCall(registry.setOrders, (caller)));
            _needs(ADMIN_ROLE, caller, address(pool), abi.encodeCall(pool.admitBank, (caller, 1)));
            _needs(ADMIN_ROLE, caller, address(pool), abi.encodeCall(pool.setOrders, (caller)));
        }
    }

    /// @notice Only the pauser pauses and ends a pause, also not the administrator.
    function test_pauser_only() public {
        eq(uint256(registry.PAUSER_ROLE()), uint256(PAUSER_ROLE), "role of the registry");
        eq(uint256(pool.PAUSER_ROLE()), uint256(PAUSER_ROLE), "role of the pool");
        address[2] memory targets = [address(registry), address(pool)];
        for (uint256 i = 0; i < 2; ++i) {
            _needs(PAUSER_ROLE, STRANGER, targets[i], abi.encodeCall(registry.pause, ()));
            _needs(PAUSER_ROLE, admin, targets[i], abi.encodeCall(registry.pause, ()));
            _needs(PAUSER_ROLE, STRANGER, targets[i], abi.encodeCall(registry.unpause, ()));
            _needs(PAUSER_ROLE, admin, targets[i], abi.encodeCall(registry.unpause, ()));
        }
        _paused();
        yes(registry.paused() && pool.paused(), "paused");
        vm.startPrank(pauser);
        registry.unpause();
        pool.unpause();
        vm.stopPrank();
        yes(!registry.paused() && !pool.paused(), "not paused");
    }

    /// @notice Who admits what, in the registry, is said and kept.
    function test_registry_administration() public {
        vm.startPrank(admin);
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.DebtorAdmitted(STRANGER, true);
        registry.admitDebtor(STRANGER, true);
        yes(registry.isDebtor(STRANGER), "debtor");
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.DebtorAdmitted(STRANGER, false);
        registry.admitDebtor(STRANGER, false);
        yes(!registry.isDebtor(STRANGER), "no debtor");
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.TokenAdmitted(STRANGER, true, 77);
        registry.admitToken(STRANGER, true, 77);
        (bool admitted, uint96 dustFloor) = registry.tokenRule(STRANGER);
        yes(admitted, "token");
        eq(dustFloor, 77, "dust floor");
        yes(!registry.isPool(STRANGER), "no pool");
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.PoolAdmitted(STRANGER);
        registry.admitPool(STRANGER);
        yes(registry.isPool(STRANGER), "pool");

        bytes memory zero = abi.encodeWithSelector(IReceivableRegistry.ZeroAddress.selector);
        vm.expectRevert(zero);
        registry.admitDebtor(address(0), true);
        vm.expectRevert(zero);
        registry.admitToken(address(0), true, 1);
        vm.expectRevert(zero);
        registry.admitPool(address(0));
        vm.expectRevert(zero);
        registry.setOrders(address(0));
        vm.stopPrank();
    }

    /// @notice Which banks lend, and up to what, is said and kept; their liquidity and terms stay.
    function test_pool_administration() public {
        vm.startPrank(admin);
        vm.expectEmit(address(pool));
        emit IFinancingPool.BankAdmitted(bank, 5);
        pool.admitBank(bank, 5);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.ZeroAddress.selector));
        pool.admitBank(address(0), 5);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.ZeroAddress.selector));
        pool.setOrders(address(0));
        vm.stopPrank();
        eq(pool.bankOf(bank).limit, 5, "limit");
        eq(pool.bankOf(bank).liquidity, 1e14, "liquidity stays");
        eq(pool.bankOf(bank).terms.maxAdvanceBps, 9_000, "terms stay");
    }

    /// @notice The order contract is set once, in both, and said.
    function test_orders_are_set_once() public {
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.OrdersAlreadySet.selector, address(orders)));
        registry.setOrders(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(IFinancingPool.OrdersAlreadySet.selector, address(orders)));
        pool.setOrders(STRANGER);
        ReceivableRegistry other = new ReceivableRegistry(admin, 1 days);
        vm.expectEmit(address(other));
        emit IReceivableRegistry.OrdersSet(STRANGER);
        other.setOrders(STRANGER);
        eq(other.orders(), STRANGER, "of the registry");
        FinancingPool second = new FinancingPool(address(other), address(attestations), address(token), admin, 1 days);
        vm.expectEmit(address(second));
        emit IFinancingPool.OrdersSet(STRANGER);
        second.setOrders(STRANGER);
        eq(second.orders(), STRANGER, "of the pool");
        vm.stopPrank();
    }

    /// @notice A pool needs a registry, attestations and a token, and keeps them.
    function test_pool_construction() public {
        eq(address(pool.registry()), address(registry), "registry");
        eq(address(pool.attestations()), address(attestations), "attestations");
        eq(address(pool.token()), address(token), "token");
        address[3] memory given = [address(1), address(1), address(1)];
        this.construct(given);
        for (uint256 i = 0; i < 3; ++i) {
            given[i] = address(0);
            vm.expectRevert(abi.encodeWithSelector(IFinancingPool.ZeroAddress.selector));
            this.construct(given);
            given[i] = address(1);
        }
    }

    /// @dev A call of its own, since a constructor that is linked late ends the test that expects its revert.
    function construct(address[3] calldata given) external {
        new FinancingPool(given[0], given[1], given[2], admin, 0);
    }

    /// @notice The administrator is handed over in two steps with the delay between, and not otherwise.
    function test_admin_is_handed_over_with_a_delay() public {
        eq(registry.defaultAdmin(), admin, "of the registry");
        eq(pool.defaultAdmin(), admin, "of the pool");
        eq(registry.defaultAdminDelay(), 1 days, "delay of the registry");
        eq(pool.defaultAdminDelay(), 1 days, "delay of the pool");
        vm.startPrank(admin);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControlDefaultAdminRules.AccessControlEnforcedDefaultAdminRules.selector)
        );
        registry.grantRole(ADMIN_ROLE, STRANGER);
        registry.beginDefaultAdminTransfer(STRANGER);
        vm.stopPrank();
        uint48 schedule = uint48(block.timestamp + 1 days);
        vm.warp(schedule);
        vm.prank(STRANGER);
        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessControlDefaultAdminRules.AccessControlEnforcedDefaultAdminDelay.selector, schedule
            )
        );
        registry.acceptDefaultAdminTransfer();
        vm.warp(schedule + 1);
        vm.prank(STRANGER);
        registry.acceptDefaultAdminTransfer();
        eq(registry.defaultAdmin(), STRANGER, "handed over");
    }

    /// @notice What the pool does for orders, it does for the order contract only.
    function test_pool_only_for_orders() public {
        IScoreAttestation.Attestation memory a = attestation(1, address(pool));
        vm.startPrank(supplier);
        bytes memory error_ = abi.encodeWithSelector(IFinancingPool.OnlyOrders.selector, supplier);
        vm.expectRevert(error_);
        pool.advanceOrder(1, bank, supplier, debtor, 1);
        vm.expectRevert(error_);
        pool.retireOrder(1, bank, supplier, debtor, bank, 1, 1);
        vm.expectRevert(error_);
        pool.writeOffOrder(1, bank, supplier, debtor, 1);
        vm.expectRevert(error_);
        pool.financeOrder(1, 1, 1, 1, 1, a, "");
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- pausing

    /// @notice A paused registry makes, splits, joins and moves no leaf.
    function test_pause_of_the_registry() public {
        uint256 id = confirmed(1_000);
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        bytes memory consent = signConfirmation(c, DEBTOR_KEY);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        bytes memory error_ = abi.encodeWithSelector(Pausable.EnforcedPause.selector);
        vm.prank(pauser);
        registry.pause();
        vm.expectRevert(error_);
        registry.confirm(c, consent);
        vm.startPrank(supplier);
        vm.expectRevert(error_);
        registry.split(id, new uint96[](2), new address[](2));
        vm.expectRevert(error_);
        registry.merge(new uint256[](2));
        vm.expectRevert(error_);
        registry.transferFrom(supplier, secondSupplier, id);
        vm.expectRevert(error_);
        pool.finance(id, 100, a, signature);
        vm.stopPrank();
    }

    /// @notice A paused pool lends nothing, draws nothing and takes no deposit.
    function test_pause_of_the_pool() public {
        uint256 id = confirmed(1_000);
        uint256 order = opened(10_000, 5_000);
        IReceivableRegistry.Confirmation memory c = confirmation(10_000);
        c.order = order;
        bytes memory consent = signConfirmation(c, DEBTOR_KEY);
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        IScoreAttestation.Attestation memory b = attestation(order, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        bytes memory error_ = abi.encodeWithSelector(Pausable.EnforcedPause.selector);
        vm.prank(pauser);
        pool.pause();
        vm.startPrank(supplier);
        vm.expectRevert(error_);
        pool.finance(id, 100, a, signature);
        vm.expectRevert(error_);
        orders.draw(order, 100);
        signature = signAttestation(b, SIGNER_KEY);
        vm.expectRevert(error_);
        orders.convert(order, c, consent, 5_000, b, signature);
        vm.stopPrank();
        vm.prank(bank);
        vm.expectRevert(error_);
        pool.deposit(1);
    }

    /// @notice With everything paused, debts are paid, loans settled, leaves come back, money goes out.
    function test_pause_never_stops_a_repayment() public {
        uint256 paidOff = confirmed(1_000);
        uint256 boughtBack = confirmed(1_000);
        uint256 lost = confirmed(1_000);
        uint256 order = opened(10_000, 5_000);
        financed(paidOff, 500);
        financed(boughtBack, 500);
        financed(lost, 500);
        drawn(order, 100);
        token.mint(supplier, 1_000);
        _paused();
        paid(paidOff, 600);
        eq(registry.ownerOf(paidOff), supplier, "came back");
        vm.startPrank(supplier);
        pool.repurchase(boughtBack);
        eq(registry.ownerOf(boughtBack), supplier, "bought back");
        orders.repay(order, 100);
        registry.credit(paidOff, 100);
        registry.cancel(boughtBack);
        vm.stopPrank();
        vm.warp(uint256(registry.termsOf(lost).dueDate) + 10 days + 1);
        vm.startPrank(bank);
        pool.declareDefault(lost);
        pool.writeOff(lost);
        pool.withdraw(1);
        vm.stopPrank();
        paid(lost, 1_000);
        eq(pool.bankOf(bank).exposure, 0, "nothing open");
    }

    /// @notice While paused, a debtor still disputes, takes back and settles.
    function test_pause_never_stops_a_dispute() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.disputeWindow = 5 days;
        uint256 id = registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
        _paused();
        vm.startPrank(debtor);
        registry.dispute(id, "");
        registry.withdrawDispute(id);
        registry.dispute(id, "");
        vm.stopPrank();
        uint40 deadline = uint40(block.timestamp);
        bytes memory signature = signTyped(
            DEBTOR_KEY,
            domain("veilscore ReceivableRegistry", address(registry)),
            keccak256(
                abi.encode(
                    keccak256("DisputeSettlement(uint256 id,uint8 dispute,uint96 credit,uint40 deadline)"),
                    id,
                    uint8(2),
                    uint96(10),
                    deadline
                )
            )
        );
        vm.prank(supplier);
        registry.settleDispute(id, 10, deadline, signature);
        eq(registry.remainingOf(id), 990, "settled");
    }
}
