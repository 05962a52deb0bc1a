"""Usage-based rent: rate cards, metered hours, a chained ledger, statements and what-ifs."""
