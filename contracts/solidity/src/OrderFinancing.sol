// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IFinancingPool} from "./interfaces/IFinancingPool.sol";
import {IOrderFinancing} from "./interfaces/IOrderFinancing.sol";
import {IReceivableRegistry} from "./interfaces/IReceivableRegistry.sol";
import {IScoreAttestation} from "./interfaces/IScoreAttestation.sol";

/// @title Purchase orders financed in stages.
/// @dev Cash, limits and pausing are the pool's; this contract keeps what was ordered, delivered and
/// drawn. It has no administrator.
contract OrderFinancing is IOrderFinancing, EIP712, ReentrancyGuardTransient {
    bytes32 private constant ORDER_TYPEHASH = keccak256(
        "PurchaseOrder(address supplier,address buyer,uint96 value,uint40 deliverBy,uint16 upfrontBps,bytes32 fingerprint,bytes32 documentHash,uint40 deadline)"
    );
    bytes32 private constant DELIVERY_TYPEHASH =
        keccak256("Delivery(uint256 order,uint96 deliveredValue,bytes32 documentHash,uint40 deadline)");
    uint256 private constant BASIS = 10_000;
    /// @notice Most that an order may be of, as of an invoice (ReceivableRegistry.MAX_FACE).
    uint96 public constant MAX_VALUE = uint96(uint64(type(int64).max));
    /// @dev Above every receivable's id, so that an attestation for one is never one for the other.
    uint256 private constant FIRST_ID = 1 << 128;

    IReceivableRegistry public immutable registry;
    IFinancingPool public immutable pool;
    IScoreAttestation public immutable attestations;

    uint256 private _count;
    mapping(uint256 id => Order) private _orders;
    mapping(bytes32 fingerprint => uint256) private _byFingerprint;
    /// @inheritdoc IOrderFinancing
    mapping(address supplier => mapping(address buyer => uint96)) public openAdvances;
    /// @inheritdoc IOrderFinancing
    mapping(address supplier => mapping(address buyer => uint256)) public liveOrders;

    constructor(address registry_, address pool_, address attestations_) EIP712("veilscore OrderFinancing", "1") {
        registry = IReceivableRegistry(registry_);
        pool = IFinancingPool(pool_);
        attestations = IScoreAttestation(attestations_);
    }

    /// @inheritdoc IOrderFinancing
    function accept(PurchaseOrder calldata order, bytes calldata buyerSignature) external returns (uint256 id) {
        uint256 taken = _byFingerprint[order.fingerprint];
        if (taken != 0) revert FingerprintTaken(order.fingerprint, taken);
        id = FIRST_ID + ++_count;
        if (msg.sender != order.supplier) revert NotTheSupplier(id, msg.sender);
        if (order.value == 0 || order.fingerprint == 0) revert ZeroAmount();
        if (order.value > MAX_VALUE) revert ValueTooLarge(order.value, MAX_VALUE);
        if (order.upfrontBps > BASIS) revert ShareOutOfRange(order.upfrontBps);
        if (order.deliverBy <= block.timestamp) revert DeliveryDatePassed(order.deliverBy);
        if (!registry.isDebtor(order.buyer)) revert BuyerNotAdmitted(order.buyer);
        _checkSignature(order.buyer, order.deadline, keccak256(abi.encode(ORDER_TYPEHASH, order)), buyerSignature);
        _byFingerprint[order.fingerprint] = id;
        ++liveOrders[order.supplier][order.buyer];
        Order storage entry = _orders[id];
        entry.supplier = order.supplier;
        entry.deliverBy = order.deliverBy;
        entry.upfrontBps = order.upfrontBps;
        entry.status = OrderStatus.Accepted;
        entry.buyer = order.buyer;
        entry.value = order.value;
        entry.fingerprint = order.fingerprint;
        emit OrderAccepted(
            id, order.supplier, order.buyer, order.value, order.deliverBy, order.fingerprint, order.documentHash
        );
    }

    /// @inheritdoc IOrderFinancing
    function openFacility(
        uint256 id,
        uint96 facility,
        IScoreAttestation.Attestation calldata attestation,
        bytes calldata signature
    ) external nonReentrant {
        Order storage order = _ofSupplier(id);
        if (order.status != OrderStatus.Accepted) revert WrongStatus(id, order.status);
        if (block.timestamp >= order.deliverBy) revert DeliveryDatePassed(order.deliverBy);
        if (facility == 0) revert ZeroAmount();
        if (attestation.subject != order.supplier || attestation.claim != id) revert AttestationMismatch();
        IFinancingPool.Terms memory terms = pool.bankOf(attestation.bank).terms;
        uint256 cap = uint256(order.value) * Math.min(attestation.advanceCapBps, terms.maxAdvanceBps) / BASIS;
        if (facility > cap) revert FacilityOverCap(facility, cap);
        order.status = OrderStatus.Open;
        order.bank = attestation.bank;
        order.facility = facility;
        order.rateBps = attestation.rateBps;
        order.graceSeconds = terms.graceSeconds;
        emit FacilityOpened(id, attestation.bank, facility, attestation.rateBps);
        attestations.consume(attestation, signature);
    }

    /// @inheritdoc IOrderFinancing
    function signDelivery(Delivery calldata delivery, bytes calldata buyerSignature) external {
        Order storage order = _orders[delivery.order];
        if (order.status != OrderStatus.Accepted && order.status != OrderStatus.Open) {
            revert WrongStatus(delivery.order, order.status);
        }
        if (delivery.deliveredValue <= order.delivered) revert DeliveryFalls(order.delivered, delivery.deliveredValue);
        if (delivery.deliveredValue > order.value) revert DeliveryOverValue(delivery.deliveredValue, order.value);
        _checkSignature(
            order.buyer, delivery.deadline, keccak256(abi.encode(DELIVERY_TYPEHASH, delivery)), buyerSignature
        );
        order.delivered = delivery.deliveredValue;
        emit DeliverySigned(delivery.order, delivery.deliveredValue, delivery.documentHash);
    }

    /// @inheritdoc IOrderFinancing
    function draw(uint256 id, uint96 amount) external nonReentrant {
        Order storage order = _ofSupplier(id);
        if (order.status != OrderStatus.Open) revert WrongStatus(id, order.status);
        if (amount == 0) revert ZeroAmount();
        if (block.timestamp >= order.deliverBy) revert DeliveryDatePassed(order.deliverBy);
        uint96 drawable = _drawable(order);
        if (amount > drawable) revert OverDrawable(amount, drawable);
        _accrue(order);
        order.drawn += amount;
        order.principal += amount;
        openAdvances[order.supplier][order.buyer] += amount;
        emit Drawn(id, amount, order.principal);
        pool.advanceOrder(id, order.bank, order.supplier, order.buyer, amount);
    }

    /// @inheritdoc IOrderFinancing
    function repay(uint256 id, uint96 amount) external nonReentrant {
        Order storage order = _orders[id];
        OrderStatus status = order.status;
        if (status != OrderStatus.Open && status != OrderStatus.Defaulted && status != OrderStatus.WrittenOff) {
            revert WrongStatus(id, status);
        }
        _accrue(order);
        uint96 owed = order.interestDue + order.principal;
        if (amount > owed) amount = owed;
        if (amount == 0) revert ZeroAmount();
        uint96 interest = amount < order.interestDue ? amount : order.interestDue;
        uint96 principal = amount - interest;
        order.interestDue -= interest;
        order.principal -= principal;
        openAdvances[order.supplier][order.buyer] -= principal;
        if (amount == owed && status != OrderStatus.Open) _end(order, OrderStatus.Repaid);
        emit OrderPaidBack(id, principal, interest);
        uint96 released = status == OrderStatus.WrittenOff ? 0 : principal;
        pool.retireOrder(id, order.bank, order.supplier, order.buyer, msg.sender, amount, released);
    }

    /// @inheritdoc IOrderFinancing
    function convert(
        uint256 id,
        IReceivableRegistry.Confirmation calldata confirmation,
        bytes calldata debtorSignature,
        uint96 principal,
        IScoreAttestation.Attestation calldata attestation,
        bytes calldata attestationSignature
    ) external nonReentrant returns (uint256 receivable) {
        Order storage order = _ofSupplier(id);
        if (order.status != OrderStatus.Open && order.status != OrderStatus.Defaulted) {
            revert WrongStatus(id, order.status);
        }
        if (
            confirmation.order != id || confirmation.supplier != order.supplier || confirmation.debtor != order.buyer
                || confirmation.token != address(pool.token())
        ) revert ConfirmationMismatch();
        if (attestation.bank != order.bank || attestation.subject != order.supplier) revert AttestationMismatch();
        _accrue(order);
        uint96 released = order.principal;
        uint96 retired = released + order.interestDue;
        order.principal = 0;
        order.interestDue = 0;
        _end(order, OrderStatus.Converted);
        openAdvances[order.supplier][order.buyer] -= released;
        receivable = registry.confirm(confirmation, debtorSignature);
        emit OrderConverted(id, receivable, retired);
        pool.financeOrder(receivable, id, principal, retired, released, attestation, attestationSignature);
    }

    /// @inheritdoc IOrderFinancing
    function declareDefault(uint256 id) external {
        Order storage order = _orders[id];
        if (order.status != OrderStatus.Open) revert WrongStatus(id, order.status);
        if (msg.sender != order.bank) revert NotTheBank(id, msg.sender);
        if (order.principal == 0) revert ZeroAmount();
        uint256 lastDay = uint256(order.deliverBy) + order.graceSeconds;
        if (block.timestamp <= lastDay) revert TooEarly(lastDay + 1);
        _accrue(order);
        order.status = OrderStatus.Defaulted;
        emit OrderDefaulted(id, order.principal);
    }

    /// @inheritdoc IOrderFinancing
    function writeOff(uint256 id) external nonReentrant {
        Order storage order = _orders[id];
        if (order.status != OrderStatus.Defaulted) revert WrongStatus(id, order.status);
        if (msg.sender != order.bank) revert NotTheBank(id, msg.sender);
        _accrue(order);
        order.status = OrderStatus.WrittenOff;
        emit OrderLost(id, order.principal);
        pool.writeOffOrder(id, order.bank, order.supplier, order.buyer, order.principal);
    }

    /// @inheritdoc IOrderFinancing
    function lapse(uint256 id) external {
        Order storage order = _orders[id];
        if (order.status != OrderStatus.Accepted && order.status != OrderStatus.Open) {
            revert WrongStatus(id, order.status);
        }
        if (msg.sender != order.supplier && msg.sender != order.bank) revert NotTheSupplier(id, msg.sender);
        if (order.principal != 0 || order.interestDue != 0) revert AdvanceOpen(id, order.principal);
        _end(order, OrderStatus.Lapsed);
        emit OrderLapsed(id);
    }

    /// @inheritdoc IOrderFinancing
    function orderOf(uint256 id) external view returns (Order memory) {
        return _orders[id];
    }

    /// @inheritdoc IOrderFinancing
    function owedOn(uint256 id) external view returns (uint96 interest, uint96 principal) {
        Order storage order = _orders[id];
        (interest, principal) = (order.interestDue + _accrued(order), order.principal);
    }

    /// @inheritdoc IOrderFinancing
    function drawableOn(uint256 id) external view returns (uint96) {
        return _drawable(_orders[id]);
    }

    /// @dev The upfront share, and the rest of the facility as goods are delivered; less what was drawn.
    /// A drawn amount that is paid back is not drawn again.
    function _drawable(Order storage order) private view returns (uint96) {
        if (order.status != OrderStatus.Open) return 0;
        uint256 upfront = uint256(order.facility) * order.upfrontBps / BASIS;
        uint256 ceiling = upfront + (order.facility - upfront) * order.delivered / order.value;
        return uint96(ceiling - order.drawn);
    }

    function _end(Order storage order, OrderStatus status) private {
        order.status = status;
        --liveOrders[order.supplier][order.buyer];
    }

    function _accrue(Order storage order) private {
        order.interestDue += _accrued(order);
        order.accruedAt = uint40(block.timestamp);
    }

    /// @dev Simple interest on the open advance since the last booking; none after a write-off.
    function _accrued(Order storage order) private view returns (uint96) {
        if (order.status == OrderStatus.WrittenOff) return 0;
        // Can't overflow with principal: 2**63 (the largest order) at 655 % until 2**40 seconds is below 2**82.
        return pool.discountOf(order.principal, order.rateBps, block.timestamp - order.accruedAt);
    }

    function _ofSupplier(uint256 id) private view returns (Order storage order) {
        order = _orders[id];
        if (msg.sender != order.supplier) revert NotTheSupplier(id, msg.sender);
    }

    function _checkSignature(address signer, uint40 deadline, bytes32 structHash, bytes calldata signature)
        private
        view
    {
        if (block.timestamp > deadline) revert SignatureExpired(deadline);
        bytes32 digest = _hashTypedDataV4(structHash);
        if (!SignatureChecker.isValidSignatureNowCalldata(signer, digest, signature)) revert SignatureInvalid(signer);
    }
}
