"""The alert receiver: telemetry and fraud alerts from partners, kept, and what follows from them.

`desk.AlertDesk` stores alerts and knows who is watched, `handlers` is its gRPC side, `rules` says
what follows from which alert.
"""
