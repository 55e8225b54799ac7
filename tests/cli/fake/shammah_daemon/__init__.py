"""A stand-in for the daemon: the same protocol on the same socket, canned answers, no model."""
