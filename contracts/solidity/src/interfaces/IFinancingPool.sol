// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IScoreAttestation} from "./IScoreAttestation.sol";

/// @title Banks' liquidity in one deposit token, lent against receivables that the pool then holds.
/// @notice A bank's limits are its own: per debtor and per supplier (0 admits nobody), under a limit
/// for the bank that the operator sets. The pool holds a financed leaf until its loan is settled, so
/// that it can be neither moved nor financed again. Payments go, in this order, to the late fee, late
/// interest, principal, and what is left to the supplier. They are never paused.
interface IFinancingPool {
    enum LoanStatus {
        None,
        Open,
        Defaulted,
        WrittenOff,
        Settled
    }

    /// @notice What a bank lends on; a loan keeps the terms of its day.
    /// @param maxAdvanceBps highest share of a claim's remaining amount that is advanced
    /// @param penaltyRateBps interest a year on overdue principal
    /// @param lateFeeBps once, of the principal that is open when the grace period ends
    /// @param graceSeconds after the due date, before a default can be declared; whole days, 180 at most
    struct Terms {
        uint16 maxAdvanceBps;
        uint16 penaltyRateBps;
        uint16 lateFeeBps;
        uint32 graceSeconds;
    }

    struct BankAccount {
        uint96 liquidity;
        uint96 exposure;
        uint96 limit;
        Terms terms;
    }

    /// @notice What a bank lends to one debtor or supplier: limit, open advances, and (of a supplier)
    /// how many loans with recourse are in default and unpaid.
    struct Line {
        uint96 limit;
        uint96 exposure;
        uint64 recourse;
    }

    struct Loan {
        address bank;
        uint40 dueDate;
        uint32 graceSeconds;
        uint16 penaltyRateBps;
        LoanStatus status;
        address supplier;
        uint96 principal;
        uint96 interestDue;
        uint40 accruedAt;
        uint16 lateFeeBps;
        uint96 feeDue;
        bool recourse;
    }

    event BankAdmitted(address indexed bank, uint96 limit);
    event TermsSet(
        address indexed bank, uint16 maxAdvanceBps, uint16 penaltyRateBps, uint16 lateFeeBps, uint32 graceSeconds
    );
    event DebtorLimitSet(address indexed bank, address indexed debtor, uint96 limit);
    event SupplierLimitSet(address indexed bank, address indexed supplier, uint96 limit);
    event OrdersSet(address indexed orders);
    event Deposited(address indexed bank, uint96 amount);
    event Withdrawn(address indexed bank, uint96 amount);
    event ReceivableFinanced(
        uint256 indexed id,
        address indexed bank,
        address indexed supplier,
        address debtor,
        uint96 principal,
        uint96 discount,
        uint16 rateBps,
        uint40 dueDate,
        uint64 nonce,
        bool recourse
    );
    event LoanRepaid(
        uint256 indexed id, address indexed bank, uint96 fee, uint96 interest, uint96 principal, uint96 residual
    );
    event LoanSettled(uint256 indexed id, address indexed bank);
    event LoanRepurchased(uint256 indexed id, address indexed supplier, uint96 amount);
    event LoanDefaulted(uint256 indexed id, address indexed bank, uint96 principal);
    event LoanWrittenOff(uint256 indexed id, address indexed bank, uint96 loss);
    event LoanRecovered(uint256 indexed id, address indexed bank, uint96 amount, uint96 residual);
    event OrderAdvanced(
        uint256 indexed order, address indexed bank, address indexed supplier, address debtor, uint96 amount
    );
    event OrderRetired(uint256 indexed order, address indexed bank, uint96 amount, uint96 released);
    event OrderWrittenOff(uint256 indexed order, address indexed bank, uint96 loss);
    event PaymentHeld(address indexed to, uint256 amount);
    event HeldPaymentTaken(address indexed holder, address to, uint256 amount);

