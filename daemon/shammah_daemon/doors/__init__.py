"""Who may talk to the daemon, and what may be sent to it; knows no route and no service."""
