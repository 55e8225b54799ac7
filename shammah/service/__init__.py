"""The daemon as a service that the system keeps running; knows nothing about what it serves."""
