"""Training without a daemon: a file of JSON lines in, an adapter out. `scripts/train_lora.py`.

The same bases, lessons and stages as the daemon's; no database, no gate, no version.
"""
