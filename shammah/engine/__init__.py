"""The process that owns llama.cpp, and the handle that talks to it."""
