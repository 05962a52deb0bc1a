"""A seeded fleet of leased machines, and the truth about it: what its telemetry should tell.

`population` draws who leases what, `machine_run` lives one machine's life, `streams` gives its
readings in the device's order or in order of arrival, `scoring` holds alerts against the truth.
"""
