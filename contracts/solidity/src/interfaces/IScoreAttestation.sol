// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What a bank's scoring service decided about one claim of one supplier, signed and used once.
interface IScoreAttestation {
    /// @notice What the bank's scoring key signs (EIP-712; the domain binds chain and contract).
    /// @param bank whose decision it is
    /// @param consumer the only contract that may use it
    /// @param subject the supplier it is about
    /// @param claim the receivable (or order) it is about
    /// @param modelDigest SHA-256 of the model that scored
    /// @param scoreBand 1 (best) to 255
    /// @param advanceCapBps how much of the claim may be advanced, basis points
    /// @param rateBps discount rate a year, basis points
    /// @param recourse whether the supplier stands in if the debtor does not pay
    /// @param nonce single use, any order, the bank's own
    /// @param issuedAt when it was decided
    /// @param expiry until when it may be used; at most MAX_LIFETIME after issuedAt
    struct Attestation {
        address bank;
        address consumer;
        address subject;
        uint256 claim;
        bytes32 modelDigest;
        uint8 scoreBand;
        uint16 advanceCapBps;
        uint16 rateBps;
        bool recourse;
        uint64 nonce;
        uint40 issuedAt;
        uint40 expiry;
    }

    event SignerAuthorised(address indexed bank, address indexed signer, uint40 notAfter);
    event SignerRevoked(address indexed bank, address indexed signer);
    event AttestationRevoked(address indexed bank, uint64 nonce);
    event AttestationConsumed(
        address indexed bank,
        address indexed subject,
        uint256 indexed claim,
        address consumer,
        uint64 nonce,
        bytes32 modelDigest,
        uint8 scoreBand
    );

    error ZeroAddress();
    error WrongConsumer(address expected, address caller);
    error AttestationNotYetValid(uint40 issuedAt);
    error AttestationExpired(uint40 expiry);
    error LifetimeTooLong(uint256 lifetime);
    error NonceUsed(address bank, uint64 nonce);
    error SignatureInvalid();
    error SignerUnknown(address bank, address signer);
    error SignerExpired(address bank, address signer, uint40 notAfter);
    error SignerAlreadyRevoked(address bank, address signer);
    error BandOutOfRange(uint8 scoreBand);
    error CapOutOfRange(uint16 advanceCapBps);
    error NotAfterPassed(uint40 notAfter);

    /// @notice The caller (a bank) lets `signer` attest for it until `notAfter`.
    function authorise(address signer, uint40 notAfter) external;

    /// @notice The caller (a bank) withdraws a signer, for good: every attestation it signed is void.
    function revokeSigner(address signer) external;

    /// @notice The caller (a bank) voids one attestation, used or not.
    function revoke(uint64 nonce) external;

    /// @notice Checks an attestation and uses it up. Only its consumer may.
    function consume(Attestation calldata attestation, bytes calldata signature) external;

    function signerUntil(address bank, address signer) external view returns (uint40 notAfter);
    function isRevoked(address bank, address signer) external view returns (bool);
    function isUsed(address bank, uint64 nonce) external view returns (bool);
    function digest(Attestation calldata attestation) external view returns (bytes32);
}
