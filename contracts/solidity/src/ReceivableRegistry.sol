// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControlDefaultAdminRules} from "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IFinancingPool} from "./interfaces/IFinancingPool.sol";
import {IOrderFinancing} from "./interfaces/IOrderFinancing.sol";
import {IReceivableRegistry} from "./interfaces/IReceivableRegistry.sol";

/// @title Receivables that their debtors signed for.
/// @dev A leaf's remaining amount is face - paid - credited; the remaining amounts of a debtor's live
/// leaves sum to `outstandingOf`. Splits and merges burn leaves and mint others of the same root.
/// Pausing stops what makes or moves claims, never a payment, a credit or a dispute.
contract ReceivableRegistry is
    IReceivableRegistry,
    ERC721,
    EIP712,
    AccessControlDefaultAdminRules,
    Pausable,
    ReentrancyGuardTransient
{
    using SafeERC20 for IERC20;

    struct TokenRule {
        bool admitted;
        uint96 dustFloor;
    }

    /// @dev `root` is 0 while no live tree uses the fingerprint; cancelling raises `revision`.
    struct FingerprintUse {
        uint40 root;
        uint32 revision;
    }

    bytes32 public constant PAUSER_ROLE = keccak256("PAUSER_ROLE");
    /// @notice Most that an invoice may be of: what a signed 64-bit integer holds, as indexes keep it.
    uint96 public constant MAX_FACE = uint96(uint64(type(int64).max));
    /// @notice Most children of one split, and most leaves of one merge.
    uint256 public constant MAX_PARTS = 16;
    /// @notice Most splits between an invoice and a leaf: tiers of suppliers.
    uint8 public constant MAX_DEPTH = 8;

    bytes32 private constant CONFIRMATION_TYPEHASH = keccak256(
        "Confirmation(address supplier,address debtor,address token,uint96 face,uint40 dueDate,uint40 disputeWindow,uint40 shippedAt,bytes32 fingerprint,uint32 revision,bytes32 documentHash,uint256 order,uint40 deadline)"
    );
    bytes32 private constant SETTLEMENT_TYPEHASH =
        keccak256("DisputeSettlement(uint256 id,uint8 dispute,uint96 credit,uint40 deadline)");

    /// @notice The order contract, set once.
    address public orders;
    uint40 private _lastId;

    mapping(uint256 id => Leaf) private _leaves;
    mapping(uint256 root => Terms) private _terms;
    mapping(bytes32 fingerprint => FingerprintUse) private _fingerprints;
    mapping(address debtor => bool) public isDebtor;
    mapping(address token => TokenRule) public tokenRule;
    /// @notice Pools that take leaves and are told of payments; admitted for good, since they hold leaves.
    mapping(address pool => bool) public isPool;
    /// @notice What a debtor still owes in a token, over all live leaves.
    mapping(address debtor => mapping(address token => uint256)) public outstandingOf;
    /// @notice Payments that could not be delivered, for their holders to take.
    mapping(address token => mapping(address holder => uint256)) public heldFor;

    constructor(address admin, uint48 adminDelay)
        ERC721("veilscore receivable", "vRCV")
        EIP712("veilscore ReceivableRegistry", "1")
        AccessControlDefaultAdminRules(adminDelay, admin)
    {}

    // ---------------------------------------------------------------- administration

    /// @notice Admits a debtor (or stops it from confirming more); what it owes stays owed.
    function admitDebtor(address debtor, bool admitted) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (debtor == address(0)) revert ZeroAddress();
        isDebtor[debtor] = admitted;
        emit DebtorAdmitted(debtor, admitted);
    }

    /// @notice Admits a deposit token, with the smallest amount that a leaf may have.
    function admitToken(address token, bool admitted, uint96 dustFloor) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (token == address(0)) revert ZeroAddress();
        tokenRule[token] = TokenRule(admitted, dustFloor);
        emit TokenAdmitted(token, admitted, dustFloor);
    }

    /// @notice Admits a financing pool, for good. To stop a pool, pause it.
    function admitPool(address pool) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (pool == address(0)) revert ZeroAddress();
        // The pool would know of no loan on them, and nobody could take what is paid.
        if (balanceOf(pool) != 0) revert PoolHoldsLeaves(pool);
        isPool[pool] = true;
        emit PoolAdmitted(pool);
    }

    /// @notice Sets the order contract, once.
    function setOrders(address orders_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (orders_ == address(0)) revert ZeroAddress();
        if (orders != address(0)) revert OrdersAlreadySet(orders);
        orders = orders_;
        emit OrdersSet(orders_);
    }

    function pause() external onlyRole(PAUSER_ROLE) {
        _pause();
    }

    function unpause() external onlyRole(PAUSER_ROLE) {
        _unpause();
    }

    // ---------------------------------------------------------------- birth

    /// @inheritdoc IReceivableRegistry
    function confirm(Confirmation calldata confirmation, bytes calldata signature)
        external
        nonReentrant
        whenNotPaused
        returns (uint256 id)
    {
        _checkConfirmation(confirmation);
        FingerprintUse storage use = _fingerprints[confirmation.fingerprint];
        if (use.root != 0) revert FingerprintTaken(confirmation.fingerprint, use.root);
        if (use.revision != confirmation.revision) revert RevisionStale(confirmation.fingerprint, use.revision);
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(CONFIRMATION_TYPEHASH, confirmation)));
        _checkSignature(confirmation.debtor, confirmation.deadline, digest, signature);

        uint40 root = ++_lastId;
        id = root;
        use.root = root;
        uint40 disputeUntil = uint40(block.timestamp) + confirmation.disputeWindow;
        _terms[root] = Terms({
            debtor: confirmation.debtor,
            dueDate: confirmation.dueDate,
            confirmedAt: uint40(block.timestamp),
            token: confirmation.token,
            disputeUntil: disputeUntil,
            fingerprint: confirmation.fingerprint
        });
        outstandingOf[confirmation.debtor][confirmation.token] += confirmation.face;
        _announce(id, confirmation, disputeUntil);
        _mintLeaf(id, _newLeaf(root, 0), uint64(confirmation.face), confirmation.supplier);
    }

    // ---------------------------------------------------------------- lineage

    /// @inheritdoc IReceivableRegistry
    function split(uint256 id, uint96[] calldata faces, address[] calldata holders)
        external
        nonReentrant
        whenNotPaused
        returns (uint256[] memory children)
    {
        uint256 count = faces.length;
        if (count != holders.length) revert PartsMismatch(count, holders.length);
        if (count < 2 || count > MAX_PARTS) revert PartCount(count);
        Leaf storage leaf = _requireHeld(id);
        if (leaf.status != Status.Live) revert NotLive(id, leaf.status);
        if (leaf.depth == MAX_DEPTH) revert TooDeep(id);
        leaf.status = Status.Split;
        _burn(id);
        uint256 sum;
        (children, sum) = _mintChildren(_newLeaf(leaf.root, leaf.depth + 1), faces, holders);
        uint64 remaining = _remaining(leaf);
        if (sum != remaining) revert PartsDoNotSum(id, sum, remaining);
        emit ReceivableSplit(id, children, faces, holders);
    }

    /// @inheritdoc IReceivableRegistry
    function merge(uint256[] calldata ids) external nonReentrant whenNotPaused returns (uint256 id) {
        uint256 count = ids.length;
        if (count < 2 || count > MAX_PARTS) revert PartCount(count);
        uint40 root = _leaves[ids[0]].root;
        uint64 face = 0;
        uint8 depth = 0;
        for (uint256 i = 0; i < count; ++i) {
            Leaf storage leaf = _requireHeld(ids[i]);
            if (leaf.status != Status.Live) revert NotLive(ids[i], leaf.status);
            if (leaf.root != root) revert DifferentRoots(ids[0], ids[i]);
            face += _remaining(leaf);
            if (leaf.depth > depth) depth = leaf.depth;
            leaf.status = Status.Merged;
            _burn(ids[i]);
        }
        id = ++_lastId;
        emit ReceivableMerged(id, ids, face, msg.sender);
        _mintLeaf(id, _newLeaf(root, depth), face, msg.sender);
    }

    // ---------------------------------------------------------------- disputes, credits, cancellation

    /// @inheritdoc IReceivableRegistry
    function dispute(uint256 id, bytes32 reason) external {
        Leaf storage leaf = _leaves[id];
        if (leaf.status != Status.Live) revert NotLive(id, leaf.status);
        Terms storage terms = _terms[leaf.root];
        if (terms.debtor != msg.sender) revert NotDebtor(id, msg.sender);
        if (block.timestamp >= terms.disputeUntil) revert DisputeWindowClosed(id, terms.disputeUntil);
        leaf.status = Status.Disputed;
        // Numbers settlements, so that a signature given for one dispute settles no other.
        ++leaf.disputes;
        emit ReceivableDisputed(id, msg.sender, reason);
    }

    /// @inheritdoc IReceivableRegistry
    function withdrawDispute(uint256 id) external {
        Leaf storage leaf = _leaves[id];
        if (leaf.status != Status.Disputed) revert NotDisputed(id, leaf.status);
        if (_terms[leaf.root].debtor != msg.sender) revert NotDebtor(id, msg.sender);
        leaf.status = Status.Live;
        emit DisputeWithdrawn(id);
    }

    /// @inheritdoc IReceivableRegistry
    function settleDispute(uint256 id, uint96 credit_, uint40 deadline, bytes calldata signature)
        external
        nonReentrant
    {
        Leaf storage leaf = _requireHeld(id);
        if (leaf.status != Status.Disputed) revert NotDisputed(id, leaf.status);
        bytes32 digest =
            _hashTypedDataV4(keccak256(abi.encode(SETTLEMENT_TYPEHASH, id, leaf.disputes, credit_, deadline)));
        _checkSignature(_terms[leaf.root].debtor, deadline, digest, signature);
        leaf.status = Status.Live;
        emit DisputeSettled(id, credit_);
        if (credit_ != 0) _credit(id, leaf, credit_);
    }

    /// @inheritdoc IReceivableRegistry
    function credit(uint256 id, uint96 amount) external nonReentrant {
        Leaf storage leaf = _requireHeld(id);
        if (amount == 0) revert ZeroAmount();
        _credit(id, leaf, amount);
    }

    /// @inheritdoc IReceivableRegistry
    function cancel(uint256 id) external nonReentrant {
        Leaf storage leaf = _requireHeld(id);
        if (leaf.root != id) revert NotCancellable(id);
        Terms storage terms = _terms[id];
        FingerprintUse storage use = _fingerprints[terms.fingerprint];
        use.root = 0;
        ++use.revision;
        outstandingOf[terms.debtor][terms.token] -= _remaining(leaf);
        leaf.status = Status.Cancelled;
        emit ReceivableCancelled(id);
        _burn(id);
    }

    // ---------------------------------------------------------------- payment

    /// @inheritdoc IReceivableRegistry
    /// @dev Never paused. A holder that can't receive the token does not stop a debtor from paying: the
    /// money is held for it here.
    function pay(uint256 id, uint96 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        Leaf storage leaf = _leaves[id];
        if (leaf.status != Status.Live && leaf.status != Status.Disputed) revert NotLive(id, leaf.status);
        uint64 remaining = _remaining(leaf);
        if (amount > remaining) revert Overpayment(id, amount, remaining);
        address holder = _ownerOf(id);
        if (holder == msg.sender) revert PayerIsHolder(id);
        Terms storage terms = _terms[leaf.root];
        address token = terms.token;

        bool settled = amount == remaining;
        leaf.paid += uint64(amount);
        outstandingOf[terms.debtor][token] -= amount;
        emit ReceivablePaid(id, msg.sender, holder, amount, remaining - uint64(amount));
        if (settled) _settle(id, leaf);
        bool holderIsPool = isPool[holder];
        _deliver(IERC20(token), holder, amount, holderIsPool);
        if (holderIsPool) IFinancingPool(holder).onPayment(id, amount, settled, terms.debtor, terms.dueDate);
    }

    /// @inheritdoc IReceivableRegistry
    function takeHeldPayment(address token, address to) external nonReentrant {
        uint256 amount = heldFor[token][msg.sender];
        if (amount == 0) revert NothingHeld(token, msg.sender);
        heldFor[token][msg.sender] = 0;
        emit HeldPaymentTaken(token, msg.sender, to, amount);
        IERC20(token).safeTransfer(to, amount);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IReceivableRegistry
    function positionOf(uint256 id) external view returns (Leaf memory leaf, Terms memory terms, address holder) {
        leaf = _leaves[id];
        terms = _terms[leaf.root];
        holder = _ownerOf(id);
    }

    /// @inheritdoc IReceivableRegistry
    function leafOf(uint256 id) external view returns (Leaf memory) {
        return _leaves[id];
    }

    /// @inheritdoc IReceivableRegistry
    function termsOf(uint256 id) external view returns (Terms memory) {
        return _terms[_leaves[id].root];
    }

    /// @inheritdoc IReceivableRegistry
    function remainingOf(uint256 id) external view returns (uint96) {
        Leaf storage leaf = _leaves[id];
        return leaf.status == Status.Live || leaf.status == Status.Disputed ? _remaining(leaf) : 0;
    }

    /// @inheritdoc IReceivableRegistry
    function revisionOf(bytes32 fingerprint) external view returns (uint32) {
        return _fingerprints[fingerprint].revision;
    }

    /// @inheritdoc IReceivableRegistry
    function rootOf(bytes32 fingerprint) external view returns (uint256) {
        return _fingerprints[fingerprint].root;
    }

    function supportsInterface(bytes4 interfaceId)
        public
        view
        override(ERC721, AccessControlDefaultAdminRules)
        returns (bool)
    {
        return super.supportsInterface(interfaceId);
    }

    // ---------------------------------------------------------------- within

    /// @dev Only live leaves move; into a pool only by the pool's own hand (a leaf sent there by mistake
    /// would be lost, as one sent to this contract would); out of a pool even while paused, since that ends a repayment.
    function _update(address to, uint256 id, address auth) internal override returns (address from) {
        if (to == address(this)) revert ERC721InvalidReceiver(to);
        if (to != address(0) && msg.sender != to && isPool[to]) revert OnlyPoolTakes(to);
        from = super._update(to, id, auth);
        if (from != address(0) && to != address(0)) {
            Status status = _leaves[id].status;
            if (status != Status.Live) revert NotLive(id, status);
            if (!isPool[from]) _requireNotPaused();
        }
    }

    /// @dev The approval of a leaf that ends is left where it stands: an id is never minted again, and a
    /// leaf is burnt only after its status has said why it ended.
    function _approve(address to, uint256 id, address auth, bool emitEvent) internal override {
        bool ends = to == address(0) && !emitEvent && _leaves[id].status > Status.Disputed;
        if (!ends) super._approve(to, id, auth, emitEvent);
    }

    /// @dev A function of its own, since the event has more fields than the stack has room for.
    function _announce(uint256 id, Confirmation calldata confirmation, uint40 disputeUntil) private {
        emit ReceivableConfirmed(
            id,
            confirmation.debtor,
            confirmation.supplier,
            confirmation.token,
            confirmation.face,
            confirmation.dueDate,
            disputeUntil,
            confirmation.shippedAt,
            confirmation.fingerprint,
            confirmation.documentHash,
            confirmation.order
        );
    }

    function _mintChildren(Leaf memory child, uint96[] calldata faces, address[] calldata holders)
        private
        returns (uint256[] memory children, uint256 sum)
    {
        uint96 dustFloor = tokenRule[_terms[child.root].token].dustFloor;
        children = new uint256[](faces.length);
        for (uint256 i = 0; i < faces.length; ++i) {
            uint96 face = faces[i];
            if (face == 0 || face < dustFloor) revert BelowDustFloor(face, dustFloor);
            sum += face;
            children[i] = ++_lastId;
            // A face that 64 bits don't hold makes a sum that no leaf has, which the caller refuses.
            _mintLeaf(children[i], child, uint64(face), holders[i]);
        }
    }

    function _newLeaf(uint40 root, uint8 depth) private pure returns (Leaf memory) {
        return Leaf({face: 0, paid: 0, credited: 0, root: root, depth: depth, disputes: 0, status: Status.Live});
    }

    function _mintLeaf(uint256 id, Leaf memory leaf, uint64 face, address holder) private {
        leaf.face = face;
        _leaves[id] = leaf;
        // Not _safeMint: a receiver's code must not be able to refuse or re-enter.
        _mint(holder, id);
    }

    function _credit(uint256 id, Leaf storage leaf, uint96 amount) private {
        uint64 remaining = _remaining(leaf);
        if (amount > remaining) revert OverCredit(id, amount, remaining);
        Terms storage terms = _terms[leaf.root];
        leaf.credited += uint64(amount);
        outstandingOf[terms.debtor][terms.token] -= amount;
        emit ReceivableCredited(id, amount, remaining - uint64(amount));
        if (amount == remaining) _settle(id, leaf);
    }

    function _settle(uint256 id, Leaf storage leaf) private {
        leaf.status = Status.Settled;
        emit ReceivableSettled(id);
        _burn(id);
    }

    function _deliver(IERC20 token, address holder, uint256 amount, bool holderIsPool) private {
        uint256 before = token.balanceOf(holder);
        address receiver = holder;
        if (holderIsPool) {
            token.safeTransferFrom(msg.sender, holder, amount);
        } else if (!token.trySafeTransferFrom(msg.sender, holder, amount)) {
            receiver = address(this);
            before = token.balanceOf(receiver);
            heldFor[address(token)][holder] += amount;
            emit PaymentHeld(address(token), holder, amount);
            token.safeTransferFrom(msg.sender, receiver, amount);
        }
        uint256 received = token.balanceOf(receiver) - before;
        if (received != amount) revert TokenTookFee(address(token), amount, received);
    }

    function _checkConfirmation(Confirmation calldata confirmation) private view {
        if (confirmation.face == 0) revert ZeroAmount();
        if (confirmation.face > MAX_FACE) revert FaceTooLarge(confirmation.face, MAX_FACE);
        if (confirmation.fingerprint == 0) revert ZeroAmount();
        if (!isDebtor[confirmation.debtor]) revert DebtorNotAdmitted(confirmation.debtor);
        TokenRule memory rule = tokenRule[confirmation.token];
        if (!rule.admitted) revert TokenNotAdmitted(confirmation.token);
        if (confirmation.face < rule.dustFloor) revert BelowDustFloor(confirmation.face, rule.dustFloor);
        if (confirmation.dueDate <= block.timestamp) revert DueDatePassed(confirmation.dueDate);
        address orders_ = orders;
        if (confirmation.order != 0) {
            if (msg.sender != orders_) revert OnlyOrders(confirmation.order);
        } else if (
            orders_ != address(0)
                && IOrderFinancing(orders_).liveOrders(confirmation.supplier, confirmation.debtor) != 0
        ) {
            // Else one delivery could be financed twice: as an order, drawn before or after, and as an invoice.
            revert OrderAdvanceOpen(confirmation.supplier, confirmation.debtor);
        }
    }

    function _checkSignature(address signer, uint40 deadline, bytes32 digest, bytes calldata signature) private view {
        if (block.timestamp > deadline) revert SignatureExpired(deadline);
        if (!SignatureChecker.isValidSignatureNowCalldata(signer, digest, signature)) revert SignatureInvalid(signer);
    }

    function _requireHeld(uint256 id) private view returns (Leaf storage leaf) {
        leaf = _leaves[id];
        if (_ownerOf(id) != msg.sender) revert NotHolder(id, msg.sender);
    }

    function _remaining(Leaf storage leaf) private view returns (uint64) {
        return leaf.face - leaf.paid - leaf.credited;
    }
}
