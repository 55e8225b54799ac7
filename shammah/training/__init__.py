"""Teaching a base: the only part of Shammah that imports torch, and only in its own process."""
