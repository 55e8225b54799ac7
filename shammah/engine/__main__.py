"""The engine child: JSON lines on stdin and stdout around one model. Knows no chat and no user.

A thread reads stdin; the main thread alone touches llama.cpp. Ends at the end of stdin.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import psutil

from shammah import coredumps
from shammah.cores import usable_cores
from shammah.engine import llama
from shammah.engine.batcher import WAVE_ROWS, Batcher
from shammah.engine.grammar import grammar_of
from shammah.engine.llama import BATCH_TOKENS, Context, Entry, Model, free
from shammah.engine.requests import error_message, parse_generate, parse_score
from shammah.errors import EngineError, PromptTooLong, ShammahError, UsageError
from shammah.stage import die_with_parent, private_stdout

Message = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """What every context of the model is made for."""

    slots: int  # answers at the same time
    context_tokens: int  # longest prompt plus answer
    cells: int


class Engine:
    """One model, its contexts, and what the parent asked of them.

    A context has adapters of its own. There is one (number 0), and another one only while answers
    that were begun with other adapters end in theirs.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._model: Model | None = None
        self._shape = Shape(0, 0, 0)
        self._batchers: dict[int, Batcher] = {}  # by the numbers of their contexts
        self._embedder: Context | None = None
        self._threads = 1  # all that it may compute with
        self._shared = False

    @property
    def busy(self) -> bool:
        return any(batcher.busy for batcher in self._batchers.values())

    def handle(self, message: Message) -> None:
        """Do what `message` asks, or queue it; every failure is answered."""
        try:
            getattr(self, f"_op_{message['op']}")(message)
        except ShammahError as error:
            self.emit(error_message(message.get("id"), error))

    def step(self) -> None:
        """Go on with what is queued.

        A llama_decode that fails leaves the context in an unknown state: end, and let the parent
        start a fresh process.
        """
        for batcher in self._batchers.values():
            if batcher.busy:
                batcher.step()

    def emit(self, message: Message) -> None:
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()

    def _done(self, message: Message, **fields: Any) -> None:
        self.emit({"id": message["id"], "event": "done", **fields})

    def _loaded(self) -> Model:
        if self._model is None:
            raise EngineError("no model is loaded")
        return self._model

    def _batcher(self, message: Message) -> Batcher:
        """Field: context."""
        if message["context"] not in self._batchers:
            raise EngineError("no model is loaded")
        return self._batchers[message["context"]]

    def _op_load(self, message: Message) -> None:
        """Fields: context, path, context_tokens, slots, threads (0: one per physical core),
        gpu_layers."""
        if self._model is not None:
            raise EngineError("a model is loaded already")
        self._threads = message["threads"] or usable_cores()
        model = Model(Path(message["path"]), message["gpu_layers"])
        description = model.description()
        context_tokens = min(message["context_tokens"], description["context_tokens"])
        # Room for two full conversations, or for one and the scoring of a candidate.
        cells = max(2 * context_tokens, context_tokens + 2 * BATCH_TOKENS)
        self._shape = Shape(message["slots"], context_tokens, cells)
        self._batchers[message["context"]] = self._new_batcher(model, {})
        self._model = model
        self._done(message, description=description, context_tokens=context_tokens)

    def _new_batcher(self, model: Model, adapters: Mapping[Path, float]) -> Batcher:
        shape = self._shape
        context = Context(
            model, cells=shape.cells, sequences=shape.slots + WAVE_ROWS, threads=self._own_threads
        )
        try:
            context.use_adapters(adapters)
        except EngineError:
            context.close()
            raise
        return Batcher(context, shape.slots, shape.context_tokens, self.emit)

    @property
    def _own_threads(self) -> int:
        return max(self._threads // 2, 1) if self._shared else self._threads

    def _op_tokenize(self, message: Message) -> None:
        """Fields: texts, prompt (each text begins a sequence)."""
        model = self._loaded()
        tokens = [model.tokenize(t, prompt=message["prompt"]) for t in message["texts"]]
        self._done(message, tokens=tokens, ends_turn=[[*map(model.ends_turn, t)] for t in tokens])

    def _op_grammar(self, message: Message) -> None:
        """Field: schema. Answers the grammar that a generation with it needs, known to be good."""
        grammar = grammar_of(message["schema"])
        free(self._loaded().grammar(grammar))
        self._done(message, grammar=grammar)

    def _op_generate(self, message: Message) -> None:
        self._batcher(message).generate(parse_generate(message))

    def _op_score(self, message: Message) -> None:
        self._batcher(message).score(parse_score(message))

    def _op_cancel(self, message: Message) -> None:
        for batcher in self._batchers.values():
            batcher.cancel(message["target"])

    def _op_adapters(self, message: Message) -> None:
        """Fields: context, adapters (path: scale). Running answers go on with them."""
        batcher = self._batcher(message)
        batcher.context.use_adapters(_scales(message))
        batcher.forget_cache()
        self._free_adapters()
        self._done(message)

    def _op_fork(self, message: Message) -> None:
        """Fields: context (the number of a new one), adapters. The others go on as they are."""
        number = message["context"]
        self._batchers[number] = self._new_batcher(self._loaded(), _scales(message))
        self._done(message)

    def _op_release(self, message: Message) -> None:
        """Field: context. What is under way in it ends with an error."""
        batcher = self._batcher(message)
        del self._batchers[message["context"]]
        batcher.close()
        self._free_adapters()
        self._done(message)

    def _free_adapters(self) -> None:
        used = [path for one in self._batchers.values() for path in one.context.adapters]
        self._loaded().keep_adapters(used)

    def _op_share(self, message: Message) -> None:
        """Field: shared. Leave half of the threads to another engine, or take them back."""
        self._loaded()
        self._shared = message["shared"]
        for batcher in self._batchers.values():
            batcher.context.use_threads(self._own_threads)
        self._done(message)

    def _op_forget(self, message: Message) -> None:
        self._batcher(message).forget_cache()
        self._done(message)

    def _op_embed(self, message: Message) -> None:
        """Field: text. Answers a unit vector, the mean of the last hidden states: [n_embd].

        Without adapters: an index of such vectors lasts."""
        model = self._loaded()
        tokens = model.tokenize(message["text"], prompt=True)
        if not tokens:
            raise UsageError("an empty text has no embedding")
        if len(tokens) > BATCH_TOKENS:
            raise PromptTooLong(
                f"the text has {len(tokens)} tokens, an embedding takes {BATCH_TOKENS}",
                hint="embed it in parts",
            )
        if self._embedder is None:
            self._embedder = Context(
                model, cells=BATCH_TOKENS, sequences=1, threads=self._threads, embeddings=True
            )
        self._embedder.clear()
        self._embedder.decode([Entry(t, i, (0,), True) for i, t in enumerate(tokens)])
        vector = self._embedder.pooled_embedding(0)
        self._done(message, vector=(vector / np.linalg.norm(vector)).tolist(), tokens=len(tokens))

    def _op_stats(self, message: Message) -> None:
        memory = psutil.Process().memory_info().rss
        batchers = self._batchers.values()
        self._done(
            message,
            memory_bytes=memory,
            active=sum(batcher.active for batcher in batchers),
            threads=max((batcher.context.threads for batcher in batchers), default=0),
        )


def _scales(message: Message) -> dict[Path, float]:
    return {Path(path): scale for path, scale in message["adapters"].items()}


def main() -> None:
    coredumps.forbid()
    die_with_parent()
    out = private_stdout()
    messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(messages,), daemon=True).start()
    llama.start()
    engine = Engine(out)
    while True:
        while not engine.busy or not messages.empty():
            message = messages.get()
            if message is None:
                # Freed by the end of the process: llama.cpp's own clean-up has crashed before.
                os._exit(0)
            engine.handle(message)
        engine.step()


def _read(messages: queue.SimpleQueue[Message | None]) -> None:
    for line in sys.stdin:
        messages.put(json.loads(line))
    messages.put(None)


if __name__ == "__main__":
    main()
