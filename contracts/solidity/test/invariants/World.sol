// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFinancingPool} from "../../src/interfaces/IFinancingPool.sol";
import {IOrderFinancing} from "../../src/interfaces/IOrderFinancing.sol";
import {IReceivableRegistry} from "../../src/interfaces/IReceivableRegistry.sol";
import {Fixture} from "../base/Fixture.sol";
import {MockDepositToken} from "../mocks/MockDepositToken.sol";
import {FreezableToken} from "./FreezableToken.sol";

/// @dev The contracts, those who use them, and a model of what should be: written by hand from the
/// rules, told of each call that succeeds, and never reading the contracts' own books.
abstract contract World is Fixture {
    /// @dev One invoice over all its leaves: face = open + paid + credited, unless cancelled.
    struct Tree {
        uint96 face;
        uint96 open;
        uint96 paid;
        uint96 credited;
        bool cancelled;
    }

    /// @dev What a loan or facility looked like when it was made, and when its default was declared.
    struct Origin {
        address debtor;
        uint96 principal;
        uint96 remaining;
        uint16 capBps;
        uint40 defaultedAt;
        uint256 order;
    }

    uint96 internal constant DUST_FLOOR = 100;
    /// @dev More live leaves, loans or orders than this are not made: the checks go over all of them.
    uint256 internal constant MOST_LEAVES = 24;
    uint256 internal constant MOST_LOANS = 12;
    uint256 internal constant MOST_ORDERS = 8;

    address internal nobody = address(0xB0B);
    address[3] internal debtors;
    address[4] internal suppliers;
    address[3] internal banks;
    FreezableToken[2] internal coins;
    /// @dev Everybody who can have money.
    address[] internal accounts;
    mapping(address debtor => uint256) internal keyOf;

    uint256 internal clock;
    uint256 private _dice;
    mapping(bytes32 what => uint256) public times;

    // Leaves.
    uint256 internal lastId;
    uint256[] internal live;
    mapping(uint256 id => uint256) internal placeInLive;
    mapping(uint256 id => IReceivableRegistry.Leaf) internal leaves;
    mapping(uint256 id => address) internal holderOf;
    mapping(uint256 root => IReceivableRegistry.Terms) internal terms;
    mapping(uint256 root => Tree) internal trees;
    uint256[] internal roots;
    mapping(bytes32 fingerprint => uint256) internal liveTrees;
    mapping(bytes32 fingerprint => uint32) internal revisions;
    bytes32[] internal freed;
    mapping(uint256 id => uint256) internal childrenSum;
    uint256[] internal dead;

    // Money.
    mapping(address coin => mapping(address account => uint256)) internal cash;
    mapping(address coin => uint256) internal minted;
    mapping(address coin => mapping(address account => uint256)) internal heldByRegistry;
    mapping(address account => uint256) internal heldByPool;
    mapping(address bank => uint256) internal liquidity;

    // Loans that are neither settled nor absent, orders, attestations.
    uint256[] internal loans;
    mapping(uint256 id => uint256) internal placeInLoans;
    mapping(uint256 id => IFinancingPool.Loan) internal loanOf;
    mapping(uint256 id => Origin) internal origins;
    uint256[] internal orderIds;
    mapping(uint256 id => IOrderFinancing.Order) internal orderOf;
    mapping(uint256 id => uint256) internal placeInOrders;
    mapping(uint256 id => uint40) internal orderDefaultedAt;
    uint256[] internal endedOrders;
    uint256 internal lastOrder = 1 << 128;
    mapping(address bank => IFinancingPool.Terms) internal bankTerms;
    mapping(address bank => mapping(uint64 nonce => bool)) internal used;
    mapping(address bank => uint64[]) internal usedNonces;

    bool internal registryPaused;
    bool internal poolPaused;

    function setUp() public virtual override {
        clock = 1_760_000_000;
        vm.warp(clock);
        for (uint256 i = 0; i < debtors.length; ++i) {
            debtors[i] = vm.addr(DEBTOR_KEY + i);
            keyOf[debtors[i]] = DEBTOR_KEY + i;
        }
        debtor = debtors[0];
        supplier = vm.addr(SUPPLIER_KEY);
        suppliers = [supplier, secondSupplier, address(0x5003), address(0x5004)];
        banks = [bank, secondBank, address(0xBA03)];
        signer = vm.addr(SIGNER_KEY);
        secondSigner = vm.addr(SECOND_SIGNER_KEY);
        coins = [new FreezableToken("Deposit", "DEP"), new FreezableToken("Other", "OTH")];
        token = MockDepositToken(address(coins[0]));
        _deploy(address(token));
        vm.startPrank(admin);
        registry.admitToken(address(coins[1]), true, DUST_FLOOR);
        registry.admitDebtor(debtors[1], true);
        registry.admitDebtor(debtors[2], true);
        vm.stopPrank();
        _everybodyApproves();
    }

    function _everybodyApproves() private {
        for (uint256 i = 0; i < debtors.length; ++i) {
            accounts.push(debtors[i]);
        }
        for (uint256 i = 0; i < suppliers.length; ++i) {
            accounts.push(suppliers[i]);
        }
        for (uint256 i = 0; i < banks.length; ++i) {
            accounts.push(banks[i]);
        }
        accounts.push(nobody);
        for (uint256 i = 0; i < accounts.length; ++i) {
            vm.startPrank(accounts[i]);
            for (uint256 c = 0; c < coins.length; ++c) {
                coins[c].approve(address(registry), type(uint256).max);
                coins[c].approve(address(pool), type(uint256).max);
            }
            registry.setApprovalForAll(address(pool), true);
            vm.stopPrank();
        }
        accounts.push(address(pool));
        accounts.push(address(registry));
        accounts.push(address(orders));
        for (uint256 c = 0; c < coins.length; ++c) {
            for (uint256 i = 0; i < accounts.length; ++i) {
                cash[address(coins[c])][accounts[i]] = coins[c].balanceOf(accounts[i]);
            }
            minted[address(coins[c])] = coins[c].totalSupply();
        }
        // The fixture's first two banks paid this in.
        (liquidity[bank], liquidity[secondBank]) = (1e14, 1e14);
        bankTerms[bank] = pool.bankOf(bank).terms;
        bankTerms[secondBank] = pool.bankOf(secondBank).terms;
    }

    // ---------------------------------------------------------------- chance

    /// @dev Each step begins here: at the model's time, with dice thrown by the fuzzer.
    modifier step(uint256 seed) {
        vm.warp(clock);
        _dice = seed;
        _;
        _watch();
    }

    /// @dev Sees after each step that nothing moved as it must not.
    function _watch() internal virtual;

    function _throw() internal returns (uint256) {
        _dice = uint256(keccak256(abi.encode(_dice)));
        return _dice;
    }

    /// @dev A number between two bounds; each bound itself comes up in one throw of eight.
    function _draw(uint256 low, uint256 high) internal returns (uint256) {
        if (low >= high) return low;
        uint256 dice = _throw();
        if (dice % 8 == 0) return low;
        if (dice % 8 == 1) return high;
        return within(dice >> 8, low, high);
    }

    function _chance(uint256 in_) internal returns (bool) {
        return _throw() % in_ == 0;
    }

    function _pick(uint256[] storage list, function(uint256) internal view returns (bool) fits)
        internal
        returns (uint256)
    {
        uint256 count = list.length;
        if (count == 0) return 0;
        uint256 start = _throw();
        for (uint256 i = 0; i < count; ++i) {
            uint256 id = list[(start % count + i) % count];
            if (fits(id)) return id;
        }
        return 0;
    }

    function _anySupplier() internal returns (address) {
        return suppliers[_throw() % suppliers.length];
    }

    function _anyDebtor() internal returns (address) {
        return debtors[_throw() % debtors.length];
    }

    function _did(bytes32 what) internal {
        ++times[what];
    }

    /// @dev A call that must fail, and why; then nothing it did is left.
    function _refused(address caller, address target, bytes memory call, bytes4 why) internal {
        vm.prank(caller);
        (bool succeeded, bytes memory answer) = target.call(call);
        if (succeeded) revert NotTrue(string.concat("must be refused with ", vm.toString(uint256(uint32(why)))));
        eq(uint256(uint32(bytes4(answer))), uint256(uint32(why)), "reason of a refusal");
        ++times[bytes32(why)];
        ++times["refusal"];
    }

    function _travel(uint256 to) internal {
        if (to > clock) {
            clock = to;
            vm.warp(to);
        }
    }

    // ---------------------------------------------------------------- the model's money

    function _move(address coin, address from, address to, uint256 amount) internal {
        cash[coin][from] -= amount;
        cash[coin][to] += amount;
    }

    function _fund(address coin, address account, uint256 amount) internal {
        if (cash[coin][account] >= amount) return;
        uint256 missing = amount - cash[coin][account];
        FreezableToken(coin).mint(account, missing);
        cash[coin][account] += missing;
        minted[coin] += missing;
    }

    function _frozen(address coin, address account) internal view returns (bool) {
        return FreezableToken(coin).frozen(account) != FreezableToken.Freeze.None;
    }

    // ---------------------------------------------------------------- the model's leaves

    function _remaining(uint256 id) internal view returns (uint96) {
        return leaves[id].face - leaves[id].paid - leaves[id].credited;
    }

    function _termsOf(uint256 id) internal view returns (IReceivableRegistry.Terms storage) {
        return terms[leaves[id].root];
    }

    function _held(uint256 id) internal view returns (bool) {
        return holderOf[id] != address(pool);
    }

    function _isLive(uint256 id) internal view returns (bool) {
        return leaves[id].status == IReceivableRegistry.Status.Live;
    }

    function _heldLive(uint256 id) internal view returns (bool) {
        return _isLive(id) && _held(id);
    }

    function _any(uint256) internal pure returns (bool) {
        return true;
    }

    function _bear(uint256 id, uint256 root, uint8 depth, uint96 face, address holder) internal {
        eq(id, ++lastId, "a new leaf takes the next id");
        leaves[id] = IReceivableRegistry.Leaf({
            face: uint64(face),
            paid: 0,
            credited: 0,
            root: uint40(root),
            depth: depth,
            disputes: 0,
            status: IReceivableRegistry.Status.Live
        });
        holderOf[id] = holder;
        live.push(id);
        placeInLive[id] = live.length;
    }

    function _end(uint256 id, IReceivableRegistry.Status status) internal {
        leaves[id].status = status;
        holderOf[id] = address(0);
        _remove(live, placeInLive, id);
        dead.push(id);
    }

    function _remove(uint256[] storage list, mapping(uint256 => uint256) storage places, uint256 id) internal {
        uint256 place = places[id];
        uint256 last = list[list.length - 1];
        list[place - 1] = last;
        places[last] = place;
        places[id] = 0;
        list.pop();
    }

    function _bookPaid(uint256 id, uint96 amount) internal {
        bool settles = amount == _remaining(id);
        leaves[id].paid += uint64(amount);
        trees[leaves[id].root].paid += amount;
        trees[leaves[id].root].open -= amount;
        if (settles) _end(id, IReceivableRegistry.Status.Settled);
    }

    function _bookCredited(uint256 id, uint96 amount) internal {
        bool settles = amount == _remaining(id);
        leaves[id].credited += uint64(amount);
        trees[leaves[id].root].credited += amount;
        trees[leaves[id].root].open -= amount;
        if (settles) _end(id, IReceivableRegistry.Status.Settled);
    }

    // ---------------------------------------------------------------- the model's loans

    function _least(uint96 a, uint96 b) internal pure returns (uint96) {
        return a < b ? a : b;
    }

    /// @dev Simple interest, rounded up.
    function _interest(uint256 principal, uint256 rateBps, uint256 seconds_) internal pure returns (uint96) {
        uint256 year = 10_000 * 365 days;
        return uint96((principal * rateBps * seconds_ + year - 1) / year);
    }

    function _liveOrders(address supplier_, address buyer) internal view returns (uint256 count) {
        for (uint256 i = 0; i < orderIds.length; ++i) {
            IOrderFinancing.Order storage order = orderOf[orderIds[i]];
            if (order.supplier == supplier_ && order.buyer == buyer) ++count;
        }
    }

    function _openAdvances(address supplier_, address buyer) internal view returns (uint256 sum) {
        for (uint256 i = 0; i < orderIds.length; ++i) {
            IOrderFinancing.Order storage order = orderOf[orderIds[i]];
            if (order.supplier == supplier_ && order.buyer == buyer) sum += order.principal;
        }
    }

    function _owes(uint256 id) internal view returns (bool) {
        return orderOf[id].principal != 0;
    }

    /// @dev Open advances of a bank, of one debtor or supplier where they are not 0.
    function _exposure(address bank_, address debtor_, address supplier_) internal view returns (uint256 sum) {
        for (uint256 i = 0; i < loans.length; ++i) {
            IFinancingPool.Loan storage loan = loanOf[loans[i]];
            if (loan.bank != bank_ || loan.status == IFinancingPool.LoanStatus.WrittenOff) continue;
            if (debtor_ != address(0) && origins[loans[i]].debtor != debtor_) continue;
            if (supplier_ != address(0) && loan.supplier != supplier_) continue;
            sum += loan.principal;
        }
        for (uint256 i = 0; i < orderIds.length; ++i) {
            IOrderFinancing.Order storage order = orderOf[orderIds[i]];
            if (order.bank != bank_ || order.status == IOrderFinancing.OrderStatus.WrittenOff) continue;
            if (debtor_ != address(0) && order.buyer != debtor_) continue;
            if (supplier_ != address(0) && order.supplier != supplier_) continue;
            sum += order.principal;
        }
    }

    function _recourse(address bank_, address supplier_) internal view returns (uint256 count) {
        for (uint256 i = 0; i < loans.length; ++i) {
            IFinancingPool.Loan storage loan = loanOf[loans[i]];
            if (loan.bank != bank_ || loan.supplier != supplier_ || !loan.recourse) continue;
            if (loan.status != IFinancingPool.LoanStatus.Open) ++count;
        }
    }
}
