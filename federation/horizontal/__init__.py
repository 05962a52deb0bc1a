"""Horizontal training: several banks with whole rows and labels, one neural model, encrypted sums.

`client` and `server` are the two sides' state machines: orders and replies in, replies and orders
out, no I/O. `plan` is what the banks agree on, `client_state` what a bank keeps between two orders.
"""
