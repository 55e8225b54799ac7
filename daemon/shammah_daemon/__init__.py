"""The daemon: composes the library into a service. The only writer of the database."""
