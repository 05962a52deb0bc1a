"""Refusals of OpenZeppelin's contracts under ours, and of deposit tokens built on them."""

from __future__ import annotations

from datetime import datetime

from contracts.gateway.refusal import ContractRefusal
from contracts.units import Address, Digest, ReceivableId, TokenMinor

__all__ = [
    "AccessControlBadConfirmation",
    "AccessControlEnforcedDefaultAdminDelay",
    "AccessControlEnforcedDefaultAdminRules",
    "AccessControlInvalidDefaultAdmin",
    "AccessControlUnauthorizedAccount",
    "ERC20InsufficientAllowance",
    "ERC20InsufficientBalance",
    "ERC20InvalidApprover",
    "ERC20InvalidReceiver",
    "ERC20InvalidSender",
    "ERC20InvalidSpender",
    "ERC721IncorrectOwner",
    "ERC721InsufficientApproval",
    "ERC721InvalidApprover",
    "ERC721InvalidOperator",
    "ERC721InvalidOwner",
    "ERC721InvalidReceiver",
    "ERC721InvalidSender",
    "ERC721NonexistentToken",
    "EnforcedPause",
    "ExpectedPause",
    "InvalidShortString",
    "ReentrancyGuardReentrantCall",
    "SafeCastOverflowedUintDowncast",
    "SafeERC20FailedOperation",
    "StringTooLong",
]


class AccessControlBadConfirmation(ContractRefusal, solidity="AccessControlBadConfirmation()"):
    """A role is given up by its holder only."""

    sentence = "A role is given up by its holder only."


class AccessControlEnforcedDefaultAdminDelay(
    ContractRefusal,
    solidity="AccessControlEnforcedDefaultAdminDelay(uint48 schedule)",
):
    """The admin's delay is not over."""

    schedule: datetime
    sentence = "The operator's change is possible from {schedule} on."


class AccessControlEnforcedDefaultAdminRules(
    ContractRefusal,
    solidity="AccessControlEnforcedDefaultAdminRules()",
):
    """The admin role moves by its two steps only."""

    sentence = (
        "The operator's role moves by beginDefaultAdminTransfer and "
        "acceptDefaultAdminTransfer only."
    )


class AccessControlInvalidDefaultAdmin(
    ContractRefusal,
    solidity="AccessControlInvalidDefaultAdmin(address defaultAdmin)",
):
    """The account can't be the admin."""

    default_admin: Address
    sentence = "{default_admin} can't be the operator."


class AccessControlUnauthorizedAccount(
    ContractRefusal,
    solidity="AccessControlUnauthorizedAccount(address account, bytes32 neededRole)",
):
    """The caller lacks a role."""

    account: Address
    needed_role: Digest
    sentence = "{account} lacks the role {needed_role}; the operator can grant it."


class ERC721IncorrectOwner(
    ContractRefusal,
    solidity="ERC721IncorrectOwner(address sender, uint256 tokenId, address owner)",
):
    """The sender does not hold the leaf."""

    sender: Address
    token_id: ReceivableId
    owner: Address
    sentence = "Receivable {token_id} is held by {owner}, not by {sender}."


class ERC721InsufficientApproval(
    ContractRefusal,
    solidity="ERC721InsufficientApproval(address operator, uint256 tokenId)",
):
    """The contract may not take the leaf."""

    operator: Address
    token_id: ReceivableId
    sentence = (
        "{operator} may not move receivable {token_id}; its holder approves it first "
        "(setApprovalForAll)."
    )


class ERC721InvalidApprover(ContractRefusal, solidity="ERC721InvalidApprover(address approver)"):
    """The approver does not hold the leaf."""

    approver: Address
    sentence = "{approver} does not hold this receivable and can't approve anybody for it."


class ERC721InvalidOperator(ContractRefusal, solidity="ERC721InvalidOperator(address operator)"):
    """The operator can't be approved."""

    operator: Address
    sentence = "{operator} can't be approved."


class ERC721InvalidOwner(ContractRefusal, solidity="ERC721InvalidOwner(address owner)"):
    """The owner is no account."""

    owner: Address
    sentence = "{owner} can't hold receivables."


class ERC721InvalidReceiver(ContractRefusal, solidity="ERC721InvalidReceiver(address receiver)"):
    """The receiver can't take a leaf."""

    receiver: Address
    sentence = "{receiver} can't take receivables: it is 0 or a contract that does not know them."


class ERC721InvalidSender(ContractRefusal, solidity="ERC721InvalidSender(address sender)"):
    """The sender is no account."""

    sender: Address
    sentence = "{sender} can't send a receivable."


class ERC721NonexistentToken(ContractRefusal, solidity="ERC721NonexistentToken(uint256 tokenId)"):
    """There is no such leaf."""

    token_id: ReceivableId
    sentence = "Receivable {token_id} does not exist (any more)."


class ERC20InsufficientAllowance(
    ContractRefusal,
    solidity="ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed)",
):
    """The payer approved less."""

    spender: Address
    allowance: TokenMinor
    needed: TokenMinor
    sentence = (
        "{spender} may take {allowance} of the payer's deposit tokens and {needed} is "
        "needed; approve it first."
    )


class ERC20InsufficientBalance(
    ContractRefusal,
    solidity="ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed)",
):
    """The account has less."""

    sender: Address
    balance: TokenMinor
    needed: TokenMinor
    sentence = "{sender} has {balance} in deposit tokens and {needed} is needed."


class ERC20InvalidApprover(ContractRefusal, solidity="ERC20InvalidApprover(address approver)"):
    """The approver is no account."""

    approver: Address
    sentence = "{approver} can't approve anybody."


class ERC20InvalidReceiver(ContractRefusal, solidity="ERC20InvalidReceiver(address receiver)"):
    """The receiver is no account."""

    receiver: Address
    sentence = "{receiver} can't take deposit tokens."


class ERC20InvalidSender(ContractRefusal, solidity="ERC20InvalidSender(address sender)"):
    """The sender is no account."""

    sender: Address
    sentence = "{sender} can't send deposit tokens."


class ERC20InvalidSpender(ContractRefusal, solidity="ERC20InvalidSpender(address spender)"):
    """The spender is no account."""

    spender: Address
    sentence = "{spender} can't be approved."


class EnforcedPause(ContractRefusal, solidity="EnforcedPause()"):
    """The contract is paused."""

    sentence = (
        "{where}: the contract is paused; payments still work, the rest waits for the operator."
    )


class ExpectedPause(ContractRefusal, solidity="ExpectedPause()"):
    """The contract is not paused."""

    sentence = "The contract is not paused."


class InvalidShortString(ContractRefusal, solidity="InvalidShortString()"):
    """A text is malformed."""

    sentence = "{where}: a text is malformed."


class StringTooLong(ContractRefusal, solidity="StringTooLong(string str)"):
    """A text is too long."""

    str: str
    sentence = "The text {str} is too long."


class ReentrancyGuardReentrantCall(ContractRefusal, solidity="ReentrancyGuardReentrantCall()"):
    """The contract was called from within itself."""

    sentence = "A token or receiver called back while the contract was at work; that is refused."


class SafeCastOverflowedUintDowncast(
    ContractRefusal,
    solidity="SafeCastOverflowedUintDowncast(uint8 bits, uint256 value)",
):
    """A number is too large."""

    bits: int
    value: int
    sentence = "{value} does not fit into {bits} bits."


class SafeERC20FailedOperation(ContractRefusal, solidity="SafeERC20FailedOperation(address token)"):
    """The token refused a transfer."""

    token: Address
    sentence = "The token {token} refused or is none; check balance and approval."
