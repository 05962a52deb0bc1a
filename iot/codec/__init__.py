"""What devices send, in the names and units of ISO/TS 15143-3: JSON and a compact binary form."""
