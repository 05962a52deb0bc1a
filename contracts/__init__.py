"""Receivables on chain: contracts, their typed gateway, the event indexer, receivable features."""
