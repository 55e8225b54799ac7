"""Shammah: a local chat assistant that learns from being corrected."""

__version__ = "0.1.0"
