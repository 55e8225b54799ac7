"""Raw text that goes on, and embeddings: what needs no chat template and leaves no record.

Not a turn: there is no question that a lesson could be made of. Knows no HTTP.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing

from shammah.completions import (
    CompletionRequest,
    EmbeddingItem,
    EmbeddingList,
    EmbeddingRequest,
    EmbeddingUsage,
)
from shammah.config import ChatConfig
from shammah.engine.handle import Embedding, Finished
from shammah.errors import PromptTooLong, UsageError
from shammah.records import Active
from shammah_daemon.chat import sampling_of, tokens_of
from shammah_daemon.metrics import Metrics
from shammah_daemon.naming import Naming

#: OpenAI's default: clients that complete code rely on short answers.
COMPLETION_TOKENS = 16


class Text:
    """Continues texts and embeds them."""

    def __init__(self, config: ChatConfig, naming: Naming, metrics: Metrics) -> None:
        self._config = config
        self._naming = naming
        self._metrics = metrics

    async def complete(
        self, request: CompletionRequest
    ) -> AsyncGenerator[Active | str | Finished, None]:
        """Who answers, pieces of text, `Finished`. Leaving early stops the engine.

        Raises:
            ModelNotFound: the request names no model.
            UsageError: the prompt is empty.
            PromptTooLong: it does not fit the context.
        """
        if not request.text:
            raise UsageError("the prompt is empty")
        sampling = sampling_of(request, self._config, request.max_tokens or COMPLETION_TOKENS)
        async with self._naming.lease(request.model) as lease:
            prompt = await tokens_of(lease.engine, request.text)
            room = lease.engine.context_tokens
            if len(prompt) >= room:
                raise PromptTooLong(
                    f"the prompt has {len(prompt)} tokens, the context has room for {room}",
                    hint="shorten it, or raise engine.context_tokens",
                )
            yield lease.active
            async with aclosing(lease.engine.generate(prompt, sampling)) as parts:
                async for part in parts:
                    if isinstance(part, Finished):
                        self._metrics.answered(part)
                    yield part

    async def embed(self, request: EmbeddingRequest) -> EmbeddingList:
        """The vectors of the texts, in their order.

        Raises:
            ModelNotFound: the request names no model.
            UsageError: a text is empty.
            PromptTooLong: one is too long.
        """
        async with self._naming.lease(request.model) as lease:
            found = [await lease.engine.embed(text) for text in request.texts]
        tokens = sum(one.tokens for one in found)
        return EmbeddingList(
            model=request.model,
            data=[
                EmbeddingItem(index=i, embedding=_encoded(one, request.encoding_format))
                for i, one in enumerate(found)
            ],
            usage=EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens),
        )


def _encoded(embedding: Embedding, encoding: str | None) -> list[float] | str:
    if encoding != "base64":
        return embedding.vector
    return base64.b64encode(struct.pack(f"<{len(embedding.vector)}f", *embedding.vector)).decode()
