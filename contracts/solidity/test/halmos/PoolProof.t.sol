// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFinancingPool} from "../../src/interfaces/IFinancingPool.sol";
import {Proof} from "./Proof.sol";

/// @custom:halmos --loop 4
/// @dev Money in the pool. What is bounded stands at each proof. That discounts round up is fuzzed, not proved:
/// the solver does not finish on a 256-bit division by a year.
contract PoolProof is Proof {
    /// @notice A loan takes its payout from the bank's liquidity, gives it to the supplier, and adds its
    /// principal to the three exposures. For every principal; the rate is 0, so that payout = principal.
    function check_finance_books_what_it_pays(uint96 principal) public {
        uint256 id = _confirmed(1e15);
        uint96 payout = _finance(id, principal, 0);
        IFinancingPool.BankAccount memory account = pool.bankOf(BANK);
        assert(payout == principal && principal <= 1e15);
        assert(account.liquidity == LIQUIDITY - payout);
        assert(account.exposure == principal);
        assert(pool.debtorLine(BANK, debtor).exposure == principal);
        assert(pool.supplierLine(BANK, SUPPLIER).exposure == principal);
        assert(token.balanceOf(SUPPLIER) == payout);
        assert(token.balanceOf(address(pool)) == account.liquidity);
    }

    /// @notice A payment in time goes to principal, then to the supplier; every amount and principal.
    function check_payment_in_time_is_conserved(uint96 principal, uint96 amount) public {
        uint256 id = _confirmed(1e15);
        _finance(id, principal, 0);
        vm.prank(PAYER);
        registry.pay(id, amount);
        uint96 repaid = amount < principal ? amount : principal;
        IFinancingPool.BankAccount memory account = pool.bankOf(BANK);
        assert(account.liquidity == LIQUIDITY - principal + repaid);
        assert(account.exposure == principal - repaid);
        assert(pool.debtorLine(BANK, debtor).exposure == principal - repaid);
        assert(pool.supplierLine(BANK, SUPPLIER).exposure == principal - repaid);
        assert(token.balanceOf(SUPPLIER) == uint256(principal) + amount - repaid);
        assert(token.balanceOf(address(pool)) == account.liquidity);
        bool settled = pool.loanOf(id).status == IFinancingPool.LoanStatus.Settled;
        assert(settled == (repaid == principal));
    }

    /// @notice A late payment: late fee + interest + principal + residual = the amount, none of them more
    /// than was owed, in this order. Every amount; the loan and the day (50 days after grace) are fixed, so
    /// that fee and interest are numbers: 8,000 and 16,439.
    function check_late_waterfall_is_conserved(uint96 amount) public {
        uint256 id = _confirmed(1_000_000);
        _finance(id, 800_000, 0);
        vm.warp(START + 90 days + 75 days);
        (uint96 fee, uint96 interest, uint96 principal) = pool.owedOn(id);
        assert(fee == 8_000 && interest == 16_439 && principal == 800_000);
        vm.prank(PAYER);
        registry.pay(id, amount);
        (uint96 feeLeft, uint96 interestLeft, uint96 principalLeft) = pool.owedOn(id);
        assert(feeLeft <= fee && interestLeft <= interest && principalLeft <= principal);
        uint256 toBank = uint256(fee - feeLeft) + (interest - interestLeft) + (principal - principalLeft);
        uint256 residual = token.balanceOf(SUPPLIER) - 800_000;
        assert(toBank + residual == amount);
        // The order: nothing to what comes later while what comes before is owed.
        assert(feeLeft == 0 || interestLeft == interest);
        assert(interestLeft == 0 || principalLeft == principal);
        assert(principalLeft == 0 || residual == 0);
        IFinancingPool.BankAccount memory account = pool.bankOf(BANK);
        assert(account.liquidity == LIQUIDITY - 800_000 + toBank);
        assert(account.exposure == principalLeft);
        assert(token.balanceOf(address(pool)) == account.liquidity);
    }

    /// @notice Two payments in a row are conserved like one: what two payers give reaches bank and supplier.
    function check_two_payments_are_conserved(uint96 first, uint96 second) public {
        uint256 id = _confirmed(1_000_000);
        _finance(id, 800_000, 0);
        vm.startPrank(PAYER);
        registry.pay(id, first);
        registry.pay(id, second);
        vm.stopPrank();
        uint256 given = uint256(first) + second;
        uint256 toBank = given < 800_000 ? given : 800_000;
        assert(given <= 1_000_000);
        assert(pool.bankOf(BANK).liquidity == LIQUIDITY - 800_000 + toBank);
        assert(pool.bankOf(BANK).exposure == 800_000 - toBank);
        assert(token.balanceOf(SUPPLIER) == 800_000 + given - toBank);
    }

    /// @notice A supplier that buys a loan back pays what is owed, and every exposure is 0 again.
    function check_repurchase_ends_every_exposure(uint96 principal) public {
        uint256 id = _confirmed(1e15);
        _finance(id, principal, 0);
        vm.prank(SUPPLIER);
        uint96 amount = pool.repurchase(id);
        assert(amount == principal);
        assert(pool.bankOf(BANK).exposure == 0);
        assert(pool.bankOf(BANK).liquidity == LIQUIDITY);
        assert(registry.ownerOf(id) == SUPPLIER);
    }

    /// @notice A bank takes out no more than it has in, and the pool's cash follows its books.
    function check_withdraw_within_liquidity(uint96 amount) public {
        vm.prank(BANK);
        pool.withdraw(amount);
        assert(amount <= LIQUIDITY);
        assert(pool.bankOf(BANK).liquidity == LIQUIDITY - amount);
        assert(token.balanceOf(address(pool)) == LIQUIDITY - amount);
    }
}
