// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Campaign} from "./Campaign.sol";
import {ITransferListener} from "./FreezableToken.sol";
import {Letters} from "./Letters.sol";

/// @dev The same world with tokens that call back in the midst of each transfer, as a hostile token or a
/// receiver with a hook would. The leaf itself gives no receiver a turn: nothing calls onERC721Received.
contract HostileWorld is Letters, ITransferListener {
    bytes4 private constant LOCKED = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;

    function setUp() public override {
        super.setUp();
        coins[0].tell(this);
        coins[1].tell(this);
    }

    /// @dev Tries what its actors may do at any other time, on the contract that is under way.
    function onTransfer(address operator) external {
        if (operator == address(registry)) _reenterRegistry();
        else if (operator == address(pool)) _reenterPool();
    }

    function _reenterRegistry() private {
        if (live.length == 0) return;
        uint256 id = live[_throw() % live.length];
        uint256 kind = _throw() % 5;
        address target = address(registry);
        if (kind == 0) {
            _refused(nobody, target, abi.encodeCall(registry.pay, (id, 1)), LOCKED);
        } else if (kind == 1) {
            _refused(holderOf[id], target, abi.encodeCall(registry.credit, (id, 1)), LOCKED);
        } else if (kind == 2) {
            _refused(holderOf[id], target, abi.encodeCall(registry.cancel, (id)), LOCKED);
        } else if (kind == 3) {
            _refused(holderOf[id], target, _halved(id), LOCKED);
        } else {
            _refused(suppliers[0], target, abi.encodeCall(registry.takeHeldPayment, (address(token), nobody)), LOCKED);
        }
        _did("registry re-entered");
    }

    function _halved(uint256 id) private view returns (bytes memory) {
        uint96[] memory faces = new uint96[](2);
        address[] memory holders = new address[](2);
        (faces[0], faces[1]) = (_remaining(id) / 2, _remaining(id) - _remaining(id) / 2);
        (holders[0], holders[1]) = (suppliers[0], suppliers[1]);
        return abi.encodeCall(registry.split, (id, faces, holders));
    }

    function _reenterPool() private {
        address target = address(pool);
        address bank_ = banks[_throw() % banks.length];
        uint256 kind = _throw() % 6;
        if (kind == 0) _refused(bank_, target, abi.encodeCall(pool.withdraw, (1)), LOCKED);
        else if (kind == 1) _refused(bank_, target, abi.encodeCall(pool.deposit, (1)), LOCKED);
        else if (kind == 2) _refused(suppliers[0], target, abi.encodeCall(pool.takeHeldPayment, (nobody)), LOCKED);
        else if (kind == 3 && loans.length != 0) _reenterLoan(loans[_throw() % loans.length]);
        else if (kind == 4 && orderIds.length != 0) _reenterOrder(orderIds[_throw() % orderIds.length]);
        _did("pool re-entered");
    }

    /// @dev A payment on a leaf of the pool is refused with the pool, whoever calls the registry.
    function _reenterLoan(uint256 id) private {
        address supplier_ = loanOf[id].supplier;
        _refused(supplier_, address(pool), abi.encodeCall(pool.repurchase, (id)), LOCKED);
        (,, address holder) = registry.positionOf(id);
        if (holder != address(pool) || coins[0].balanceOf(nobody) == 0) return;
        coins[0].tell(ITransferListener(address(0)));
        _refused(nobody, address(registry), abi.encodeCall(registry.pay, (id, 1)), LOCKED);
        coins[0].tell(this);
    }

    function _reenterOrder(uint256 id) private {
        if (!_owes(id)) return;
        _refused(nobody, address(orders), abi.encodeCall(orders.repay, (id, 1)), LOCKED);
    }
}

/// @dev The campaign with hostile tokens.
contract HostileTest is Campaign {
    function _newWorld() internal override returns (Letters) {
        return new HostileWorld();
    }

    /// @notice N: a token that calls back gets nowhere: each attempt is refused, and books and money stay
    /// as they should. (An attempt that is not refused undoes its transfer, which E, F and O would see.)
    function invariant_N_no_reentrancy() public view {
        _world.letterA();
        _world.letterE();
        _world.letterF();
        _world.letterL();
        _world.letterO();
        _world.letterT();
    }
}
