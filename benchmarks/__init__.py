"""Measures the product from outside, on this machine; nothing of Shammah imports it."""
