"""The telemetry party: a lessee's machines as of a date, as features of a manifest."""
