"""Monitoring of the desk: metrics on a port of their own, the drift alarm, observed outcomes.

`monitor.Monitor` counts, `exposition.registry_of` and `serving.MetricsServer` show it, and
`settings.drift_settings` reads thresholds. Nothing is imported here: the command line reads `cli`.
"""
