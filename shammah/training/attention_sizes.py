"""How attention is divided, as far as memory depends on it. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator

#: Attention scores (pieces x queries x keys) that one pack may hold per head; bounds its memory.
MAX_SCORES = 1 << 19

#: Queries of a block of one sequence alone. Smaller ones do less masked work in smaller products.
BLOCK = 128

#: Of longer sequences the weights of all layers would take more memory than all other activations.
MAX_BLOCKS_TOKENS = 1024


def blocks(tokens: int) -> Iterator[tuple[int, int]]:
    """The queries of each block of one sequence: the first, and the one after the last."""
    for start in range(0, tokens, BLOCK):
        yield start, min(start + BLOCK, tokens)


def weights_kept(tokens: int) -> int:
    """Attention weights per head that one sequence alone keeps on a CPU for its way back; each
    block has those of all keys up to its end."""
    if tokens > MAX_BLOCKS_TOKENS:
        return 0  # torch's own kernel computes them again
    return sum((end - start) * end for start, end in blocks(tokens))
