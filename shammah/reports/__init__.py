"""The gate's report as one HTML page that needs no network."""
