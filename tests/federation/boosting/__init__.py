"""Tests of the boosted trees."""
