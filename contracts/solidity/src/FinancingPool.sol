// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControlDefaultAdminRules} from "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IFinancingPool} from "./interfaces/IFinancingPool.sol";
import {IOrderFinancing} from "./interfaces/IOrderFinancing.sol";
import {IReceivableRegistry} from "./interfaces/IReceivableRegistry.sol";
import {IScoreAttestation} from "./interfaces/IScoreAttestation.sol";

/// @title Advances against receivables, out of several banks' liquidity in one deposit token.
/// @dev The pool's token balance is the sum of the banks' liquidity and what is held for receivers that
/// a payment could not reach. A loan's collateral is the leaf itself, which the pool owns meanwhile.
/// Interest and fees round up, for the bank; caps round down.
contract FinancingPool is IFinancingPool, AccessControlDefaultAdminRules, Pausable, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev What is kept of a loan, in two slots. Due date and debtor stand in the registry. A payment
    /// in time changes the second slot alone.
    struct Record {
        address bank;
        uint40 accruedAt;
        uint8 graceDays;
        uint16 penaltyRateBps;
        // Whether `_dues` holds anything: a payment that finds no dues does not read them.
        bool hasDues;
        address supplier;
        // At most what is claimed, which the registry keeps in 64 bits too.
        uint64 principal;
        uint16 lateFeeBps;
        bool recourse;
        LoanStatus status;
    }

    /// @dev What came due after the due date and is unpaid. Of late loans only.
    struct Dues {
        uint96 fee;
        uint96 interest;
    }

    bytes32 public constant PAUSER_ROLE = keccak256("PAUSER_ROLE");
    /// @notice Longest grace period that a bank can set, seconds.
    uint32 public constant MAX_GRACE = 180 days;

    uint256 private constant BASIS = 10_000;
    uint256 private constant YEAR = 365 days;

    IReceivableRegistry public immutable registry;
    IScoreAttestation public immutable attestations;
    IERC20 public immutable token;

    /// @notice The order contract, set once.
    address public orders;

    mapping(address bank => BankAccount) private _banks;
    mapping(address bank => mapping(address debtor => Line)) private _debtors;
    mapping(address bank => mapping(address supplier => Line)) private _suppliers;
    mapping(uint256 id => Record) private _loans;
    mapping(uint256 id => Dues) private _dues;
    /// @notice Payments that could not be delivered, for their receivers to take.
    mapping(address receiver => uint256) public heldFor;

    modifier onlyOrders() {
        if (msg.sender != orders) revert OnlyOrders(msg.sender);
        _;
    }

    constructor(address registry_, address attestations_, address token_, address admin, uint48 adminDelay)
        AccessControlDefaultAdminRules(adminDelay, admin)
    {
        if (registry_ == address(0) || attestations_ == address(0) || token_ == address(0)) revert ZeroAddress();
        registry = IReceivableRegistry(registry_);
        attestations = IScoreAttestation(attestations_);
        token = IERC20(token_);
    }

    // ---------------------------------------------------------------- administration

    /// @notice Admits a bank, up to a limit of open advances; 0 stops new ones.
    function admitBank(address bank, uint96 limit) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (bank == address(0)) revert ZeroAddress();
        _banks[bank].limit = limit;
        emit BankAdmitted(bank, limit);
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

    // ---------------------------------------------------------------- a bank's own

    /// @inheritdoc IFinancingPool
    function deposit(uint96 amount) external nonReentrant whenNotPaused {
        if (amount == 0) revert ZeroAmount();
        BankAccount storage account = _banks[msg.sender];
        if (account.limit == 0) revert BankNotAdmitted(msg.sender);
        account.liquidity += amount;
        emit Deposited(msg.sender, amount);
        _pull(msg.sender, amount);
    }

    /// @inheritdoc IFinancingPool
    function withdraw(uint96 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        BankAccount storage account = _banks[msg.sender];
        if (amount > account.liquidity) revert LiquidityShort(msg.sender, amount, account.liquidity);
        account.liquidity -= amount;
        emit Withdrawn(msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IFinancingPool
    function setTerms(Terms calldata terms) external {
        if (terms.maxAdvanceBps > BASIS || terms.penaltyRateBps > BASIS || terms.lateFeeBps > BASIS) {
            revert TermsOutOfRange();
        }
        if (terms.graceSeconds > MAX_GRACE || terms.graceSeconds % 1 days != 0) revert TermsOutOfRange();
        _banks[msg.sender].terms = terms;
        emit TermsSet(msg.sender, terms.maxAdvanceBps, terms.penaltyRateBps, terms.lateFeeBps, terms.graceSeconds);
    }

    /// @inheritdoc IFinancingPool
    function setDebtorLimit(address debtor, uint96 limit) external {
        _debtors[msg.sender][debtor].limit = limit;
        emit DebtorLimitSet(msg.sender, debtor, limit);
    }

    /// @inheritdoc IFinancingPool
    function setSupplierLimit(address supplier, uint96 limit) external {
        _suppliers[msg.sender][supplier].limit = limit;
        emit SupplierLimitSet(msg.sender, supplier, limit);
    }

    // ---------------------------------------------------------------- lending

    /// @inheritdoc IFinancingPool
    function finance(
        uint256 id,
        uint96 principal,
        IScoreAttestation.Attestation calldata attestation,
        bytes calldata signature
    ) external nonReentrant whenNotPaused returns (uint96 payout) {
        address debtor;
        (payout, debtor) = _lend(id, id, msg.sender, principal, attestation);
        attestations.consume(attestation, signature);
        if (orders != address(0) && IOrderFinancing(orders).openAdvances(msg.sender, debtor) != 0) {
            revert OrderAdvanceOpen(msg.sender, debtor);
        }
        IERC721(address(registry)).transferFrom(msg.sender, address(this), id);
        _payOut(msg.sender, payout);
    }

    /// @inheritdoc IFinancingPool
    /// @dev Told by the registry after the money is here. It must never fail, else it would stop a
    /// payment: no division by what can be 0, no transfer that has to succeed.
    function onPayment(uint256 id, uint96 amount, bool settled, address debtor, uint40 dueDate) external nonReentrant {
        if (msg.sender != address(registry)) revert OnlyRegistry(msg.sender);
        (Record memory loan, Dues memory dues) = _accrued(id, dueDate);
        if (loan.status == LoanStatus.Settled) {
            // Bought back while the token was moving (a token with hooks): all of it is the supplier's.
            _payOrHold(loan.supplier, amount);
            return;
        }
        Dues memory paid;
        paid.fee = _least(dues.fee, amount);
        paid.interest = _least(dues.interest, amount - paid.fee);
        uint96 principal = _least(loan.principal, amount - paid.fee - paid.interest);
        uint96 residual = amount - paid.fee - paid.interest - principal;
        if (loan.status == LoanStatus.WrittenOff) {
            emit LoanRecovered(id, loan.bank, amount - residual, residual);
        } else {
            emit LoanRepaid(id, loan.bank, paid.fee, paid.interest, principal, residual);
        }
        _receive(id, loan, dues, paid, principal, debtor);
        if (!settled && loan.status == LoanStatus.Settled) _giveBack(id, loan.supplier);
        _payOrHold(loan.supplier, residual);
    }

    /// @inheritdoc IFinancingPool
    function repurchase(uint256 id) external nonReentrant returns (uint96 amount) {
        IReceivableRegistry.Terms memory terms = registry.termsOf(id);
        (Record memory loan, Dues memory dues) = _accrued(id, terms.dueDate);
        if (loan.status == LoanStatus.None || loan.status == LoanStatus.Settled) revert LoanNotOpen(id, loan.status);
        if (msg.sender != loan.supplier) revert NotTheSupplier(id, msg.sender);
        amount = dues.fee + dues.interest + loan.principal;
        bool leafLives = registry.remainingOf(id) != 0;
        emit LoanRepurchased(id, msg.sender, amount);
        _receive(id, loan, dues, Dues(dues.fee, dues.interest), loan.principal, terms.debtor);
        if (leafLives) _giveBack(id, loan.supplier);
        _pull(msg.sender, amount);
    }

    /// @inheritdoc IFinancingPool
    function declareDefault(uint256 id) external {
        Record storage loan = _loans[id];
        if (loan.status != LoanStatus.Open) revert LoanNotOpen(id, loan.status);
        if (msg.sender != loan.bank) revert NotTheBank(id, msg.sender);
        uint256 lastDay = _graceEnds(registry.termsOf(id).dueDate, loan.graceDays);
        if (block.timestamp <= lastDay) revert TooEarlyToDefault(id, lastDay + 1);
        loan.status = LoanStatus.Defaulted;
        if (loan.recourse) ++_suppliers[loan.bank][loan.supplier].recourse;
        emit LoanDefaulted(id, loan.bank, loan.principal);
    }

    /// @inheritdoc IFinancingPool
    function writeOff(uint256 id) external {
        if (_loans[id].status != LoanStatus.Defaulted) revert LoanNotOpen(id, _loans[id].status);
        if (msg.sender != _loans[id].bank) revert NotTheBank(id, msg.sender);
        IReceivableRegistry.Terms memory terms = registry.termsOf(id);
        (Record memory loan, Dues memory dues) = _accrued(id, terms.dueDate);
        loan.status = LoanStatus.WrittenOff;
        _store(id, loan, dues);
        _release(loan.bank, terms.debtor, loan.supplier, 0, loan.principal);
        emit LoanWrittenOff(id, loan.bank, loan.principal);
    }

    /// @inheritdoc IFinancingPool
    function takeHeldPayment(address to) external nonReentrant {
        uint256 amount = heldFor[msg.sender];
        if (amount == 0) revert NothingHeld(msg.sender);
        heldFor[msg.sender] = 0;
        emit HeldPaymentTaken(msg.sender, to, amount);
        token.safeTransfer(to, amount);
    }

    // ---------------------------------------------------------------- for the order contract

    /// @inheritdoc IFinancingPool
    function advanceOrder(uint256 order, address bank, address supplier, address debtor, uint96 amount)
        external
        onlyOrders
        nonReentrant
        whenNotPaused
    {
        _expose(bank, debtor, supplier, amount, amount);
        emit OrderAdvanced(order, bank, supplier, debtor, amount);
        _payOut(supplier, amount);
    }

    /// @inheritdoc IFinancingPool
    function retireOrder(
        uint256 order,
        address bank,
        address supplier,
        address debtor,
        address payer,
        uint96 amount,
        uint96 released
    ) external onlyOrders nonReentrant {
        _retire(order, bank, supplier, debtor, amount, released);
        _pull(payer, amount);
    }

    /// @inheritdoc IFinancingPool
    function writeOffOrder(uint256 order, address bank, address supplier, address debtor, uint96 principal)
        external
        onlyOrders
    {
        _release(bank, debtor, supplier, 0, principal);
        emit OrderWrittenOff(order, bank, principal);
    }

    /// @inheritdoc IFinancingPool
    /// @dev The advance is paid back first, out of the payout, so that limits count one of them only.
    function financeOrder(
        uint256 id,
        uint256 order,
        uint96 principal,
        uint96 retired,
        uint96 released,
        IScoreAttestation.Attestation calldata attestation,
        bytes calldata signature
    ) external onlyOrders nonReentrant whenNotPaused returns (uint96 payout) {
        address supplier = attestation.subject;
        _retire(order, attestation.bank, supplier, registry.termsOf(id).debtor, retired, released);
        (payout,) = _lend(id, order, supplier, principal, attestation);
        attestations.consume(attestation, signature);
        if (payout < retired) revert PayoutBelow(payout, retired);
        IERC721(address(registry)).transferFrom(supplier, address(this), id);
        if (payout > retired) _payOut(supplier, payout - retired);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IFinancingPool
    function loanOf(uint256 id) external view returns (Loan memory) {
        Record memory loan = _loans[id];
        Dues memory dues = _dues[id];
        return Loan({
            bank: loan.bank,
            dueDate: registry.termsOf(id).dueDate,
            graceSeconds: uint32(loan.graceDays) * 1 days,
            penaltyRateBps: loan.penaltyRateBps,
            status: loan.status,
            supplier: loan.supplier,
            principal: loan.principal,
            interestDue: dues.interest,
            accruedAt: loan.accruedAt,
            lateFeeBps: loan.lateFeeBps,
            feeDue: dues.fee,
            recourse: loan.recourse
        });
    }

    /// @inheritdoc IFinancingPool
    function owedOn(uint256 id) external view returns (uint96 fee, uint96 interest, uint96 principal) {
        (Record memory loan, Dues memory dues) = _accrued(id, registry.termsOf(id).dueDate);
        return (dues.fee, dues.interest, loan.principal);
    }

    /// @inheritdoc IFinancingPool
    function bankOf(address bank) external view returns (BankAccount memory) {
        return _banks[bank];
    }

    /// @inheritdoc IFinancingPool
    function debtorLine(address bank, address debtor) external view returns (Line memory) {
        return _debtors[bank][debtor];
    }

    /// @inheritdoc IFinancingPool
    function supplierLine(address bank, address supplier) external view returns (Line memory) {
        return _suppliers[bank][supplier];
    }

    /// @inheritdoc IFinancingPool
    function discountOf(uint96 principal, uint16 rateBps, uint256 secondsToDue) public pure returns (uint96) {
        return _interest(principal, rateBps, secondsToDue);
    }

    // ---------------------------------------------------------------- within

    /// @dev Checks a claim against its attestation and books the loan; the caller uses the attestation up
    /// and moves the money.
    function _lend(
        uint256 id,
        uint256 claim,
        address supplier,
        uint96 principal,
        IScoreAttestation.Attestation calldata attestation
    ) private returns (uint96 payout, address debtor) {
        if (principal == 0) revert ZeroAmount();
        (IReceivableRegistry.Leaf memory leaf, IReceivableRegistry.Terms memory terms, address holder) =
            registry.positionOf(id);
        if (holder == address(this)) revert AlreadyFinanced(id);
        if (leaf.status != IReceivableRegistry.Status.Live) revert NotFinanceable(id);
        if (holder != supplier) revert NotHolder(id, supplier);
        if (terms.token != address(token)) revert WrongToken(address(token), terms.token);
        if (block.timestamp < terms.disputeUntil) revert DisputeWindowOpen(id, terms.disputeUntil);
        if (block.timestamp >= terms.dueDate) revert DueDatePassed(terms.dueDate);
        if (attestation.subject != supplier || attestation.claim != claim) revert AttestationMismatch();

        debtor = terms.debtor;
        uint256 cap = uint256(leaf.face - leaf.paid - leaf.credited)
            * Math.min(attestation.advanceCapBps, _banks[attestation.bank].terms.maxAdvanceBps) / BASIS;
        if (principal > cap) revert AdvanceOverCap(principal, cap);
        uint96 discount = discountOf(principal, attestation.rateBps, terms.dueDate - block.timestamp);
        if (discount >= principal) revert DiscountTakesAll(discount, principal);
        payout = principal - discount;

        _expose(attestation.bank, debtor, supplier, principal, payout);
        _open(id, terms.dueDate, principal, attestation);
        _announce(id, terms, principal, discount, attestation);
    }

    /// @dev A loan keeps the terms that its bank had on the day.
    function _open(uint256 id, uint40 dueDate, uint96 principal, IScoreAttestation.Attestation calldata attestation)
        private
    {
        Terms memory bankTerms = _banks[attestation.bank].terms;
        _loans[id] = Record({
            bank: attestation.bank,
            accruedAt: dueDate,
            graceDays: uint8(bankTerms.graceSeconds / 1 days),
            penaltyRateBps: bankTerms.penaltyRateBps,
            hasDues: false,
            supplier: attestation.subject,
            principal: uint64(principal),
            lateFeeBps: bankTerms.lateFeeBps,
            recourse: attestation.recourse,
            status: LoanStatus.Open
        });
    }

    /// @dev A function of its own, since the event has more fields than the stack has room for.
    function _announce(
        uint256 id,
        IReceivableRegistry.Terms memory terms,
        uint96 principal,
        uint96 discount,
        IScoreAttestation.Attestation calldata attestation
    ) private {
        emit ReceivableFinanced(
            id,
            attestation.bank,
            attestation.subject,
            terms.debtor,
            principal,
            discount,
            attestation.rateBps,
            terms.dueDate,
            attestation.nonce,
            attestation.recourse
        );
    }

    /// @dev Adds an advance to the three limits and takes its cash from the bank's liquidity.
    function _expose(address bank, address debtor, address supplier, uint96 principal, uint96 cash) private {
        BankAccount storage account = _banks[bank];
        if (account.limit == 0) revert BankNotAdmitted(bank);
        uint96 exposure = account.exposure + principal;
        if (exposure > account.limit) revert BankLimit(bank, exposure, account.limit);
        if (cash > account.liquidity) revert LiquidityShort(bank, cash, account.liquidity);
        account.exposure = exposure;
        account.liquidity -= cash;

        Line storage line = _debtors[bank][debtor];
        exposure = line.exposure + principal;
        if (exposure > line.limit) revert DebtorLimit(bank, debtor, exposure, line.limit);
        line.exposure = exposure;

        line = _suppliers[bank][supplier];
        if (line.recourse != 0) revert RecourseOpen(supplier, line.recourse);
        exposure = line.exposure + principal;
        if (exposure > line.limit) revert SupplierLimit(bank, supplier, exposure, line.limit);
        line.exposure = exposure;
    }

    /// @dev Adds cash to a bank's liquidity and takes principal off the three limits.
    function _release(address bank, address debtor, address supplier, uint96 cash, uint96 principal) private {
        BankAccount storage account = _banks[bank];
        (account.liquidity, account.exposure) = (account.liquidity + cash, account.exposure - principal);
        if (principal == 0) return;
        _debtors[bank][debtor].exposure -= principal;
        _suppliers[bank][supplier].exposure -= principal;
    }

    function _retire(uint256 order, address bank, address supplier, address debtor, uint96 amount, uint96 released)
        private
    {
        _release(bank, debtor, supplier, amount, released);
        emit OrderRetired(order, bank, amount, released);
    }

    /// @dev Books what a bank gets on a loan, and ends the loan when nothing is owed any more. `loan` and
    /// `dues` are what is owed as of now; they are stored.
    function _receive(
        uint256 id,
        Record memory loan,
        Dues memory dues,
        Dues memory paid,
        uint96 principal,
        address debtor
    ) private {
        uint96 released = loan.status == LoanStatus.WrittenOff ? 0 : principal;
        _release(loan.bank, debtor, loan.supplier, paid.fee + paid.interest + principal, released);
        loan.principal -= uint64(principal);
        dues.fee -= paid.fee;
        dues.interest -= paid.interest;
        if (dues.fee == 0 && dues.interest == 0 && loan.principal == 0) {
            bool defaulted = loan.status == LoanStatus.Defaulted || loan.status == LoanStatus.WrittenOff;
            if (loan.recourse && defaulted) --_suppliers[loan.bank][loan.supplier].recourse;
            loan.status = LoanStatus.Settled;
            emit LoanSettled(id, loan.bank);
        }
        _store(id, loan, dues);
    }

    function _store(uint256 id, Record memory loan, Dues memory dues) private {
        bool hadDues = loan.hasDues;
        loan.hasDues = dues.fee != 0 || dues.interest != 0;
        if (hadDues || loan.hasDues) _dues[id] = dues;
        _loans[id] = loan;
    }

    /// @dev A leaf that still lives goes back to its supplier when nothing is owed on it any more.
    function _giveBack(uint256 id, address supplier) private {
        IERC721(address(registry)).transferFrom(address(this), supplier, id);
    }

    /// @dev A loan with what came due since its last booking: late interest from the due date on, and once
    /// the late fee when the grace period has ended. Nothing more comes due after a write-off.
    function _accrued(uint256 id, uint40 dueDate) private view returns (Record memory loan, Dues memory dues) {
        loan = _loans[id];
        if (loan.hasDues) dues = _dues[id];
        bool accrues = loan.status == LoanStatus.Open || loan.status == LoanStatus.Defaulted;
        if (!accrues || block.timestamp <= loan.accruedAt) return (loan, dues);
        // Can't overflow: 2**63 (the largest claim) at 100 % until 2**40 seconds is below 2**79.
        dues.interest += _interest(loan.principal, loan.penaltyRateBps, block.timestamp - loan.accruedAt);
        loan.accruedAt = uint40(block.timestamp);
        if (loan.lateFeeBps != 0 && block.timestamp > _graceEnds(dueDate, loan.graceDays)) {
            dues.fee += uint96(Math.mulDiv(loan.principal, loan.lateFeeBps, BASIS, Math.Rounding.Ceil));
            loan.lateFeeBps = 0;
        }
    }

    function _graceEnds(uint40 dueDate, uint8 graceDays) private pure returns (uint256) {
        return uint256(dueDate) + uint256(graceDays) * 1 days;
    }

    /// @dev ceil(principal * rate * seconds / (10,000 * 365 days)); at most what fits, which only an
    /// absurd rate and time reach.
    function _interest(uint96 principal, uint16 rateBps, uint256 elapsed) private pure returns (uint96) {
        uint256 interest = Math.ceilDiv(uint256(principal) * rateBps * elapsed, BASIS * YEAR);
        return uint96(Math.min(interest, type(uint96).max));
    }

    function _least(uint96 a, uint96 b) private pure returns (uint96) {
        return a < b ? a : b;
    }

    function _pull(address payer, uint256 amount) private {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(payer, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != amount) revert TokenTookFee(amount, received);
    }

    /// @dev The supplier gets exactly the payout, or nothing happens.
    function _payOut(address to, uint256 amount) private {
        uint256 before = token.balanceOf(to);
        token.safeTransfer(to, amount);
        uint256 received = token.balanceOf(to) - before;
        if (received != amount) revert TokenTookFee(amount, received);
    }

    /// @dev A receiver that can't take the token doesn't stop a repayment: the money is held for it.
    function _payOrHold(address to, uint96 amount) private {
        if (amount == 0) return;
        if (!token.trySafeTransfer(to, amount)) {
            heldFor[to] += amount;
            emit PaymentHeld(to, amount);
        }
    }
}
