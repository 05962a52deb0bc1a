"""Attestations for receivables: the desk signs what it approves, a contract pays on it.

`service` takes the calls, `attester` checks and signs. Needs the extra 'chain'; a desk without
[attestations] imports none of this.
"""
