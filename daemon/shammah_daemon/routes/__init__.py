"""HTTP: each module turns requests of one noun into calls of a service, and nothing else."""
