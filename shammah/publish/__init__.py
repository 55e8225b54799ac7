"""Making servable files: merge an adapter into a base GGUF, quantize, write a GGUF adapter."""