    error ZeroAddress();
    error ZeroAmount();
    error BankNotAdmitted(address bank);
    error OnlyRegistry(address caller);
    error OnlyOrders(address caller);
    error OrdersAlreadySet(address orders);
    error TermsOutOfRange();
    error LiquidityShort(address bank, uint256 asked, uint96 free);
    error BankLimit(address bank, uint256 exposure, uint96 limit);
    error DebtorLimit(address bank, address debtor, uint256 exposure, uint96 limit);
    error SupplierLimit(address bank, address supplier, uint256 exposure, uint96 limit);
    error NotHolder(uint256 id, address caller);
    error NotFinanceable(uint256 id);
    error WrongToken(address expected, address token);
    error DisputeWindowOpen(uint256 id, uint40 until);
    error DueDatePassed(uint40 dueDate);
    error AttestationMismatch();
    error AdvanceOverCap(uint256 principal, uint256 cap);
    error DiscountTakesAll(uint256 discount, uint256 principal);
    error PayoutBelow(uint256 payout, uint256 minimum);
    error AlreadyFinanced(uint256 id);
    error OrderAdvanceOpen(address supplier, address debtor);
    error RecourseOpen(address supplier, uint64 loans);
    error LoanNotOpen(uint256 id, LoanStatus status);
    error NotTheBank(uint256 id, address caller);
    error NotTheSupplier(uint256 id, address caller);
    error TooEarlyToDefault(uint256 id, uint256 from);
    error NothingOwed(uint256 id);
    error TokenTookFee(uint256 expected, uint256 received);
    error NothingHeld(address holder);

    /// @notice A bank pays liquidity in.
    function deposit(uint96 amount) external;

    /// @notice A bank takes free liquidity out.
    function withdraw(uint96 amount) external;

    function setTerms(Terms calldata terms) external;
    function setDebtorLimit(address debtor, uint96 limit) external;
    function setSupplierLimit(address supplier, uint96 limit) external;

    /// @notice Lends `principal` against leaf `id` to its holder, who calls: the leaf goes to the pool,
    /// the discount stays with the bank, the payout reaches the supplier in this transaction.
    /// @dev discount = ceil(principal * rate * seconds to due date / (10,000 * 365 days)): rounded up,
    /// for the bank. The supplier must have approved the pool for the leaf (once, for all of them).
    function finance(
        uint256 id,
        uint96 principal,
        IScoreAttestation.Attestation calldata attestation,
        bytes calldata signature
    ) external returns (uint96 payout);

    /// @notice The registry tells of a payment on a leaf that the pool holds. It never fails.
    function onPayment(uint256 id, uint96 amount, bool settled, address debtor, uint40 dueDate) external;

    /// @notice The supplier pays a loan off and gets what is left of the leaf back.
    function repurchase(uint256 id) external returns (uint96 amount);

    /// @notice The bank declares a loan in default, after due date and grace.
    function declareDefault(uint256 id) external;

    /// @notice The bank writes a defaulted loan off; later payments are recoveries.
    function writeOff(uint256 id) external;

    function takeHeldPayment(address to) external;

    function loanOf(uint256 id) external view returns (Loan memory);
    /// @notice What is owed on a loan now: late fee, late interest (rounded up), principal.
    function owedOn(uint256 id) external view returns (uint96 fee, uint96 interest, uint96 principal);
    function bankOf(address bank) external view returns (BankAccount memory);
    function debtorLine(address bank, address debtor) external view returns (Line memory);
    function supplierLine(address bank, address supplier) external view returns (Line memory);
    function heldFor(address holder) external view returns (uint256);
    function token() external view returns (IERC20);
    function discountOf(uint96 principal, uint16 rateBps, uint256 secondsToDue) external pure returns (uint96);

    // For OrderFinancing only.
    function advanceOrder(uint256 order, address bank, address supplier, address debtor, uint96 amount) external;
    function retireOrder(
        uint256 order,
        address bank,
        address supplier,
        address debtor,
        address payer,
        uint96 amount,
        uint96 released
    ) external;
    function writeOffOrder(uint256 order, address bank, address supplier, address debtor, uint96 principal) external;
    function financeOrder(
        uint256 id,
        uint256 order,
        uint96 principal,
        uint96 retired,
        uint96 released,
        IScoreAttestation.Attestation calldata attestation,
        bytes calldata signature
    ) external returns (uint96 payout);
}
