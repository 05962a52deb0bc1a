// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

interface ITransferListener {
    /// @param operator who called the token: the contract under way
    function onTransfer(address operator) external;
}

/// @dev A deposit token whose issuer can freeze an account, so that transfers to and from it revert or
/// return false; and that tells a listener of each transfer, while it is under way.
contract FreezableToken is ERC20 {
    enum Freeze {
        None,
        Reverts,
        ReturnsFalse
    }

    error Frozen(address account);

    mapping(address account => Freeze) public frozen;
    ITransferListener public listener;

    constructor(string memory name_, string memory symbol_) ERC20(name_, symbol_) {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function freeze(address account, Freeze how) external {
        frozen[account] = how;
    }

    function tell(ITransferListener listener_) external {
        listener = listener_;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        if (_stopped(msg.sender) || _stopped(to)) return false;
        super.transfer(to, value);
        _tell();
        return true;
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        if (_stopped(from) || _stopped(to)) return false;
        super.transferFrom(from, to, value);
        _tell();
        return true;
    }

    function _stopped(address account) private view returns (bool) {
        if (frozen[account] == Freeze.Reverts) revert Frozen(account);
        return frozen[account] == Freeze.ReturnsFalse;
    }

    function _tell() private {
        if (address(listener) != address(0)) listener.onTransfer(msg.sender);
    }
}
