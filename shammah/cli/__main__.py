"""`python -m shammah.cli` is `shammah`."""

from shammah.cli import main

main()
