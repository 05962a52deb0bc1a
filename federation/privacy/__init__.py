"""Differential privacy: mechanisms, the accountant, and the ledger that remembers across runs."""
