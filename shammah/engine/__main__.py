"""The engine child: JSON lines on stdin and stdout around one model. Knows no chat and no user.

A thread reads stdin; the main thread alone touches llama.cpp. Ends at the end of stdin.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import psutil

from shammah import coredumps
from shammah.engine import llama
from shammah.engine.batcher import WAVE_ROWS, Batcher
from shammah.engine.grammar import grammar_of
from shammah.engine.llama import BATCH_TOKENS, Context, Entry, Model, free
from shammah.engine.requests import error_message, parse_generate, parse_score
from shammah.errors import EngineError, PromptTooLong, ShammahError, UsageError
from shammah.stage import die_with_parent

Message = dict[str, Any]


class Engine:
    """One model, its context, and what the parent asked of them."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._model: Model | None = None
        self._context: Context | None = None
        self._embedder: Context | None = None
        self._batcher: Batcher | None = None
        self._threads = 1

    @property
    def busy(self) -> bool:
        return self._batcher is not None and self._batcher.busy

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
        self._loaded()[2].step()

    def emit(self, message: Message) -> None:
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()

    def _done(self, message: Message, **fields: Any) -> None:
        self.emit({"id": message["id"], "event": "done", **fields})

    def _loaded(self) -> tuple[Model, Context, Batcher]:
        if self._model is None or self._context is None or self._batcher is None:
            raise EngineError("no model is loaded")
        return self._model, self._context, self._batcher

    def _op_load(self, message: Message) -> None:
        """Fields: path, context_tokens, slots, threads (0: one per physical core), gpu_layers."""
        if self._model is not None:
            raise EngineError("a model is loaded already")
        self._threads = message["threads"] or psutil.cpu_count(logical=False) or 1
        model = Model(Path(message["path"]), message["gpu_layers"])
        description = model.description()
        context_tokens = min(message["context_tokens"], description["context_tokens"])
        # Room for two full conversations, or for one and the scoring of a candidate.
        cells = max(2 * context_tokens, context_tokens + 2 * BATCH_TOKENS)
        context = Context(
            model, cells=cells, sequences=message["slots"] + WAVE_ROWS, threads=self._threads
        )
        self._model, self._context = model, context
        self._batcher = Batcher(context, message["slots"], context_tokens, self.emit)
        self._done(message, description=description, context_tokens=context_tokens)

    def _op_tokenize(self, message: Message) -> None:
        """Fields: texts, prompt (each text begins a sequence)."""
        model = self._loaded()[0]
        tokens = [model.tokenize(t, prompt=message["prompt"]) for t in message["texts"]]
        self._done(message, tokens=tokens, ends_turn=[[*map(model.ends_turn, t)] for t in tokens])

    def _op_grammar(self, message: Message) -> None:
        """Field: schema. Answers the grammar that a generation with it needs, known to be good."""
        grammar = grammar_of(message["schema"])
        free(self._loaded()[0].grammar(grammar))
        self._done(message, grammar=grammar)

    def _op_generate(self, message: Message) -> None:
        self._loaded()[2].generate(parse_generate(message))

    def _op_score(self, message: Message) -> None:
        self._loaded()[2].score(parse_score(message))

    def _op_cancel(self, message: Message) -> None:
        if self._batcher:
            self._batcher.cancel(message["target"])

    def _op_attach(self, message: Message) -> None:
        """Fields: path, scale. Running answers go on with the adapter."""
        _model, context, batcher = self._loaded()
        context.attach(Path(message["path"]), message["scale"])
        batcher.forget_cache()
        self._done(message)

    def _op_detach(self, message: Message) -> None:
        _model, context, batcher = self._loaded()
        context.detach(Path(message["path"]))
        batcher.forget_cache()
        self._done(message)

    def _op_share(self, message: Message) -> None:
        """Field: shared. Leave half of the threads to another engine, or take them back."""
        self._loaded()[1].use_threads(
            max(self._threads // 2, 1) if message["shared"] else self._threads
        )
        self._done(message)

    def _op_forget(self, message: Message) -> None:
        self._loaded()[2].forget_cache()
        self._done(message)

    def _op_embed(self, message: Message) -> None:
        """Field: text. Answers a unit vector, the mean of the last hidden states: [n_embd]."""
        model = self._loaded()[0]
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
        active = self._batcher.active if self._batcher else 0
        threads = self._context.threads if self._context else 0
        self._done(message, memory_bytes=memory, active=active, threads=threads)


def main() -> None:
    coredumps.forbid()
    die_with_parent()
    out = _private_stdout()
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


def _private_stdout() -> TextIO:
    """The real stdout; whatever a library prints goes to stderr instead."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return out


def _read(messages: queue.SimpleQueue[Message | None]) -> None:
    for line in sys.stdin:
        messages.put(json.loads(line))
    messages.put(None)


if __name__ == "__main__":
    main()
