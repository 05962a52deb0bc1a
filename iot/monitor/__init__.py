"""All machines at once: samples in, verdicts out; no clock, no store, no broker."""
