// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FinancingPool} from "../../src/FinancingPool.sol";
import {ReceivableRegistry} from "../../src/ReceivableRegistry.sol";
import {IFinancingPool} from "../../src/interfaces/IFinancingPool.sol";
import {IReceivableRegistry} from "../../src/interfaces/IReceivableRegistry.sol";
import {IScoreAttestation} from "../../src/interfaces/IScoreAttestation.sol";
import {Vm} from "../base/Vm.sol";
import {MockDepositToken} from "../mocks/MockDepositToken.sol";

/// @dev A debtor that is a contract and signs for everything, so that no proof hangs on a signature.
contract ConsentingDebtor {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        return this.isValidSignature.selector;
    }
}

/// @dev Takes any attestation: the proofs on the pool are about money; attestations have proofs of their own.
contract OpenAttestations {
    function consume(IScoreAttestation.Attestation calldata, bytes calldata) external pure {}
}

/// @dev Registry and pool with one debtor, one supplier and one bank; amounts are what the proofs vary.
abstract contract Proof {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant START = 1_760_000_000;
    address internal constant SUPPLIER = address(0x5001);
    address internal constant SECOND_SUPPLIER = address(0x5002);
    address internal constant BANK = address(0xBA01);
    address internal constant PAYER = address(0xB0B);
    address internal constant ADMIN = address(0xAD);
    uint96 internal constant LIQUIDITY = 1e18;

    ReceivableRegistry internal registry;
    FinancingPool internal pool;
    MockDepositToken internal token;
    address internal debtor;

    function setUp() public virtual {
        vm.warp(START);
        debtor = address(new ConsentingDebtor());
        token = new MockDepositToken("Deposit", "DEP", 2);
        registry = new ReceivableRegistry(ADMIN, 1 days);
        pool = new FinancingPool(address(registry), address(new OpenAttestations()), address(token), ADMIN, 1 days);
        vm.startPrank(ADMIN);
        registry.admitToken(address(token), true, 1);
        registry.admitDebtor(debtor, true);
        registry.admitPool(address(pool));
        pool.admitBank(BANK, type(uint96).max);
        vm.stopPrank();
        token.mint(BANK, LIQUIDITY);
        token.mint(PAYER, type(uint96).max);
        vm.startPrank(BANK);
        token.approve(address(pool), type(uint256).max);
        pool.setTerms(IFinancingPool.Terms(10_000, 1_000, 100, 10 days));
        pool.setDebtorLimit(debtor, type(uint96).max);
        pool.setSupplierLimit(SUPPLIER, type(uint96).max);
        pool.deposit(LIQUIDITY);
        vm.stopPrank();
        vm.prank(PAYER);
        token.approve(address(registry), type(uint256).max);
        vm.startPrank(SUPPLIER);
        registry.setApprovalForAll(address(pool), true);
        token.approve(address(pool), type(uint256).max);
        vm.stopPrank();
    }

    function _confirmed(uint96 face) internal returns (uint256) {
        return registry.confirm(
            IReceivableRegistry.Confirmation({
                supplier: SUPPLIER,
                debtor: debtor,
                token: address(token),
                face: face,
                dueDate: uint40(START + 90 days),
                disputeWindow: 0,
                shippedAt: 0,
                fingerprint: keccak256("invoice"),
                revision: 0,
                documentHash: keccak256("document"),
                order: 0,
                deadline: uint40(START)
            }),
            ""
        );
    }

    function _finance(uint256 id, uint96 principal, uint16 rateBps) internal returns (uint96) {
        vm.prank(SUPPLIER);
        return pool.finance(
            id,
            principal,
            IScoreAttestation.Attestation({
                bank: BANK,
                consumer: address(pool),
                subject: SUPPLIER,
                claim: id,
                modelDigest: keccak256("model"),
                scoreBand: 1,
                advanceCapBps: 10_000,
                rateBps: rateBps,
                recourse: true,
                nonce: 1,
                issuedAt: uint40(START),
                expiry: uint40(START)
            }),
            ""
        );
    }
}
