"""Who may call the desk, for what, and how often."""

from server.desk.access.gate import Gate, Refused
from server.desk.access.rules import AccessRules, Caller, Role, read_access

__all__ = ["AccessRules", "Caller", "Gate", "Refused", "Role", "read_access"]
