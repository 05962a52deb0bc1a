// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MockDepositToken} from "./MockDepositToken.sol";

/// @dev Keeps a share of every transfer from the receiver while `feeBps` is set.
contract FeeToken is MockDepositToken("Fee", "FEE", 2) {
    uint256 public feeBps;

    function setFee(uint256 feeBps_) external {
        feeBps = feeBps_;
    }

    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = from == address(0) || to == address(0) ? 0 : value * feeBps / 10_000;
        super._update(from, to, value - fee);
        if (fee != 0) super._update(from, address(0), fee);
    }
}

/// @dev Returns false and moves nothing while it is told to.
contract FalseToken is MockDepositToken("False", "FLS", 2) {
    bool public refusing;

    function refuse(bool refusing_) external {
        refusing = refusing_;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        return refusing ? false : super.transfer(to, value);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        return refusing ? false : super.transferFrom(from, to, value);
    }
}

/// @dev Its transfers return nothing, as the oldest tokens' do.
contract SilentToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    error TooLittle();

    function mint(address to, uint256 value) external {
        balanceOf[to] += value;
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        return true;
    }

    function transfer(address to, uint256 value) external {
        _move(msg.sender, to, value);
    }

    function transferFrom(address from, address to, uint256 value) external {
        if (allowance[from][msg.sender] < value) revert TooLittle();
        _move(from, to, value);
    }

    function _move(address from, address to, uint256 value) private {
        if (balanceOf[from] < value) revert TooLittle();
        balanceOf[from] -= value;
        balanceOf[to] += value;
    }
}

/// @dev Transfers to or from a blocked account revert.
contract BlockingToken is MockDepositToken("Blocking", "BLK", 2) {
    mapping(address => bool) public blocked;

    error Blocked(address account);

    function setBlocked(address account, bool blocked_) external {
        blocked[account] = blocked_;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (blocked[from]) revert Blocked(from);
        if (blocked[to]) revert Blocked(to);
        super._update(from, to, value);
    }
}

/// @dev Overstates one account's balance.
contract LyingToken is MockDepositToken("Lying", "LIE", 2) {
    address public favourite;
    uint256 public overstated;
    uint256 private _truths;

    /// @dev The lie begins with the first transfer after `truths` of them.
    function lieAbout(address favourite_, uint256 overstated_, uint256 truths) external {
        (favourite, overstated, _truths) = (favourite_, overstated_, truths);
    }

    function balanceOf(address account) public view override returns (uint256) {
        return super.balanceOf(account) + (account == favourite && _truths == 0 ? overstated : 0);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_truths != 0) --_truths;
    }
}

/// @dev Calls out in the middle of the next transfer, once, and keeps what came of it.
contract HookToken is MockDepositToken("Hook", "HOOK", 2) {
    address private _target;
    bytes private _call;
    bool public succeeded;
    bytes public answer;

    function arm(address target, bytes calldata call_) external {
        (_target, _call) = (target, call_);
        (succeeded, answer) = (false, "");
    }

    function _update(address from, address to, uint256 value) internal override {
        address target = _target;
        if (target != address(0)) {
            _target = address(0);
            (succeeded, answer) = target.call(_call);
        }
        super._update(from, to, value);
    }
}
