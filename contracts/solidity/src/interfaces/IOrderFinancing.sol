// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IReceivableRegistry} from "./IReceivableRegistry.sol";
import {IScoreAttestation} from "./IScoreAttestation.sol";

/// @title Money on a purchase order, drawn as deliveries are signed for, retired by the invoice.
/// @notice Order ids begin above 2**128, so that none is ever a receivable's id. The way:
/// order (signed by the buyer) -> accepted by the supplier -> facility on a bank's attestation
/// -> draws on signed deliveries -> the invoice's receivable pays the advance back in the transaction
/// that registers and finances it. While an advance is open, the pool finances no other claim of this
/// supplier on this buyer, so order and invoice are not financed both.
interface IOrderFinancing {
    enum OrderStatus {
        None,
        Accepted,
        Open,
        Converted,
        Repaid,
        Defaulted,
        WrittenOff,
        Lapsed
    }

    /// @notice What the buyer signs (EIP-712).
    /// @param value of the whole order, minor units
    /// @param deliverBy when all of it is to be delivered
    /// @param upfrontBps share of the facility that may be drawn before any delivery
    /// @param fingerprint the order's network-wide salted fingerprint
    struct PurchaseOrder {
        address supplier;
        address buyer;
        uint96 value;
        uint40 deliverBy;
        uint16 upfrontBps;
        bytes32 fingerprint;
        bytes32 documentHash;
        uint40 deadline;
    }

    /// @notice What the buyer signs on delivery: what was delivered in all by now. It never falls.
    struct Delivery {
        uint256 order;
        uint96 deliveredValue;
        bytes32 documentHash;
        uint40 deadline;
    }

    struct Order {
        address supplier;
        uint40 deliverBy;
        uint16 upfrontBps;
        uint16 rateBps;
        OrderStatus status;
        address buyer;
        uint96 value;
        address bank;
        uint96 facility;
        uint96 delivered;
        uint96 drawn;
        uint96 principal;
        uint40 accruedAt;
        uint32 graceSeconds;
        uint96 interestDue;
        bytes32 fingerprint;
    }

    event OrderAccepted(
        uint256 indexed order,
        address indexed supplier,
        address indexed buyer,
        uint96 value,
        uint40 deliverBy,
        bytes32 fingerprint,
        bytes32 documentHash
    );
    event FacilityOpened(uint256 indexed order, address indexed bank, uint96 facility, uint16 rateBps);
    event DeliverySigned(uint256 indexed order, uint96 deliveredValue, bytes32 documentHash);
    event Drawn(uint256 indexed order, uint96 amount, uint96 principal);
    event OrderPaidBack(uint256 indexed order, uint96 principal, uint96 interest);
    event OrderConverted(uint256 indexed order, uint256 indexed receivable, uint96 retired);
    event OrderDefaulted(uint256 indexed order, uint96 principal);
    event OrderLost(uint256 indexed order, uint96 loss);
    event OrderLapsed(uint256 indexed order);

    error ZeroAmount();
    error ValueTooLarge(uint96 value, uint96 most);
    error NotTheSupplier(uint256 order, address caller);
    error NotTheBank(uint256 order, address caller);
    error WrongStatus(uint256 order, OrderStatus status);
    error SignatureExpired(uint40 deadline);
    error SignatureInvalid(address signer);
    error FingerprintTaken(bytes32 fingerprint, uint256 order);
    error BuyerNotAdmitted(address buyer);
    error DeliveryDatePassed(uint40 deliverBy);
    error DeliveryFalls(uint96 delivered, uint96 deliveredValue);
    error DeliveryOverValue(uint96 deliveredValue, uint96 value);
    error ShareOutOfRange(uint16 upfrontBps);
    error AttestationMismatch();
    error FacilityOverCap(uint256 facility, uint256 cap);
    error OverDrawable(uint256 amount, uint256 drawable);
    error ConfirmationMismatch();
    error TooEarly(uint256 from);
    error AdvanceOpen(uint256 order, uint96 principal);

    function accept(PurchaseOrder calldata order, bytes calldata buyerSignature) external returns (uint256 id);
    function openFacility(
        uint256 id,
        uint96 facility,
        IScoreAttestation.Attestation calldata attestation,
        bytes calldata signature
    ) external;
    function signDelivery(Delivery calldata delivery, bytes calldata buyerSignature) external;
    function draw(uint256 id, uint96 amount) external;
    /// @notice Pays an advance back, interest first. The caller pays; anybody may. Never paused.
    function repay(uint256 id, uint96 amount) external;
    /// @notice Registers the order's invoice, finances it, and pays the advance back out of the proceeds.
    function convert(
        uint256 id,
        IReceivableRegistry.Confirmation calldata confirmation,
        bytes calldata debtorSignature,
        uint96 principal,
        IScoreAttestation.Attestation calldata attestation,
        bytes calldata attestationSignature
    ) external returns (uint256 receivable);
    function declareDefault(uint256 id) external;
    function writeOff(uint256 id) external;
    /// @notice Ends an order on which nothing is drawn.
    function lapse(uint256 id) external;

    function orderOf(uint256 id) external view returns (Order memory);
    function owedOn(uint256 id) external view returns (uint96 interest, uint96 principal);
    function drawableOn(uint256 id) external view returns (uint96);
    function openAdvances(address supplier, address buyer) external view returns (uint96);
    /// @notice Orders of a supplier and buyer that have not ended: neither converted, repaid nor lapsed.
    function liveOrders(address supplier, address buyer) external view returns (uint256);
}
