"""All SQL of Shammah."""
