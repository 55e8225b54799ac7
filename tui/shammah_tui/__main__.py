"""`python -m shammah_tui`."""

from shammah_tui.app import main

main()
