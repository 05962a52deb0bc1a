"""Gradient-boosted trees over all parties' bins; three ways differ in what they disclose."""
