// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {FinancingPool} from "../src/FinancingPool.sol";
import {ReceivableRegistry} from "../src/ReceivableRegistry.sol";
import {IReceivableRegistry} from "../src/interfaces/IReceivableRegistry.sol";
import {Fixture} from "./base/Fixture.sol";
import {SignerWallet} from "./mocks/HostileReceivers.sol";

/// @dev How a receivable comes into being.
contract ReceivableRegistryConfirmTest is Fixture {
    function _refused(IReceivableRegistry.Confirmation memory c, bytes memory error_) private {
        bytes memory signature = signConfirmation(c, DEBTOR_KEY);
        vm.expectRevert(error_);
        registry.confirm(c, signature);
    }

    /// @notice A confirmation makes one leaf with the terms that the debtor signed, and says so.
    function test_confirm_books_everything() public {
        IReceivableRegistry.Confirmation memory c = confirmation(123_456);
        c.disputeWindow = 5 days;
        bytes memory signature = signConfirmation(c, DEBTOR_KEY);
        uint40 now_ = uint40(block.timestamp);
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.ReceivableConfirmed(
            1,
            debtor,
            supplier,
            address(token),
            123_456,
            now_ + 90 days,
            now_ + 5 days,
            now_ - 2 days,
            c.fingerprint,
            c.documentHash,
            0
        );
        vm.prank(address(0xA11));
        uint256 id = registry.confirm(c, signature);

        eq(id, 1, "first id");
        (IReceivableRegistry.Leaf memory leaf, IReceivableRegistry.Terms memory terms, address holder) =
            registry.positionOf(id);
        eq(holder, supplier, "holder");
        eq(registry.ownerOf(id), supplier, "owner");
        eq(leaf.face, 123_456, "face");
        eq(uint256(leaf.paid) + leaf.credited + leaf.depth + leaf.disputes, 0, "nothing yet");
        eq(leaf.root, id, "root");
        yes(leaf.status == IReceivableRegistry.Status.Live, "live");
        eq(terms.debtor, debtor, "debtor");
        eq(terms.token, address(token), "token");
        eq(terms.dueDate, now_ + 90 days, "due");
        eq(terms.confirmedAt, now_, "confirmed at");
        eq(terms.disputeUntil, now_ + 5 days, "disputable until");
        yes(terms.fingerprint == c.fingerprint, "fingerprint");
        eq(registry.termsOf(id).dueDate, terms.dueDate, "terms alone");
        eq(registry.leafOf(id).face, leaf.face, "leaf alone");
        eq(registry.remainingOf(id), 123_456, "remaining");
        eq(registry.outstandingOf(debtor, address(token)), 123_456, "outstanding");
        eq(registry.rootOf(c.fingerprint), id, "fingerprint's root");
        eq(registry.revisionOf(c.fingerprint), 0, "revision");
    }

    /// @notice Ids go up by one and what a debtor owes adds up.
    function test_confirmations_add_up() public {
        uint256 first = confirmed(1_000);
        uint256 second = confirmed(2_500);
        eq(second, first + 1, "next id");
        eq(registry.outstandingOf(debtor, address(token)), 3_500, "outstanding");
        eq(registry.balanceOf(supplier), 2, "leaves");
    }

    /// @notice The interfaces of ERC-721, access control and ERC-165 are announced, and no other.
    function test_interfaces() public view {
        yes(registry.supportsInterface(0x80ac58cd), "ERC-721");
        yes(registry.supportsInterface(0x7965db0b), "access control");
        yes(registry.supportsInterface(0x01ffc9a7), "ERC-165");
        yes(!registry.supportsInterface(0xffffffff), "no other");
        yes(keccak256(bytes(registry.name())) == keccak256("veilscore receivable"), "name");
        yes(keccak256(bytes(registry.symbol())) == keccak256("vRCV"), "symbol");
    }

    /// @notice Before an order contract is set, confirmations are not asked about orders.
    function test_confirm_without_orders() public {
        registry = new ReceivableRegistry(admin, 1 days);
        vm.startPrank(admin);
        registry.admitToken(address(token), true, 0);
        registry.admitDebtor(debtor, true);
        vm.stopPrank();
        eq(registry.remainingOf(confirmed(1)), 1, "confirmed");
        IReceivableRegistry.Confirmation memory c = confirmation(1);
        c.order = 7;
        _refused(c, abi.encodeWithSelector(IReceivableRegistry.OnlyOrders.selector, 7));
    }

    /// @notice An amount of zero, and no fingerprint, are refused.
    function test_confirm_refuses_zeros() public {
        IReceivableRegistry.Confirmation memory c = confirmation(0);
        _refused(c, abi.encodeWithSelector(IReceivableRegistry.ZeroAmount.selector));
        c = confirmation(1_000);
        c.fingerprint = 0;
        _refused(c, abi.encodeWithSelector(IReceivableRegistry.ZeroAmount.selector));
        c = confirmation(1_000);
        c.supplier = address(0);
        _refused(c, abi.encodeWithSelector(IERC721Errors.ERC721InvalidReceiver.selector, address(0)));
    }

    /// @notice Only admitted debtors and tokens count.
    function test_confirm_refuses_strangers() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.debtor = address(0xBAD);
        _refused(c, abi.encodeWithSelector(IReceivableRegistry.DebtorNotAdmitted.selector, address(0xBAD)));
        c = confirmation(1_000);
        c.token = address(0xBAD);
        _refused(c, abi.encodeWithSelector(IReceivableRegistry.TokenNotAdmitted.selector, address(0xBAD)));
        vm.startPrank(admin);
        registry.admitDebtor(debtor, false);
        vm.stopPrank();
        _refused(confirmation(1_000), abi.encodeWithSelector(IReceivableRegistry.DebtorNotAdmitted.selector, debtor));
        vm.startPrank(admin);
        registry.admitDebtor(debtor, true);
        registry.admitToken(address(token), false, 100);
        vm.stopPrank();
        _refused(
            confirmation(1_000), abi.encodeWithSelector(IReceivableRegistry.TokenNotAdmitted.selector, address(token))
        );
    }

    /// @notice The smallest amount is the token's dust floor.
    function test_confirm_dust_floor() public {
        _refused(
            confirmation(99), abi.encodeWithSelector(IReceivableRegistry.BelowDustFloor.selector, uint256(99), 100)
        );
        confirmed(100);
    }

    /// @notice A claim is due a second from now at the earliest.
    function test_confirm_due_date() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.dueDate = uint40(block.timestamp);
        _refused(c, abi.encodeWithSelector(IReceivableRegistry.DueDatePassed.selector, c.dueDate));
        c.dueDate -= 1;
        _refused(c, abi.encodeWithSelector(IReceivableRegistry.DueDatePassed.selector, c.dueDate));
        c.dueDate += 2;
        registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
    }

    /// @notice A signature serves up to its deadline and not a second longer.
    function test_confirm_deadline() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        vm.warp(c.deadline + 1);
        _refused(c, abi.encodeWithSelector(IReceivableRegistry.SignatureExpired.selector, c.deadline));
        vm.warp(c.deadline);
        registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
    }

    /// @notice A fingerprint has one live tree, whoever signs and whatever else the invoice says.
    function test_confirm_refuses_a_taken_fingerprint() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        uint256 id = registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
        c.face = 2_000;
        _refused(c, abi.encodeWithSelector(IReceivableRegistry.FingerprintTaken.selector, c.fingerprint, id));
        paid(id, 1_000);
        _refused(c, abi.encodeWithSelector(IReceivableRegistry.FingerprintTaken.selector, c.fingerprint, id));
    }

    /// @notice A revision other than the fingerprint's own is refused.
    function test_confirm_refuses_another_revision() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.revision = 1;
        _refused(c, abi.encodeWithSelector(IReceivableRegistry.RevisionStale.selector, c.fingerprint, uint32(0)));
    }

    /// @notice A claim on an order comes from the order contract only.
    function test_confirm_order_only_through_orders() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.order = 5;
        _refused(c, abi.encodeWithSelector(IReceivableRegistry.OnlyOrders.selector, 5));
    }

    /// @notice An invoice of more than an index can hold is refused; of the most, taken.
    function test_confirm_bounds_the_face() public {
        uint96 most = registry.MAX_FACE();
        eq(most, (1 << 63) - 1, "a signed 64-bit integer");
        _refused(
            confirmation(most + 1), abi.encodeWithSelector(IReceivableRegistry.FaceTooLarge.selector, most + 1, most)
        );
        eq(registry.remainingOf(confirmed(most)), most, "the most");
    }

    /// @notice While an order has not ended, the same two register no other invoice, whether or not its
    /// advance is drawn yet: what is drawn later would finance the same delivery.
    function test_confirm_refuses_while_an_order_is_live() public {
        uint256 before = confirmed(1_000);
        uint256 order = opened(10_000, 5_000);
        eq(orders.liveOrders(supplier, debtor), 1, "live orders");
        bytes memory why = abi.encodeWithSelector(IReceivableRegistry.OrderAdvanceOpen.selector, supplier, debtor);
        _refused(confirmation(1_000), why);
        drawn(order, 1);
        _refused(confirmation(1_000), why);
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.supplier = secondSupplier;
        registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
        vm.startPrank(supplier);
        orders.repay(order, 1);
        orders.lapse(order);
        vm.stopPrank();
        eq(orders.liveOrders(supplier, debtor), 0, "live orders");
        eq(registry.remainingOf(confirmed(1_000)), registry.remainingOf(before), "again");
    }

    /// @notice No pool is admitted that holds leaves already: it would know of no loan on them.
    function test_a_pool_with_leaves_is_not_admitted() public {
        FinancingPool second =
            new FinancingPool(address(registry), address(attestations), address(token), admin, 1 days);
        uint256 id = confirmed(100_000);
        vm.prank(supplier);
        registry.transferFrom(supplier, address(second), id);
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.PoolHoldsLeaves.selector, address(second)));
        registry.admitPool(address(second));
    }

    /// @notice Another's signature is not the debtor's.
    function test_confirm_refuses_another_signer() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        bytes memory signature = signConfirmation(c, SUPPLIER_KEY);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.SignatureInvalid.selector, debtor));
        registry.confirm(c, signature);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.SignatureInvalid.selector, debtor));
        registry.confirm(c, "");
    }

    /// @notice A signature for another chain or another contract is worth nothing here.
    function test_confirm_binds_chain_and_contract() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        bytes memory signature = signConfirmation(c, DEBTOR_KEY);
        uint256 chain = block.chainid;
        vm.chainId(chain + 1);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.SignatureInvalid.selector, debtor));
        registry.confirm(c, signature);
        vm.chainId(chain);
        ReceivableRegistry ours = registry;
        registry = new ReceivableRegistry(admin, 1 days);
        signature = signConfirmation(c, DEBTOR_KEY);
        registry = ours;
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.SignatureInvalid.selector, debtor));
        registry.confirm(c, signature);
    }

    /// @notice The second signature that follows from a signature (high s) is refused.
    function test_confirm_refuses_the_malleable_twin() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        bytes memory signature = twin(signConfirmation(c, DEBTOR_KEY));
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.SignatureInvalid.selector, debtor));
        registry.confirm(c, signature);
    }

    /// @notice A contract that is a debtor signs by ERC-1271; whatever else it does is a refusal.
    function test_confirm_with_a_contract_as_debtor() public {
        SignerWallet wallet = new SignerWallet();
        vm.startPrank(admin);
        registry.admitDebtor(address(wallet), true);
        vm.stopPrank();
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.debtor = address(wallet);
        for (uint8 answer = 1; answer <= uint8(type(SignerWallet.Answer).max); ++answer) {
            wallet.set(SignerWallet.Answer(answer));
            vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.SignatureInvalid.selector, address(wallet)));
            registry.confirm{gas: 1_000_000}(c, "any");
        }
        wallet.set(SignerWallet.Answer.Yes);
        uint256 id = registry.confirm(c, "any");
        eq(registry.termsOf(id).debtor, address(wallet), "debtor");
    }

    /// @notice A pool is nobody's supplier: no leaf is made in its name.
    function test_confirm_refuses_a_pool_as_supplier() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.supplier = address(pool);
        _refused(c, abi.encodeWithSelector(IReceivableRegistry.OnlyPoolTakes.selector, address(pool)));
    }

    /// @notice A dispute window that no clock can hold is refused, not wrapped.
    function test_confirm_refuses_an_endless_dispute_window() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.disputeWindow = type(uint40).max;
        _refused(c, abi.encodeWithSignature("Panic(uint256)", 0x11));
    }

    /// @notice What is signed is EIP-712's digest of every field, put together here by hand.
    function testFuzz_confirm_digest(
        uint96 face,
        uint40 dueIn,
        uint40 window,
        uint40 shippedAt,
        bytes32 fingerprint,
        bytes32 document,
        uint40 deadlineIn,
        uint8 changed
    ) public {
        vm.assume(fingerprint != 0);
        IReceivableRegistry.Confirmation memory c = confirmation(uint96(within(face, 100, registry.MAX_FACE())));
        c.dueDate = uint40(block.timestamp + within(dueIn, 1, 3650 days));
        c.disputeWindow = uint40(within(window, 0, 3650 days));
        c.shippedAt = shippedAt;
        c.fingerprint = fingerprint;
        c.documentHash = document;
        c.deadline = uint40(block.timestamp + within(deadlineIn, 0, 3650 days));
        bytes memory signature = signTyped(DEBTOR_KEY, _domain(), _structHash(c));
        uint256 before = vm.snapshotState();
        registry.confirm(c, signature);
        vm.revertToState(before);

        changed = changed % 7;
        if (changed == 0) c.supplier = secondSupplier;
        if (changed == 1) c.face = c.face == 100 ? 101 : c.face - 1;
        if (changed == 2) c.dueDate += 1;
        if (changed == 3) c.disputeWindow += 1;
        if (changed == 4) c.shippedAt = c.shippedAt == 0 ? 1 : c.shippedAt - 1;
        if (changed == 5) c.documentHash = keccak256(abi.encode(c.documentHash));
        if (changed == 6) c.deadline += 1;
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.SignatureInvalid.selector, debtor));
        registry.confirm(c, signature);
    }

    function _domain() private view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("veilscore ReceivableRegistry"),
                keccak256("1"),
                block.chainid,
                address(registry)
            )
        );
    }

    function _structHash(IReceivableRegistry.Confirmation memory c) private pure returns (bytes32) {
        bytes memory first = abi.encode(
            keccak256(
                "Confirmation(address supplier,address debtor,address token,uint96 face,uint40 dueDate,uint40 disputeWindow,uint40 shippedAt,bytes32 fingerprint,uint32 revision,bytes32 documentHash,uint256 order,uint40 deadline)"
            ),
            c.supplier,
            c.debtor,
            c.token,
            c.face,
            c.dueDate
        );
        bytes memory second =
            abi.encode(c.disputeWindow, c.shippedAt, c.fingerprint, c.revision, c.documentHash, c.order, c.deadline);
        return keccak256(bytes.concat(first, second));
    }
}
