"""Leased equipment: telemetry in, device state, rules, alerts, usage-based rent, features."""
