"""`python -m shammah_daemon.alone QUEUE OUT`: what `scripts/train_lora.py` runs."""

from shammah_daemon.alone.command import main

if __name__ == "__main__":
    main()
