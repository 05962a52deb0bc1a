"""The bank's scoring desk: serves the bank's own model part and asks partners for theirs."""
