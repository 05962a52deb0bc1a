// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ScoreAttestation} from "../src/ScoreAttestation.sol";
import {IScoreAttestation} from "../src/interfaces/IScoreAttestation.sol";
import {Fixture} from "./base/Fixture.sol";

/// @dev Signed decisions; the consumer is this test itself.
contract ScoreAttestationTest is Fixture {
    function _consumeRefused(IScoreAttestation.Attestation memory a, bytes memory error_) private {
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.expectRevert(error_);
        attestations.consume(a, signature);
    }

    function _consume(IScoreAttestation.Attestation memory a) private {
        attestations.consume(a, signAttestation(a, SIGNER_KEY));
    }

    function _new() private returns (IScoreAttestation.Attestation memory) {
        return attestation(7, address(this));
    }

    // ---------------------------------------------------------------- signers

    /// @notice A bank lets a key sign until a time, extends that, and both are said.
    function test_authorise() public {
        uint40 until = uint40(block.timestamp + 1);
        vm.startPrank(bank);
        vm.expectEmit(address(attestations));
        emit IScoreAttestation.SignerAuthorised(bank, address(0x51), until);
        attestations.authorise(address(0x51), until);
        eq(attestations.signerUntil(bank, address(0x51)), until, "until");
        attestations.authorise(address(0x51), until + 5);
        vm.stopPrank();
        eq(attestations.signerUntil(bank, address(0x51)), until + 5, "extended");
        eq(attestations.signerUntil(secondBank, address(0x51)), 0, "not the other bank's");
        yes(!attestations.isRevoked(bank, address(0x51)), "not revoked");
    }

    /// @notice No signer is nobody, nor one whose time is over.
    function test_authorise_refusals() public {
        vm.startPrank(bank);
        vm.expectRevert(abi.encodeWithSelector(IScoreAttestation.ZeroAddress.selector));
        attestations.authorise(address(0), uint40(block.timestamp + 1));
        vm.expectRevert(abi.encodeWithSelector(IScoreAttestation.NotAfterPassed.selector, uint40(block.timestamp)));
        attestations.authorise(address(0x51), uint40(block.timestamp));
        vm.expectRevert(abi.encodeWithSelector(IScoreAttestation.NotAfterPassed.selector, uint40(block.timestamp - 1)));
        attestations.authorise(address(0x51), uint40(block.timestamp - 1));
        vm.stopPrank();
    }

    /// @notice A revoked key stays revoked: what it signed is void, and it is not authorised again.
    function test_revoke_signer() public {
        IScoreAttestation.Attestation memory a = _new();
        vm.startPrank(bank);
        vm.expectRevert(abi.encodeWithSelector(IScoreAttestation.SignerUnknown.selector, bank, address(0x51)));
        attestations.revokeSigner(address(0x51));
        vm.expectEmit(address(attestations));
        emit IScoreAttestation.SignerRevoked(bank, signer);
        attestations.revokeSigner(signer);
        bytes memory revoked = abi.encodeWithSelector(IScoreAttestation.SignerAlreadyRevoked.selector, bank, signer);
        vm.expectRevert(revoked);
        attestations.revokeSigner(signer);
        vm.expectRevert(revoked);
        attestations.authorise(signer, uint40(block.timestamp + 1));
        vm.stopPrank();
        yes(attestations.isRevoked(bank, signer), "revoked");
        yes(!attestations.isRevoked(secondBank, signer), "by this bank only");
        _consumeRefused(a, revoked);
    }

    /// @notice Keys are changed without a gap: the new one signs while the old one still does.
    function test_signer_rotation() public {
        vm.prank(bank);
        attestations.authorise(secondSigner, uint40(block.timestamp + 1 days));
        IScoreAttestation.Attestation memory a = _new();
        attestations.consume(a, signAttestation(a, SECOND_SIGNER_KEY));
        _consume(_new());
    }

    // ---------------------------------------------------------------- use

    /// @notice A decision is used once, and what was decided is said.
    function test_consume() public {
        IScoreAttestation.Attestation memory a = _new();
        yes(!attestations.isUsed(bank, a.nonce), "not used");
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.expectEmit(address(attestations));
        emit IScoreAttestation.AttestationConsumed(bank, supplier, 7, address(this), a.nonce, a.modelDigest, 2);
        attestations.consume(a, signature);
        yes(attestations.isUsed(bank, a.nonce), "used");
        yes(!attestations.isUsed(secondBank, a.nonce), "this bank's nonce");
        _consumeRefused(a, abi.encodeWithSelector(IScoreAttestation.NonceUsed.selector, bank, a.nonce));
    }

    /// @notice Nonces are used in any order, also the largest.
    function testFuzz_nonces_in_any_order(uint64 first, uint64 second) public {
        vm.assume(first != second);
        IScoreAttestation.Attestation memory a = _new();
        a.nonce = first;
        _consume(a);
        yes(!attestations.isUsed(bank, second), "the other is free");
        a.nonce = second;
        _consume(a);
        yes(attestations.isUsed(bank, first) && attestations.isUsed(bank, second), "both used");
    }

    /// @notice Only the consumer that is named uses a decision.
    function test_consume_only_by_the_consumer() public {
        IScoreAttestation.Attestation memory a = attestation(7, address(pool));
        _consumeRefused(
            a, abi.encodeWithSelector(IScoreAttestation.WrongConsumer.selector, address(pool), address(this))
        );
    }

    /// @notice A decision is used from its issue to its expiry, both included.
    function test_consume_in_its_time() public {
        IScoreAttestation.Attestation memory a = _new();
        uint256 now_ = block.timestamp;
        vm.warp(now_ - 1);
        _consumeRefused(a, abi.encodeWithSelector(IScoreAttestation.AttestationNotYetValid.selector, a.issuedAt));
        vm.warp(a.expiry + 1);
        _consumeRefused(a, abi.encodeWithSelector(IScoreAttestation.AttestationExpired.selector, a.expiry));
        uint256 before = vm.snapshotState();
        vm.warp(a.expiry);
        _consume(a);
        vm.revertToState(before);
        vm.warp(now_);
        _consume(a);
    }

    /// @notice A decision lives a day at most.
    function test_consume_lifetime() public {
        IScoreAttestation.Attestation memory a = _new();
        eq(attestations.MAX_LIFETIME(), 1 days, "longest");
        a.expiry = a.issuedAt + 1 days + 1;
        _consumeRefused(a, abi.encodeWithSelector(IScoreAttestation.LifetimeTooLong.selector, 1 days + 1));
        a.expiry = a.issuedAt + 1 days;
        _consume(a);
    }

    /// @notice A cap is 100 % at most.
    function test_consume_cap() public {
        IScoreAttestation.Attestation memory a = _new();
        a.advanceCapBps = 10_001;
        _consumeRefused(a, abi.encodeWithSelector(IScoreAttestation.CapOutOfRange.selector, uint16(10_001)));
        a.advanceCapBps = 10_000;
        _consume(a);
    }

    /// @notice The bank voids a decision before it is used, and learns when that comes too late.
    function test_revoke() public {
        IScoreAttestation.Attestation memory a = _new();
        vm.startPrank(bank);
        vm.expectEmit(address(attestations));
        emit IScoreAttestation.AttestationRevoked(bank, a.nonce);
        attestations.revoke(a.nonce);
        bytes memory used = abi.encodeWithSelector(IScoreAttestation.NonceUsed.selector, bank, a.nonce);
        vm.expectRevert(used);
        attestations.revoke(a.nonce);
        vm.stopPrank();
        yes(attestations.isUsed(bank, a.nonce), "void");
        _consumeRefused(a, used);
        vm.prank(secondBank);
        attestations.revoke(a.nonce + 1);
        a.nonce += 1;
        _consume(a);
    }

    /// @notice Only a key of this very bank counts, and until its time.
    function test_consume_signers() public {
        IScoreAttestation.Attestation memory a = _new();
        bytes memory signature = signAttestation(a, SECOND_SIGNER_KEY);
        vm.expectRevert(abi.encodeWithSelector(IScoreAttestation.SignerUnknown.selector, bank, secondSigner));
        attestations.consume(a, signature);

        uint40 until = attestations.signerUntil(bank, signer);
        vm.warp(until + 1);
        a = _new();
        _consumeRefused(a, abi.encodeWithSelector(IScoreAttestation.SignerExpired.selector, bank, signer, until));
        vm.warp(until);
        _consume(_new());
    }

    /// @notice What is no signature is refused, and so is the malleable twin of one that is.
    function test_consume_refuses_malformed_signatures() public {
        IScoreAttestation.Attestation memory a = _new();
        bytes memory good = signAttestation(a, SIGNER_KEY);
        bytes memory invalid = abi.encodeWithSelector(IScoreAttestation.SignatureInvalid.selector);
        vm.expectRevert(invalid);
        attestations.consume(a, "");
        vm.expectRevert(invalid);
        attestations.consume(a, new bytes(65));
        bytes memory longer = bytes.concat(good, hex"00");
        vm.expectRevert(invalid);
        attestations.consume(a, longer);
        bytes memory mirrored = twin(good);
        vm.expectRevert(invalid);
        attestations.consume(a, mirrored);
    }

    /// @notice A decision for another chain or another contract is worth nothing here.
    function test_consume_binds_chain_and_contract() public {
        IScoreAttestation.Attestation memory a = _new();
        bytes32 here = attestations.digest(a);
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        uint256 chain = block.chainid;
        vm.chainId(chain + 1);
        yes(attestations.digest(a) != here, "another chain");
        vm.expectPartialRevert(IScoreAttestation.SignerUnknown.selector);
        attestations.consume(a, signature);
        vm.chainId(chain);
        ScoreAttestation other = new ScoreAttestation();
        yes(other.digest(a) != here, "another contract");
        vm.prank(bank);
        other.authorise(signer, uint40(block.timestamp + 1));
        vm.expectPartialRevert(IScoreAttestation.SignerUnknown.selector);
        other.consume(a, signature);
    }

    /// @notice The digest is EIP-712's, of every field, put together here by hand.
    function testFuzz_digest(IScoreAttestation.Attestation memory a) public view {
        bytes memory first = abi.encode(
            keccak256(
                "Attestation(address bank,address consumer,address subject,uint256 claim,bytes32 modelDigest,uint8 scoreBand,uint16 advanceCapBps,uint16 rateBps,bool recourse,uint64 nonce,uint40 issuedAt,uint40 expiry)"
            ),
            a.bank,
            a.consumer,
            a.subject,
            a.claim,
            a.modelDigest,
            a.scoreBand
        );
        bytes memory second = abi.encode(a.advanceCapBps, a.rateBps, a.recourse, a.nonce, a.issuedAt, a.expiry);
        bytes32 separator = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("veilscore ScoreAttestation"),
                keccak256("1"),
                block.chainid,
                address(attestations)
            )
        );
        bytes32 expected = keccak256(abi.encodePacked(hex"1901", separator, keccak256(bytes.concat(first, second))));
        yes(attestations.digest(a) == expected, "digest");
    }

    /// @notice A decision with any field changed after signing is another's, so nobody's.
    function testFuzz_consume_refuses_a_changed_decision(uint8 changed) public {
        IScoreAttestation.Attestation memory a = _new();
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        changed = changed % 9;
        if (changed == 0) a.subject = secondSupplier;
        if (changed == 1) a.claim += 1;
        if (changed == 2) a.modelDigest = "other";
        if (changed == 3) a.scoreBand = 1;
        if (changed == 4) a.advanceCapBps += 1;
        if (changed == 5) a.rateBps -= 1;
        if (changed == 6) a.recourse = false;
        if (changed == 7) a.nonce += 1;
        if (changed == 8) a.expiry += 1;
        vm.expectPartialRevert(IScoreAttestation.SignerUnknown.selector);
        attestations.consume(a, signature);
    }
}
