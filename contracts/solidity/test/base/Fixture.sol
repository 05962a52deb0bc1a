// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AuditAnchor} from "../../src/AuditAnchor.sol";
import {FinancingPool} from "../../src/FinancingPool.sol";
import {OrderFinancing} from "../../src/OrderFinancing.sol";
import {ReceivableRegistry} from "../../src/ReceivableRegistry.sol";
import {ScoreAttestation} from "../../src/ScoreAttestation.sol";
import {IFinancingPool} from "../../src/interfaces/IFinancingPool.sol";
import {IOrderFinancing} from "../../src/interfaces/IOrderFinancing.sol";
import {IReceivableRegistry} from "../../src/interfaces/IReceivableRegistry.sol";
import {IScoreAttestation} from "../../src/interfaces/IScoreAttestation.sol";
import {MockDepositToken} from "../mocks/MockDepositToken.sol";
import {Asserts} from "./Asserts.sol";

/// @dev All contracts, wired, with one debtor, two suppliers and two banks that have signing keys.
abstract contract Fixture is Asserts {
    uint256 internal constant DEBTOR_KEY = 0xDEB;
    uint256 internal constant SUPPLIER_KEY = 0x5099;
    uint256 internal constant SIGNER_KEY = 0x516;
    uint256 internal constant SECOND_SIGNER_KEY = 0x517;

    address internal admin = address(0xAD);
    address internal pauser = address(0xAA);
    address internal debtor;
    address internal supplier;
    address internal secondSupplier = address(0x5002);
    address internal bank = address(0xBA01);
    address internal secondBank = address(0xBA02);
    address internal signer;
    address internal secondSigner;

    ReceivableRegistry internal registry;
    ScoreAttestation internal attestations;
    FinancingPool internal pool;
    OrderFinancing internal orders;
    AuditAnchor internal anchors;
    MockDepositToken internal token;

    uint64 internal nextNonce = 1;
    uint256 internal nextInvoice = 1;

    function setUp() public virtual {
        vm.warp(1_760_000_000);
        debtor = vm.addr(DEBTOR_KEY);
        supplier = vm.addr(SUPPLIER_KEY);
        signer = vm.addr(SIGNER_KEY);
        secondSigner = vm.addr(SECOND_SIGNER_KEY);
        token = new MockDepositToken("Deposit", "DEP", 2);
        _deploy(address(token));
    }

    function _deploy(address depositToken) internal {
        registry = new ReceivableRegistry(admin, 1 days);
        attestations = new ScoreAttestation();
        pool = new FinancingPool(address(registry), address(attestations), depositToken, admin, 1 days);
        orders = new OrderFinancing(address(registry), address(pool), address(attestations));
        anchors = new AuditAnchor();
        vm.startPrank(admin);
        registry.grantRole(registry.PAUSER_ROLE(), pauser);
        pool.grantRole(pool.PAUSER_ROLE(), pauser);
        registry.admitToken(depositToken, true, 100);
        registry.admitDebtor(debtor, true);
        registry.admitPool(address(pool));
        registry.setOrders(address(orders));
        pool.setOrders(address(orders));
        pool.admitBank(bank, 1e15);
        pool.admitBank(secondBank, 1e15);
        vm.stopPrank();
        _setUpBank(bank, signer, depositToken);
        _setUpBank(secondBank, secondSigner, depositToken);
        vm.prank(debtor);
        MockDepositToken(depositToken).approve(address(registry), type(uint256).max);
        MockDepositToken(depositToken).mint(debtor, 1e16);
        address[2] memory suppliers = [supplier, secondSupplier];
        for (uint256 i = 0; i < 2; ++i) {
            vm.startPrank(suppliers[i]);
            registry.setApprovalForAll(address(pool), true);
            MockDepositToken(depositToken).approve(address(pool), type(uint256).max);
            vm.stopPrank();
        }
    }

    function _setUpBank(address bank_, address signer_, address depositToken) private {
        MockDepositToken(depositToken).mint(bank_, 1e15);
        vm.startPrank(bank_);
        attestations.authorise(signer_, uint40(block.timestamp + 365 days));
        MockDepositToken(depositToken).approve(address(pool), type(uint256).max);
        pool.setTerms(
            IFinancingPool.Terms({maxAdvanceBps: 9_000, penaltyRateBps: 1_000, lateFeeBps: 100, graceSeconds: 10 days})
        );
        pool.setDebtorLimit(debtor, 1e14);
        pool.setSupplierLimit(supplier, 1e14);
        pool.setSupplierLimit(secondSupplier, 1e14);
        pool.deposit(1e14);
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- signed messages

    function domain(string memory name, address where_) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256(bytes(name)),
                keccak256("1"),
                block.chainid,
                where_
            )
        );
    }

    function signTyped(uint256 key, bytes32 domain_, bytes32 structHash) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain_, structHash)));
        return abi.encodePacked(r, s, v);
    }

    /// @dev The other signature that the same key has for the same message: s mirrored, v changed.
    function twin(bytes memory signature) internal pure returns (bytes memory) {
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        (bytes32 r, uint256 s) = abi.decode(signature, (bytes32, uint256));
        return abi.encodePacked(r, order - s, uint8(signature[64]) == 27 ? uint8(28) : uint8(27));
    }

    /// @dev A new invoice of the debtor to the first supplier: due in 90 days, dispute window waived.
    function confirmation(uint96 face) internal returns (IReceivableRegistry.Confirmation memory) {
        return IReceivableRegistry.Confirmation({
            supplier: supplier,
            debtor: debtor,
            token: address(token),
            face: face,
            dueDate: uint40(block.timestamp + 90 days),
            disputeWindow: 0,
            shippedAt: uint40(block.timestamp - 2 days),
            fingerprint: keccak256(abi.encode("invoice", nextInvoice++)),
            revision: 0,
            documentHash: keccak256("document"),
            order: 0,
            deadline: uint40(block.timestamp + 1 days)
        });
    }

    function signConfirmation(IReceivableRegistry.Confirmation memory c, uint256 key)
        internal
        view
        returns (bytes memory)
    {
        bytes32 typehash = keccak256(
            "Confirmation(address supplier,address debtor,address token,uint96 face,uint40 dueDate,uint40 disputeWindow,uint40 shippedAt,bytes32 fingerprint,uint32 revision,bytes32 documentHash,uint256 order,uint40 deadline)"
        );
        return
            signTyped(
                key, domain("veilscore ReceivableRegistry", address(registry)), keccak256(abi.encode(typehash, c))
            );
    }

    function confirmed(uint96 face) internal returns (uint256) {
        IReceivableRegistry.Confirmation memory c = confirmation(face);
        return registry.confirm(c, signConfirmation(c, DEBTOR_KEY));
    }

    /// @dev An attestation of the first bank for the first supplier: 80 %, 5 % a year, with recourse.
    function attestation(uint256 claim, address consumer) internal returns (IScoreAttestation.Attestation memory) {
        return IScoreAttestation.Attestation({
            bank: bank,
            consumer: consumer,
            subject: supplier,
            claim: claim,
            modelDigest: keccak256("model"),
            scoreBand: 2,
            advanceCapBps: 8_000,
            rateBps: 500,
            recourse: true,
            nonce: nextNonce++,
            issuedAt: uint40(block.timestamp),
            expiry: uint40(block.timestamp + 1 hours)
        });
    }

    function signAttestation(IScoreAttestation.Attestation memory a, uint256 key) internal view returns (bytes memory) {
        bytes32 typehash = keccak256(
            "Attestation(address bank,address consumer,address subject,uint256 claim,bytes32 modelDigest,uint8 scoreBand,uint16 advanceCapBps,uint16 rateBps,bool recourse,uint64 nonce,uint40 issuedAt,uint40 expiry)"
        );
        return
            signTyped(
                key, domain("veilscore ScoreAttestation", address(attestations)), keccak256(abi.encode(typehash, a))
            );
    }

    function financed(uint256 id, uint96 principal) internal returns (uint96 payout) {
        IScoreAttestation.Attestation memory a = attestation(id, address(pool));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier);
        return pool.finance(id, principal, a, signature);
    }

    function paid(uint256 id, uint96 amount) internal {
        vm.prank(debtor);
        registry.pay(id, amount);
    }

    /// @dev An order of the debtor at the first supplier: 30 % upfront, delivered in 60 days.
    function purchaseOrder(uint96 value) internal returns (IOrderFinancing.PurchaseOrder memory) {
        return IOrderFinancing.PurchaseOrder({
            supplier: supplier,
            buyer: debtor,
            value: value,
            deliverBy: uint40(block.timestamp + 60 days),
            upfrontBps: 3_000,
            fingerprint: keccak256(abi.encode("order", nextInvoice++)),
            documentHash: keccak256("order document"),
            deadline: uint40(block.timestamp + 1 days)
        });
    }

    function signOrder(IOrderFinancing.PurchaseOrder memory o, uint256 key) internal view returns (bytes memory) {
        bytes32 typehash = keccak256(
            "PurchaseOrder(address supplier,address buyer,uint96 value,uint40 deliverBy,uint16 upfrontBps,bytes32 fingerprint,bytes32 documentHash,uint40 deadline)"
        );
        return signTyped(key, domain("veilscore OrderFinancing", address(orders)), keccak256(abi.encode(typehash, o)));
    }

    function signDelivery(IOrderFinancing.Delivery memory d, uint256 key) internal view returns (bytes memory) {
        bytes32 typehash =
            keccak256("Delivery(uint256 order,uint96 deliveredValue,bytes32 documentHash,uint40 deadline)");
        return signTyped(key, domain("veilscore OrderFinancing", address(orders)), keccak256(abi.encode(typehash, d)));
    }

    function accepted(uint96 value) internal returns (uint256) {
        IOrderFinancing.PurchaseOrder memory o = purchaseOrder(value);
        bytes memory consent = signOrder(o, DEBTOR_KEY);
        vm.prank(supplier);
        return orders.accept(o, consent);
    }

    /// @dev An accepted order with a facility of the first bank.
    function opened(uint96 value, uint96 facility) internal returns (uint256 id) {
        id = accepted(value);
        IScoreAttestation.Attestation memory a = attestation(id, address(orders));
        bytes memory signature = signAttestation(a, SIGNER_KEY);
        vm.prank(supplier);
        orders.openFacility(id, facility, a, signature);
    }

    function delivered(uint256 id, uint96 value) internal {
        IOrderFinancing.Delivery memory d = IOrderFinancing.Delivery({
            order: id,
            deliveredValue: value,
            documentHash: keccak256("delivery note"),
            deadline: uint40(block.timestamp)
        });
        orders.signDelivery(d, signDelivery(d, DEBTOR_KEY));
    }

    function drawn(uint256 id, uint96 amount) internal {
        vm.prank(supplier);
        orders.draw(id, amount);
    }
}
