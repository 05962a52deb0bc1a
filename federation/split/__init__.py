"""The vertical neural model: split training under label-DP, and its blind sibling.

Settings and message checks are imported without torch; the networks only when a training asks.
"""
