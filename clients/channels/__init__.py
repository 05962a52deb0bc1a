"""Channels: drivers that carry a session machine's frames between this party and the others."""
