// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ScoreAttestation} from "../../src/ScoreAttestation.sol";
import {IScoreAttestation} from "../../src/interfaces/IScoreAttestation.sol";
import {Vm} from "../base/Vm.sol";

/// @custom:halmos --loop 4
/// @dev For every attestation and every signature of 65 bytes, the precompile that recovers signers taken as
/// any function: whatever it answers, these hold.
contract AttestationProof {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address private constant BANK = address(0xBA01);
    address private constant SIGNER = address(0x516);
    uint256 private constant START = 1_760_000_000;

    ScoreAttestation private _attestations;

    function setUp() public {
        vm.warp(START);
        _attestations = new ScoreAttestation();
        vm.prank(BANK);
        _attestations.authorise(SIGNER, uint40(START + 365 days));
    }

    function _signature(bytes32 r, bytes32 s, uint8 v) private pure returns (bytes memory) {
        return abi.encodePacked(r, s, v);
    }

    function _consumed(IScoreAttestation.Attestation memory a, bytes memory signature) private returns (bool) {
        (bool succeeded,) = address(_attestations).call(abi.encodeCall(_attestations.consume, (a, signature)));
        return succeeded;
    }

    /// @notice No two attestations of a bank with the same nonce are both taken, the same one twice included.
    function check_nonce_is_used_once(
        IScoreAttestation.Attestation memory one,
        IScoreAttestation.Attestation memory other,
        bytes32 r,
        bytes32 s,
        bytes32 otherR,
        bytes32 otherS
    ) public {
        (one.bank, other.bank, other.nonce) = (BANK, BANK, one.nonce);
        vm.assume(_consumed(one, _signature(r, s, 27)));
        assert(!_consumed(other, _signature(otherR, otherS, 28)));
    }

    /// @notice What is taken was for the caller, within its time, with a cap that is one, and is used then.
    function check_taken_is_in_time_and_for_the_caller(
        IScoreAttestation.Attestation memory a,
        bytes32 r,
        bytes32 s,
        uint8 v
    ) public {
        a.bank = BANK;
        vm.assume(_consumed(a, _signature(r, s, v)));
        assert(a.consumer == address(this));
        assert(a.issuedAt <= START && START <= a.expiry && a.expiry - a.issuedAt <= 1 days);
        assert(a.advanceCapBps <= 10_000);
        assert(_attestations.isUsed(BANK, a.nonce));
    }

    /// @notice Of the two signatures of one message and key, the one with a high s is never taken.
    function check_high_s_is_refused(IScoreAttestation.Attestation memory a, bytes32 r, bytes32 s, uint8 v) public {
        a.bank = BANK;
        vm.assume(uint256(s) > 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0);
        assert(!_consumed(a, _signature(r, s, v)));
    }

    /// @notice After the bank has revoked its only signer, nothing is taken for it.
    function check_revoked_signer_is_refused(IScoreAttestation.Attestation memory a, bytes32 r, bytes32 s, uint8 v)
        public
    {
        vm.prank(BANK);
        _attestations.revokeSigner(SIGNER);
        a.bank = BANK;
        assert(!_consumed(a, _signature(r, s, v)));
    }

    /// @notice A nonce that the bank has voided is never taken.
    function check_revoked_nonce_is_refused(IScoreAttestation.Attestation memory a, bytes32 r, bytes32 s, uint8 v)
        public
    {
        vm.prank(BANK);
        _attestations.revoke(a.nonce);
        a.bank = BANK;
        assert(!_consumed(a, _signature(r, s, v)));
    }

    /// @notice A bank without signers gets nothing taken, whoever signed.
    function check_bank_without_signers_is_refused(
        IScoreAttestation.Attestation memory a,
        bytes32 r,
        bytes32 s,
        uint8 v
    ) public {
        vm.assume(a.bank != BANK);
        assert(!_consumed(a, _signature(r, s, v)));
    }
}
