// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Campaign} from "./Campaign.sol";

/// @dev A campaign for each letter: actors' calls in any order, and the letter after each of them.
/// Letter N (no re-entrancy) is in Hostile.t.sol.
contract LettersTest is Campaign {
    /// @notice A: the remaining amounts of a debtor's live leaves sum to what it owes in that token.
    function invariant_A_live_leaves_sum_to_outstanding() public view {
        _world.letterA();
    }

    /// @notice B: children sum to what remained of their parent, and over a whole invoice what is open,
    /// paid and credited sums to its face.
    function invariant_B_children_sum_to_their_parent() public view {
        _world.letterB();
    }

    /// @notice C: paid and credited never exceed the face; a leaf is settled exactly when they reach it.
    function invariant_C_paid_never_exceeds_face() public view {
        _world.letterC();
    }

    /// @notice D: an advance was at most the cap's share of what remained then, and never grows.
    function invariant_D_advance_within_cap() public view {
        _world.letterD();
    }

    /// @notice E: the pool's cash is the banks' liquidity and what it holds for receivers.
    function invariant_E_pool_cash_is_liquidity_and_held() public view {
        _world.letterE();
    }

    /// @notice F: the registry's cash is what it holds for receivers; the order contract has none.
    function invariant_F_registry_cash_is_held() public view {
        _world.letterF();
    }

    /// @notice G: a fingerprint has one live tree at most, and its revision counts cancellations.
    function invariant_G_one_fingerprint_one_live_tree() public view {
        _world.letterG();
    }

    /// @notice H: a live leaf is the pool's exactly when a loan on it is unpaid, and that loan has one bank.
    function invariant_H_one_lender_a_leaf() public view {
        _world.letterH();
    }

    /// @notice I: each nonce that was used stays used; bad attestations were refused as they were tried.
    function invariant_I_attestation_used_once() public view {
        _world.letterI();
    }

    /// @notice J: leaves, loans and orders that have ended stay as they were. (That each step moves
    /// them only as the tables of Watch allow is checked after it.)
    function invariant_J_status_moves_forward_only() public view {
        _world.letterJ();
    }

    /// @notice K: no loan and no order was in default before its due date and grace had passed.
    function invariant_K_no_default_before_grace_ends() public view {
        _world.letterK();
    }

    /// @notice L: exposures of a bank, and its lines to debtors and suppliers, are the open advances.
    function invariant_L_exposure_is_open_advances() public view {
        _world.letterL();
    }

    /// @notice M: what the pool holds stays with the pool: no approval lets anybody else move it.
    function invariant_M_financed_claim_is_not_the_suppliers() public view {
        _world.letterM();
    }

    /// @notice O: no money comes or goes: everybody's balance is the model's, and they sum to the supply.
    function invariant_O_money_is_conserved() public view {
        _world.letterO();
    }

    /// @notice P: a supplier's recourse count at a bank is its unpaid loans with recourse in default.
    function invariant_P_recourse_counts_defaults() public view {
        _world.letterP();
    }

    /// @notice Q: open advances of supplier and buyer are the principals of their orders; deliveries stay
    /// within the order, draws within what delivery has freed.
    function invariant_Q_open_advances_are_order_principals() public view {
        _world.letterQ();
    }

    /// @notice R: an order's advance and its invoice's are never open both: the order ends as the invoice
    /// is financed.
    function invariant_R_order_and_invoice_not_financed_both() public view {
        _world.letterR();
    }

    /// @notice S: with everything paused, a claim can be paid, a loan bought back, an order repaid and
    /// money taken out. Foundry undoes what an invariant does.
    function invariant_S_pause_blocks_no_repayment() public {
        _world.letterS();
    }

    /// @notice T: leaves, loans and orders are what the model says, field by field.
    function invariant_T_books_equal_the_model() public view {
        _world.letterT();
    }
}
