// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What a debtor owes, as leaves that can be split, passed on and paid.
/// @notice A receivable comes into being only by the debtor's EIP-712 signature. Its leaves are
/// ERC-721 tokens: whoever holds a leaf is owed its remaining amount (face - paid - credited).
/// @dev Only hashes stand on chain, never personal data. Amounts are minor units of an ERC-20
/// deposit token; times are unix seconds.
interface IReceivableRegistry {
    /// @notice What became of a leaf. It only ever moves to the right, but for Live and Disputed.
    enum Status {
        None,
        Live,
        Disputed,
        Split,
        Merged,
        Settled,
        Cancelled
    }

    /// @notice What the debtor signs (EIP-712).
    /// @param supplier who is owed, and gets the leaf
    /// @param debtor who owes and signs
    /// @param token the deposit token that the debt is paid in
    /// @param face the amount owed, minor units
    /// @param dueDate when it is to be paid
    /// @param disputeWindow seconds after confirmation in which the debtor may dispute; 0 waives it
    /// @param shippedAt when goods left, 0 where that is not known; recorded, not checked
    /// @param fingerprint the invoice's network-wide salted fingerprint
    /// @param revision how often this fingerprint was cancelled before, so that no signature serves twice
    /// @param documentHash SHA-256 of the document
    /// @param order the purchase order in OrderFinancing that this invoice fulfils, or 0
    /// @param deadline until when the signature may be used
    struct Confirmation {
        address supplier;
        address debtor;
        address token;
        uint96 face;
        uint40 dueDate;
        uint40 disputeWindow;
        uint40 shippedAt;
        bytes32 fingerprint;
        uint32 revision;
        bytes32 documentHash;
        uint256 order;
        uint40 deadline;
    }

    /// @notice One leaf: what it was worth when made, and what is gone from it. One storage slot, which
    /// is why amounts have 64 bits here (`MAX_FACE` sees to it) and parents stand in the events only.
    struct Leaf {
        uint64 face;
        uint64 paid;
        uint64 credited;
        uint40 root;
        uint8 depth;
        uint8 disputes;
        Status status;
    }

    /// @notice What all leaves of one confirmed invoice have in common.
    struct Terms {
        address debtor;
        uint40 dueDate;
        uint40 confirmedAt;
        address token;
        uint40 disputeUntil;
        bytes32 fingerprint;
    }

    event DebtorAdmitted(address indexed debtor, bool admitted);
    event TokenAdmitted(address indexed token, bool admitted, uint96 dustFloor);
    event PoolAdmitted(address indexed pool);
    event OrdersSet(address indexed orders);
    event ReceivableConfirmed(
        uint256 indexed id,
        address indexed debtor,
        address indexed supplier,
        address token,
        uint96 face,
        uint40 dueDate,
        uint40 disputeUntil,
        uint40 shippedAt,
        bytes32 fingerprint,
        bytes32 documentHash,
        uint256 order
    );
    event ReceivableSplit(uint256 indexed parent, uint256[] children, uint96[] faces, address[] holders);
    event ReceivableMerged(uint256 indexed merged, uint256[] parents, uint96 face, address indexed holder);
    event ReceivableDisputed(uint256 indexed id, address indexed debtor, bytes32 reason);
    event DisputeWithdrawn(uint256 indexed id);
    event DisputeSettled(uint256 indexed id, uint96 credited);
    event ReceivableCredited(uint256 indexed id, uint96 amount, uint96 remaining);
    event ReceivableCancelled(uint256 indexed id);
    event ReceivablePaid(
        uint256 indexed id, address indexed payer, address indexed holder, uint96 amount, uint96 remaining
    );
    event ReceivableSettled(uint256 indexed id);
    event PaymentHeld(address indexed token, address indexed holder, uint256 amount);
    event HeldPaymentTaken(address indexed token, address indexed holder, address to, uint256 amount);

