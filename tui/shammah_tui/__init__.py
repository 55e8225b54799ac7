"""The monitor: a screen that shows what the daemon does; knows the daemon's client alone."""
