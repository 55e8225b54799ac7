"""Proving that a candidate is better: measure, judge, report."""