    error ZeroAddress();
    error ZeroAmount();
    error DebtorNotAdmitted(address debtor);
    error TokenNotAdmitted(address token);
    error OnlyPoolTakes(address pool);
    error PoolHoldsLeaves(address pool);
    error FaceTooLarge(uint96 face, uint96 most);
    error SignatureExpired(uint40 deadline);
    error SignatureInvalid(address signer);
    error DueDatePassed(uint40 dueDate);
    error FingerprintTaken(bytes32 fingerprint, uint256 id);
    error RevisionStale(bytes32 fingerprint, uint32 current);
    error OnlyOrders(uint256 order);
    error OrderAdvanceOpen(address supplier, address debtor);
    error OrdersAlreadySet(address orders);
    error NotHolder(uint256 id, address caller);
    error NotDebtor(uint256 id, address caller);
    error NotLive(uint256 id, Status status);
    error NotDisputed(uint256 id, Status status);
    error DisputeWindowClosed(uint256 id, uint40 disputeUntil);
    error PartsDoNotSum(uint256 id, uint256 parts, uint256 remaining);
    error PartsMismatch(uint256 faces, uint256 holders);
    error PartCount(uint256 count);
    error BelowDustFloor(uint256 amount, uint96 dustFloor);
    error TooDeep(uint256 id);
    error DifferentRoots(uint256 first, uint256 second);
    error Overpayment(uint256 id, uint256 amount, uint96 remaining);
    error OverCredit(uint256 id, uint256 amount, uint96 remaining);
    error PayerIsHolder(uint256 id);
    error TokenTookFee(address token, uint256 expected, uint256 received);
    error NothingHeld(address token, address holder);
    error NotCancellable(uint256 id);

    /// @notice Registers an invoice by its debtor's signature and gives the supplier its leaf.
    /// Anybody may submit it; only the debtor's signature counts.
    function confirm(Confirmation calldata confirmation, bytes calldata signature) external returns (uint256 id);

    /// @notice Replaces a leaf by children that sum to its remaining amount, for any holders.
    function split(uint256 id, uint96[] calldata faces, address[] calldata holders)
        external
        returns (uint256[] memory children);

    /// @notice Joins leaves of one invoice, all held by the caller, into one.
    function merge(uint256[] calldata ids) external returns (uint256 id);

    /// @notice The debtor disputes a leaf within the window that it signed. No pool can hold it then.
    function dispute(uint256 id, bytes32 reason) external;

    /// @notice The debtor takes a dispute back.
    function withdrawDispute(uint256 id) external;

    /// @notice The holder gives up `credit_` of a disputed leaf and the debtor, by a signature over
    /// DisputeSettlement(id, number of the dispute on this leaf, credit, deadline), owes the rest.
    function settleDispute(uint256 id, uint96 credit_, uint40 deadline, bytes calldata signature) external;

    /// @notice The holder gives up part of a leaf (a credit note); all of it settles the leaf.
    function credit(uint256 id, uint96 amount) external;

    /// @notice The holder cancels an invoice that was not split, giving up what remains; its fingerprint
    /// is free for a new revision, which the debtor signs.
    function cancel(uint256 id) external;

    /// @notice Pays a leaf, in whole or part, to whoever holds it. Anybody may pay. Never paused.
    function pay(uint256 id, uint96 amount) external;

    /// @notice Takes payments that could not be delivered when they were made.
    function takeHeldPayment(address token, address to) external;

    /// @notice A leaf, its terms and who holds it (0 where it has ended), in one call.
    function positionOf(uint256 id) external view returns (Leaf memory leaf, Terms memory terms, address holder);
    function leafOf(uint256 id) external view returns (Leaf memory);
    function termsOf(uint256 id) external view returns (Terms memory);
    function remainingOf(uint256 id) external view returns (uint96);
    function outstandingOf(address debtor, address token) external view returns (uint256);
    function heldFor(address token, address holder) external view returns (uint256);
    function revisionOf(bytes32 fingerprint) external view returns (uint32);
    function isDebtor(address debtor) external view returns (bool);
    function isPool(address pool) external view returns (bool);
    function rootOf(bytes32 fingerprint) external view returns (uint256);
}
