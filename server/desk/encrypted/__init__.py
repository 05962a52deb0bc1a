"""Encrypted scoring at the desk: what may be asked, by whom, how often, and under which key."""

from server.desk.encrypted.gate_check import gate_check
from server.desk.encrypted.limits import EncryptedLimits
from server.desk.encrypted.model_files import load_encrypted_model, save_encrypted_model
from server.desk.encrypted.service import encrypted_handlers

__all__ = [
    "EncryptedLimits",
    "encrypted_handlers",
    "gate_check",
    "load_encrypted_model",
    "save_encrypted_model",
]
