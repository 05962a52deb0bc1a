"""Whose machine works where, on which terms: a reviewed file of devices, leases and zones."""
