"""The receivables party: a supplier's history on chain, as of a date, as features of a manifest."""
