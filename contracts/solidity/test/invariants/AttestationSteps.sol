// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IScoreAttestation} from "../../src/interfaces/IScoreAttestation.sol";
import {ReceivableSteps} from "./ReceivableSteps.sol";

/// @dev Banks' signing keys, which change and end, and attestations that must not be taken.
abstract contract AttestationSteps is ReceivableSteps {
    uint256 private constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    uint256 private constant BAD_KINDS = 16;

    mapping(address bank => uint256) internal signerKey;
    mapping(address bank => uint40) internal signerUntil;
    mapping(address bank => uint256) internal revokedKey;
    mapping(address bank => uint256) internal expiredKey;
    uint256 private _keys = 0x10000;

    // What a call with an attestation is about, for those that build it.
    uint256 internal wantedClaim;
    uint96 internal wantedAmount;

    // ---------------------------------------------------------------- keys

    /// @dev The bank's key; a new one where the old one has expired.
    function _signerKey(address bank_) internal returns (uint256) {
        if (signerKey[bank_] == 0 || clock > signerUntil[bank_]) {
            expiredKey[bank_] = signerKey[bank_];
            _newKey(bank_);
        }
        return signerKey[bank_];
    }

    function _newKey(address bank_) private {
        signerKey[bank_] = ++_keys;
        signerUntil[bank_] = uint40(clock + _draw(1 days, 60 days));
        vm.prank(bank_);
        attestations.authorise(vm.addr(_keys), signerUntil[bank_]);
    }

    function rotateSigner(uint256 seed) external step(seed) {
        _newKey(banks[_throw() % banks.length]);
        _did("rotateSigner");
    }

    function revokeSigner(uint256 seed) external step(seed) {
        address bank_ = banks[_throw() % banks.length];
        uint256 key = _signerKey(bank_);
        vm.prank(bank_);
        attestations.revokeSigner(vm.addr(key));
        revokedKey[bank_] = key;
        signerKey[bank_] = 0;
        // Revoked for good: the bank can't let it sign again.
        bytes memory call = abi.encodeCall(attestations.authorise, (vm.addr(key), uint40(clock + 1)));
        _refused(bank_, address(attestations), call, IScoreAttestation.SignerAlreadyRevoked.selector);
        _did("revokeSigner");
    }

    /// @dev The bank voids a decision that it has not handed out, or not yet seen used.
    function revokeNonce(uint256 seed) external step(seed) {
        address bank_ = banks[_throw() % banks.length];
        uint64 nonce = nextNonce++;
        vm.prank(bank_);
        attestations.revoke(nonce);
        _use(bank_, nonce);
        bytes memory call = abi.encodeCall(attestations.revoke, (nonce));
        _refused(bank_, address(attestations), call, IScoreAttestation.NonceUsed.selector);
        _did("revokeNonce");
    }

    function _use(address bank_, uint64 nonce) internal {
        yes(!used[bank_][nonce], "a nonce is used once");
        used[bank_][nonce] = true;
        usedNonces[bank_].push(nonce);
    }

    // ---------------------------------------------------------------- attestations

    function _attestation(address bank_, address subject, uint256 claim, address consumer)
        internal
        returns (IScoreAttestation.Attestation memory a)
    {
        a = attestation(claim, consumer);
        a.bank = bank_;
        a.subject = subject;
        a.advanceCapBps = uint16(_chance(3) ? 10_000 : _draw(100, 10_000));
        a.rateBps = uint16(_draw(0, 3_000));
        a.recourse = _chance(2);
        a.issuedAt = uint40(clock - _draw(0, 12 hours));
        a.expiry = uint40(clock + _draw(0, 12 hours));
        if (_chance(4)) nextNonce += uint64(_draw(1, 300));
    }

    /// @dev Tries a call with an attestation that is wrong in one way; `right` would be taken.
    function _tryBadAttestation(
        address caller,
        address target,
        IScoreAttestation.Attestation memory right,
        function(IScoreAttestation.Attestation memory, bytes memory) internal view returns (bytes memory) encode
    ) internal {
        IScoreAttestation.Attestation memory a = abi.decode(abi.encode(right), (IScoreAttestation.Attestation));
        uint256 kind = _throw() % BAD_KINDS;
        uint256 key = _signerKey(a.bank);
        bytes memory signature;
        bytes4 why;
        if (kind < 6) (key, why) = _wrongKey(a.bank, kind);
        else why = _wrongField(a, kind);
        if (kind == 6) signature = _foreignSignature(a, key, block.chainid + 1, address(attestations));
        else if (kind == 7) signature = _foreignSignature(a, key, block.chainid, address(pool));
        else signature = signAttestation(a, key);
        if (kind == 4) signature = _malleable(signature);
        if (kind == 5) a.modelDigest = keccak256("another model");
        _refused(caller, target, encode(a, signature), why);
        _did("bad attestation");
        ++times[bytes32(kind)];
    }

    function _wrongKey(address bank_, uint256 kind) private returns (uint256 key, bytes4 why) {
        key = _signerKey(bank_);
        why = IScoreAttestation.SignerUnknown.selector;
        if (kind == 0) {
            key = _signerKey(bank_ == banks[0] ? banks[1] : banks[0]);
        } else if (kind == 1) {
            key = ++_keys;
        } else if (kind == 2 && revokedKey[bank_] != 0) {
            (key, why) = (revokedKey[bank_], IScoreAttestation.SignerAlreadyRevoked.selector);
        } else if (kind == 3 && expiredKey[bank_] != 0) {
            (key, why) = (expiredKey[bank_], IScoreAttestation.SignerExpired.selector);
        } else if (kind == 4) {
            why = IScoreAttestation.SignatureInvalid.selector;
        } else if (kind < 4) {
            key = ++_keys;
        }
    }

    function _wrongField(IScoreAttestation.Attestation memory a, uint256 kind) private view returns (bytes4) {
        if (kind == 6 || kind == 7) return IScoreAttestation.SignerUnknown.selector;
        if (kind == 8) {
            (a.issuedAt, a.expiry) = (uint40(clock - 1 hours), uint40(clock - 1));
            return IScoreAttestation.AttestationExpired.selector;
        }
        if (kind == 9) {
            (a.issuedAt, a.expiry) = (uint40(clock + 1), uint40(clock + 2));
            return IScoreAttestation.AttestationNotYetValid.selector;
        }
        if (kind == 10) {
            (a.issuedAt, a.expiry) = (uint40(clock), uint40(clock + 1 days + 1));
            return IScoreAttestation.LifetimeTooLong.selector;
        }
        if (kind == 11) {
            a.consumer = a.consumer == address(pool) ? address(orders) : address(pool);
            return IScoreAttestation.WrongConsumer.selector;
        }
        if (kind == 12) {
            a.advanceCapBps = 10_001;
            return IScoreAttestation.CapOutOfRange.selector;
        }
        if (kind == 13 && usedNonces[a.bank].length != 0) {
            a.nonce = usedNonces[a.bank][a.nonce % usedNonces[a.bank].length];
            return IScoreAttestation.NonceUsed.selector;
        }
        // IFinancingPool and IOrderFinancing have the same error.
        if (kind == 14) a.subject = nobody;
        else ++a.claim;
        return bytes4(keccak256("AttestationMismatch()"));
    }

    function _foreignSignature(IScoreAttestation.Attestation memory a, uint256 key, uint256 chain, address where_)
        private
        pure
        returns (bytes memory)
    {
        bytes32 separator = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("veilscore ScoreAttestation"),
                keccak256("1"),
                chain,
                where_
            )
        );
        bytes32 typehash = keccak256(
            "Attestation(address bank,address consumer,address subject,uint256 claim,bytes32 modelDigest,uint8 scoreBand,uint16 advanceCapBps,uint16 rateBps,bool recourse,uint64 nonce,uint40 issuedAt,uint40 expiry)"
        );
        return signTyped(key, separator, keccak256(abi.encode(typehash, a)));
    }

    /// @dev The other signature that the curve has for the same message and key.
    function _malleable(bytes memory signature) private pure returns (bytes memory) {
        bytes32 r;
        bytes32 s;
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
        }
        uint8 v = uint8(signature[64]) == 27 ? 28 : 27;
        return abi.encodePacked(r, CURVE_ORDER - uint256(s), v);
    }
}
