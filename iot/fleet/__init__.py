"""Whose machine works where, on which terms: devices, leases, zones, models, from a reviewed file."""
