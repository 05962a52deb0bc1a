// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {IScoreAttestation} from "./interfaces/IScoreAttestation.sol";

/// @title Signed scoring decisions, each used once.
/// @dev A bank is an account that authorises signing keys; which banks count is for the consumer to
/// say. A bank's nonces are bits of a map, so that decisions can be used in any order and 256 of them
/// share a storage slot.
contract ScoreAttestation is IScoreAttestation, EIP712 {
    using BitMaps for BitMaps.BitMap;

    struct Signer {
        uint40 notAfter;
        bool revoked;
    }

    /// @notice Longest time from decision to use, seconds: scores go stale.
    uint256 public constant MAX_LIFETIME = 1 days;

    bytes32 private constant ATTESTATION_TYPEHASH = keccak256(
        "Attestation(address bank,address consumer,address subject,uint256 claim,bytes32 modelDigest,uint8 scoreBand,uint16 advanceCapBps,uint16 rateBps,bool recourse,uint64 nonce,uint40 issuedAt,uint40 expiry)"
    );
    uint256 private constant BASIS = 10_000;

    mapping(address bank => mapping(address signer => Signer)) private _signers;
    mapping(address bank => BitMaps.BitMap) private _used;

    constructor() EIP712("veilscore ScoreAttestation", "1") {}

    /// @inheritdoc IScoreAttestation
    function authorise(address signer, uint40 notAfter) external {
        if (signer == address(0)) revert ZeroAddress();
        if (notAfter <= block.timestamp) revert NotAfterPassed(notAfter);
        Signer storage entry = _signers[msg.sender][signer];
        if (entry.revoked) revert SignerAlreadyRevoked(msg.sender, signer);
        entry.notAfter = notAfter;
        emit SignerAuthorised(msg.sender, signer, notAfter);
    }

    /// @inheritdoc IScoreAttestation
    function revokeSigner(address signer) external {
        Signer storage entry = _signers[msg.sender][signer];
        if (entry.notAfter == 0) revert SignerUnknown(msg.sender, signer);
        if (entry.revoked) revert SignerAlreadyRevoked(msg.sender, signer);
        entry.revoked = true;
        emit SignerRevoked(msg.sender, signer);
    }

    /// @inheritdoc IScoreAttestation
    function revoke(uint64 nonce) external {
        if (_used[msg.sender].get(nonce)) revert NonceUsed(msg.sender, nonce);
        _used[msg.sender].set(nonce);
        emit AttestationRevoked(msg.sender, nonce);
    }

    /// @inheritdoc IScoreAttestation
    function consume(Attestation calldata attestation, bytes calldata signature) external {
        address bank = attestation.bank;
        if (attestation.consumer != msg.sender) revert WrongConsumer(attestation.consumer, msg.sender);
        if (block.timestamp < attestation.issuedAt) revert AttestationNotYetValid(attestation.issuedAt);
        if (block.timestamp > attestation.expiry) revert AttestationExpired(attestation.expiry);
        uint256 lifetime = attestation.expiry - attestation.issuedAt;
        if (lifetime > MAX_LIFETIME) revert LifetimeTooLong(lifetime);
        if (attestation.advanceCapBps > BASIS) revert CapOutOfRange(attestation.advanceCapBps);
        if (attestation.scoreBand == 0) revert BandOutOfRange(attestation.scoreBand);
        if (_used[bank].get(attestation.nonce)) revert NonceUsed(bank, attestation.nonce);
        // tryRecover refuses the other signature of the same message (high s), so none is malleable.
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(digest(attestation), signature);
        if (problem != ECDSA.RecoverError.NoError) revert SignatureInvalid();
        Signer memory entry = _signers[bank][signer];
        if (entry.notAfter == 0) revert SignerUnknown(bank, signer);
        if (entry.revoked) revert SignerAlreadyRevoked(bank, signer);
        if (block.timestamp > entry.notAfter) revert SignerExpired(bank, signer, entry.notAfter);
        _used[bank].set(attestation.nonce);
        emit AttestationConsumed(
            bank,
            attestation.subject,
            attestation.claim,
            msg.sender,
            attestation.nonce,
            attestation.modelDigest,
            attestation.scoreBand
        );
    }

    /// @inheritdoc IScoreAttestation
    function signerUntil(address bank, address signer) external view returns (uint40 notAfter) {
        return _signers[bank][signer].notAfter;
    }

    /// @inheritdoc IScoreAttestation
    function isRevoked(address bank, address signer) external view returns (bool) {
        return _signers[bank][signer].revoked;
    }

    /// @inheritdoc IScoreAttestation
    function isUsed(address bank, uint64 nonce) external view returns (bool) {
        return _used[bank].get(nonce);
    }

    /// @inheritdoc IScoreAttestation
    function digest(Attestation calldata attestation) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(ATTESTATION_TYPEHASH, attestation)));
    }
}
