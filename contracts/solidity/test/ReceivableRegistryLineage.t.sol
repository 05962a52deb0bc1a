// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IReceivableRegistry} from "../src/interfaces/IReceivableRegistry.sol";
import {Fixture} from "./base/Fixture.sol";
import {LeafReceiver} from "./mocks/HostileReceivers.sol";

/// @dev Leaves that are split, joined and handed on.
contract ReceivableRegistryLineageTest is Fixture {
    address private constant THIRD = address(0x5003);

    function _parts(uint96 a, uint96 b, address first, address second)
        private
        pure
        returns (uint96[] memory faces, address[] memory holders)
    {
        faces = new uint96[](2);
        holders = new address[](2);
        (faces[0], faces[1], holders[0], holders[1]) = (a, b, first, second);
    }

    function _split(address holder, uint256 id, uint96 a, uint96 b, address first, address second)
        private
        returns (uint256[] memory)
    {
        (uint96[] memory faces, address[] memory holders) = _parts(a, b, first, second);
        vm.prank(holder);
        return registry.split(id, faces, holders);
    }

    function _splitRefused(uint256 id, uint96 a, uint96 b, bytes memory error_) private {
        (uint96[] memory faces, address[] memory holders) = _parts(a, b, supplier, secondSupplier);
        vm.prank(supplier);
        vm.expectRevert(error_);
        registry.split(id, faces, holders);
    }

    function _pair(uint256 first, uint256 second) private pure returns (uint256[] memory ids) {
        ids = new uint256[](2);
        (ids[0], ids[1]) = (first, second);
    }

    function _mergeRefused(uint256[] memory ids, bytes memory error_) private {
        vm.prank(supplier);
        vm.expectRevert(error_);
        registry.merge(ids);
    }

    // ---------------------------------------------------------------- split

    /// @notice A split ends the leaf, makes its children for their holders, and says so.
    function test_split_books_everything() public {
        uint256 id = confirmed(1_000);
        paid(id, 100);
        vm.prank(supplier);
        registry.credit(id, 50);
        (uint96[] memory faces, address[] memory holders) = _parts(600, 250, secondSupplier, THIRD);
        uint256[] memory children = _pair(id + 1, id + 2);
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.ReceivableSplit(id, children, faces, holders);
        vm.prank(supplier);
        uint256[] memory made = registry.split(id, faces, holders);

        eq(made.length, 2, "count");
        eq(made[0], id + 1, "first child");
        eq(made[1], id + 2, "second child");
        yes(registry.leafOf(id).status == IReceivableRegistry.Status.Split, "parent split");
        eq(registry.remainingOf(id), 0, "parent has ended");
        for (uint256 i = 0; i < 2; ++i) {
            IReceivableRegistry.Leaf memory leaf = registry.leafOf(made[i]);
            eq(leaf.face, faces[i], "face");
            eq(uint256(leaf.paid) + leaf.credited + leaf.disputes, 0, "fresh");
            eq(leaf.root, id, "root");
            eq(leaf.depth, 1, "depth");
            yes(leaf.status == IReceivableRegistry.Status.Live, "live");
            eq(registry.ownerOf(made[i]), holders[i], "holder");
            eq(registry.termsOf(made[i]).debtor, debtor, "terms of the root");
        }
        eq(registry.outstandingOf(debtor, address(token)), 850, "outstanding");
        vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, id));
        registry.ownerOf(id);
    }

    /// @notice Only the holder splits; a leaf that does not exist has none.
    function test_split_only_by_its_holder() public {
        uint256 id = confirmed(1_000);
        (uint96[] memory faces, address[] memory holders) = _parts(500, 500, supplier, THIRD);
        vm.prank(secondSupplier);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.NotHolder.selector, id, secondSupplier));
        registry.split(id, faces, holders);
        _splitRefused(99, 500, 500, abi.encodeWithSelector(IReceivableRegistry.NotHolder.selector, 99, supplier));
    }

    /// @notice Neither an approved operator nor an approved spender is the holder.
    function test_split_not_by_an_operator() public {
        uint256 id = confirmed(1_000);
        vm.prank(supplier);
        registry.setApprovalForAll(THIRD, true);
        (uint96[] memory faces, address[] memory holders) = _parts(500, 500, THIRD, THIRD);
        vm.prank(THIRD);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.NotHolder.selector, id, THIRD));
        registry.split(id, faces, holders);
    }

    /// @notice The parts sum to what remains, to the unit.
    function test_split_parts_sum_to_the_remaining_amount() public {
        uint256 id = confirmed(1_000);
        paid(id, 100);
        bytes4 error_ = IReceivableRegistry.PartsDoNotSum.selector;
        _splitRefused(id, 500, 399, abi.encodeWithSelector(error_, id, 899, 900));
        _splitRefused(id, 500, 401, abi.encodeWithSelector(error_, id, 901, 900));
        _splitRefused(id, 500, 500, abi.encodeWithSelector(error_, id, 1_000, 900));
        _splitRefused(
            id, type(uint96).max, 901, abi.encodeWithSelector(error_, id, uint256(type(uint96).max) + 901, 900)
        );
        _split(supplier, id, 500, 400, supplier, THIRD);
    }

    /// @notice A part is at least the dust floor, and more than nothing where there is no floor.
    function test_split_dust_floor() public {
        uint256 id = confirmed(1_000);
        bytes4 error_ = IReceivableRegistry.BelowDustFloor.selector;
        _splitRefused(id, 99, 901, abi.encodeWithSelector(error_, uint256(99), 100));
        _splitRefused(id, 901, 99, abi.encodeWithSelector(error_, uint256(99), 100));
        vm.prank(admin);
        registry.admitToken(address(token), true, 0);
        _splitRefused(id, 0, 1_000, abi.encodeWithSelector(error_, uint256(0), 0));
        vm.prank(admin);
        registry.admitToken(address(token), true, 100);
        _split(supplier, id, 100, 900, supplier, THIRD);
    }

    /// @notice Two to sixteen parts, each with a holder.
    function test_split_part_counts() public {
        uint256 id = confirmed(1_700);
        for (uint256 count = 0; count <= 17; ++count) {
            uint96[] memory faces = new uint96[](count);
            address[] memory holders = new address[](count);
            uint256 left = 1_700;
            for (uint256 i = 0; i < count; ++i) {
                faces[i] = uint96(i + 1 == count ? left : 100);
                holders[i] = THIRD;
                left -= faces[i];
            }
            uint256 before = vm.snapshotState();
            vm.prank(supplier);
            bool good = count >= 2 && count <= 16;
            if (!good) vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.PartCount.selector, count));
            uint256[] memory made = registry.split(id, faces, holders);
            if (good) eq(made.length, count, "children");
            vm.revertToState(before);
        }
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.PartsMismatch.selector, 2, 3));
        registry.split(id, new uint96[](2), new address[](3));
    }

    /// @notice A leaf in dispute is not split.
    function test_split_only_a_live_leaf() public {
        uint256 id = _disputed();
        _splitRefused(
            id,
            500,
            500,
            abi.encodeWithSelector(IReceivableRegistry.NotLive.selector, id, IReceivableRegistry.Status.Disputed)
        );
    }

    /// @notice Eight tiers of splits are had, a ninth is not; a merge keeps the deeper tier.
    function test_split_depth() public {
        uint256 id = confirmed(10_000);
        uint96 face = 10_000;
        uint256 sibling;
        for (uint256 tier = 1; tier <= 8; ++tier) {
            face -= 100;
            uint256[] memory made = _split(supplier, id, face, 100, supplier, supplier);
            (id, sibling) = (made[0], tier == 1 ? made[1] : sibling);
            eq(registry.leafOf(id).depth, tier, "depth");
        }
        _splitRefused(id, face - 100, 100, abi.encodeWithSelector(IReceivableRegistry.TooDeep.selector, id));
        uint256 before = vm.snapshotState();
        vm.prank(supplier);
        uint256 merged = registry.merge(_pair(sibling, id));
        eq(registry.leafOf(merged).depth, 8, "deeper one second");
        vm.revertToState(before);
        vm.prank(supplier);
        merged = registry.merge(_pair(id, sibling));
        eq(registry.leafOf(merged).depth, 8, "deeper one first");
        _splitRefused(merged, face, 100, abi.encodeWithSelector(IReceivableRegistry.TooDeep.selector, merged));
    }

    /// @notice No part is sent to a pool, nor to nobody.
    function test_split_holders() public {
        uint256 id = confirmed(1_000);
        (uint96[] memory faces, address[] memory holders) = _parts(500, 500, supplier, address(pool));
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.OnlyPoolTakes.selector, address(pool)));
        registry.split(id, faces, holders);
        holders[1] = address(0);
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721InvalidReceiver.selector, address(0)));
        registry.split(id, faces, holders);
    }

    /// @notice A receiver contract's code is not run by a split: it can neither refuse nor re-enter.
    function test_split_runs_no_receiver_code() public {
        LeafReceiver receiver = new LeafReceiver();
        uint256[] memory made = _split(supplier, confirmed(1_000), 500, 500, address(receiver), supplier);
        eq(registry.ownerOf(made[0]), address(receiver), "holder");
        yes(!receiver.touched(), "untouched");
    }

    /// @notice Whatever the faces are: children sum to what remained, and so does what is outstanding.
    function testFuzz_split_and_merge_keep_the_sum(uint96 face, uint96 paid_, uint256 seed, uint8 count_) public {
        uint256 count = within(count_, 2, 16);
        face = uint96(within(face, 5_000, 1e15));
        paid_ = uint96(within(paid_, 1, face - 2_000));
        uint256 id = confirmed(face);
        paid(id, paid_);
        uint256 left = face - paid_;
        uint96[] memory faces = new uint96[](count);
        address[] memory holders = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 most = left - 100 * (count - 1 - i);
            faces[i] = uint96(i + 1 == count ? left : within(uint256(keccak256(abi.encode(seed, i))), 100, most));
            holders[i] = supplier;
            left -= faces[i];
        }
        vm.prank(supplier);
        uint256[] memory made = registry.split(id, faces, holders);
        uint256 sum;
        for (uint256 i = 0; i < count; ++i) {
            sum += registry.remainingOf(made[i]);
        }
        eq(sum, face - paid_, "children");
        eq(registry.outstandingOf(debtor, address(token)), face - paid_, "outstanding");
        paid(made[0], 50);
        vm.prank(supplier);
        uint256 merged = registry.merge(made);
        eq(registry.remainingOf(merged), face - paid_ - 50, "merged");
        eq(registry.outstandingOf(debtor, address(token)), face - paid_ - 50, "outstanding after");
    }

    // ---------------------------------------------------------------- merge

    /// @notice A merge ends the leaves, makes one of what remains of them, and says so.
    function test_merge_books_everything() public {
        uint256 id = confirmed(1_000);
        uint256[] memory parts = _split(supplier, id, 600, 400, supplier, supplier);
        paid(parts[0], 100);
        vm.prank(supplier);
        registry.credit(parts[1], 50);
        uint256 expected = parts[1] + 1;
        vm.expectEmit(address(registry));
        emit IReceivableRegistry.ReceivableMerged(expected, parts, 850, supplier);
        vm.prank(supplier);
        uint256 merged = registry.merge(parts);

        eq(merged, expected, "id");
        IReceivableRegistry.Leaf memory leaf = registry.leafOf(merged);
        eq(leaf.face, 850, "face");
        eq(uint256(leaf.paid) + leaf.credited + leaf.disputes, 0, "fresh");
        eq(leaf.root, id, "root");
        eq(leaf.depth, 1, "depth");
        yes(leaf.status == IReceivableRegistry.Status.Live, "live");
        eq(registry.ownerOf(merged), supplier, "holder");
        eq(registry.outstandingOf(debtor, address(token)), 850, "outstanding");
        for (uint256 i = 0; i < 2; ++i) {
            yes(registry.leafOf(parts[i]).status == IReceivableRegistry.Status.Merged, "merged");
            eq(registry.remainingOf(parts[i]), 0, "ended");
            vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, parts[i]));
            registry.ownerOf(parts[i]);
        }
    }

    /// @notice Two to sixteen leaves are joined.
    function test_merge_part_counts() public {
        _mergeRefused(new uint256[](0), abi.encodeWithSelector(IReceivableRegistry.PartCount.selector, 0));
        uint256[] memory ids = new uint256[](1);
        ids[0] = confirmed(3_000);
        _mergeRefused(ids, abi.encodeWithSelector(IReceivableRegistry.PartCount.selector, 1));
        uint96[] memory faces = new uint96[](16);
        address[] memory holders = new address[](16);
        for (uint256 i = 0; i < 16; ++i) {
            (faces[i], holders[i]) = (i == 0 ? 1_500 : 100, supplier);
        }
        vm.prank(supplier);
        uint256[] memory sixteen = registry.split(ids[0], faces, holders);
        uint256[] memory more = _split(supplier, sixteen[0], 1_000, 500, supplier, supplier);
        uint256[] memory seventeen = new uint256[](17);
        for (uint256 i = 1; i < 16; ++i) {
            seventeen[i] = sixteen[i];
        }
        (seventeen[0], seventeen[16], sixteen[0]) = (more[0], more[1], more[0]);
        _mergeRefused(seventeen, abi.encodeWithSelector(IReceivableRegistry.PartCount.selector, 17));
        vm.prank(supplier);
        eq(registry.remainingOf(registry.merge(sixteen)), 2_500, "sixteen joined");
    }

    /// @notice Only leaves that the caller holds are joined, each once.
    function test_merge_only_ones_own_and_each_once() public {
        uint256[] memory parts = _split(supplier, confirmed(1_000), 600, 400, supplier, secondSupplier);
        _mergeRefused(parts, abi.encodeWithSelector(IReceivableRegistry.NotHolder.selector, parts[1], supplier));
        _mergeRefused(
            _pair(parts[0], parts[0]),
            abi.encodeWithSelector(IReceivableRegistry.NotHolder.selector, parts[0], supplier)
        );
    }

    /// @notice Leaves of two invoices are not joined.
    function test_merge_refuses_two_roots() public {
        (uint256 first, uint256 second) = (confirmed(1_000), confirmed(1_000));
        _mergeRefused(
            _pair(first, second), abi.encodeWithSelector(IReceivableRegistry.DifferentRoots.selector, first, second)
        );
    }

    /// @notice A leaf in dispute is not joined.
    function test_merge_only_live_leaves() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.disputeWindow = 1 days;
        uint256 id = registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
        uint256[] memory parts = _split(supplier, id, 600, 400, supplier, supplier);
        vm.prank(debtor);
        registry.dispute(parts[1], "short");
        _mergeRefused(
            parts,
            abi.encodeWithSelector(IReceivableRegistry.NotLive.selector, parts[1], IReceivableRegistry.Status.Disputed)
        );
    }

    // ---------------------------------------------------------------- handing on

    /// @notice A live leaf moves as any ERC-721 token does, and its new holder is paid.
    function test_transfer_hands_the_claim_on() public {
        uint256 id = confirmed(1_000);
        vm.prank(supplier);
        registry.transferFrom(supplier, THIRD, id);
        eq(registry.ownerOf(id), THIRD, "holder");
        paid(id, 300);
        eq(token.balanceOf(THIRD), 300, "paid to the new holder");
    }

    /// @notice A leaf in dispute stays where it is.
    function test_transfer_only_of_a_live_leaf() public {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.disputeWindow = 1 days;
        address[2] memory suppliers = [supplier, address(1)];
        for (uint256 i = 0; i < 2; ++i) {
            c.supplier = suppliers[i];
            c.fingerprint = keccak256(abi.encode(i));
            uint256 id = registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
            vm.prank(debtor);
            registry.dispute(id, "short");
            vm.prank(c.supplier);
            vm.expectRevert(
                abi.encodeWithSelector(IReceivableRegistry.NotLive.selector, id, IReceivableRegistry.Status.Disputed)
            );
            registry.transferFrom(c.supplier, THIRD, id);
        }
    }

    /// @notice A leaf comes into a pool by the pool's own hand only.
    function test_transfer_into_a_pool_is_refused() public {
        uint256 id = confirmed(1_000);
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(IReceivableRegistry.OnlyPoolTakes.selector, address(pool)));
        registry.transferFrom(supplier, address(pool), id);
    }

    /// @notice A financed leaf is the pool's: the supplier can't split, join, credit, cancel or move it.
    function test_a_financed_leaf_is_not_the_suppliers() public {
        uint256 id = confirmed(1_000);
        financed(id, 500);
        bytes memory error_ = abi.encodeWithSelector(IReceivableRegistry.NotHolder.selector, id, supplier);
        _splitRefused(id, 500, 500, error_);
        _mergeRefused(_pair(id, id), error_);
        vm.startPrank(supplier);
        vm.expectRevert(error_);
        registry.credit(id, 1);
        vm.expectRevert(error_);
        registry.cancel(id);
        vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721InsufficientApproval.selector, supplier, id));
        registry.transferFrom(address(pool), THIRD, id);
        vm.stopPrank();
    }

    /// @notice A receiver that reverts refuses a safe transfer, and only that.
    function test_safe_transfer_to_a_receiver_that_refuses() public {
        uint256 id = confirmed(1_000);
        LeafReceiver receiver = new LeafReceiver();
        vm.prank(supplier);
        vm.expectRevert(abi.encodeWithSelector(LeafReceiver.Unwanted.selector));
        registry.safeTransferFrom(supplier, address(receiver), id);
        vm.prank(supplier);
        registry.transferFrom(supplier, address(receiver), id);
        eq(registry.ownerOf(id), address(receiver), "holder");
    }

    /// @notice What a holder approved ends with its holding; an approval that is given stands until then.
    function test_an_approval_ends_with_the_holding() public {
        uint256 id = confirmed(1_000);
        vm.prank(supplier);
        registry.approve(admin, id);
        eq(registry.getApproved(id), admin, "given");
        vm.prank(supplier);
        registry.transferFrom(supplier, secondSupplier, id);
        eq(registry.getApproved(id), address(0), "ended");
        vm.prank(secondSupplier);
        registry.approve(admin, id);
        vm.prank(secondSupplier);
        registry.approve(address(0), id);
        eq(registry.getApproved(id), address(0), "taken back");
    }

    /// @notice A receiver that re-enters on a safe transfer acts as the holder it now is, and as no more.
    function test_safe_transfer_to_a_receiver_that_re_enters() public {
        uint256 id = confirmed(1_000);
        LeafReceiver receiver = new LeafReceiver();
        receiver.arm(address(registry), abi.encodeCall(registry.credit, (id, 400)));
        vm.prank(supplier);
        registry.safeTransferFrom(supplier, address(receiver), id);
        yes(receiver.succeeded(), "credited");
        eq(registry.remainingOf(id), 600, "remaining");
        eq(registry.outstandingOf(debtor, address(token)), 600, "outstanding");
    }

    function _disputed() private returns (uint256 id) {
        IReceivableRegistry.Confirmation memory c = confirmation(1_000);
        c.disputeWindow = 1 days;
        id = registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
        vm.prank(debtor);
        registry.dispute(id, "short");
    }
}
