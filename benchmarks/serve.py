"""`serve`: speed of an answer through the daemon beside llama-cpp-python alone."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.daemon import Say, Session, fresh_daemon, wait_until_prepared
from benchmarks.figures import Section, milliseconds, rate
from benchmarks.streams import Timing, timing
from shammah.bases.registry import Registry
from shammah.bases.template import ChatTemplate
from shammah.client import Client
from shammah.cores import usable_cores
from shammah.errors import ShammahError
from shammah.records import Message

#: Answers to these go on for longer than `ANSWER_TOKENS`.
QUESTIONS = (
    "Write a long story about a lighthouse keeper who finds a map.",
    "Explain in detail how a bicycle is built, part by part.",
    "Write a long letter from a sailor to his family, about the sea.",
    "Describe a walk through a large forest in autumn in great detail.",
    "Write a long story about a clockmaker and her apprentice.",
    "Explain in detail how bread is made, from the grain to the table.",
    "Write a long essay on why people travel.",
    "Describe a day in a busy harbour town, hour by hour, in great detail.",
)
ANSWER_TOKENS = 160
ROUNDS = len(QUESTIONS)
TARGET_SHARE = 0.97  # DESIGN §11: of raw decode speed
TARGET_ADDED_SECONDS = 0.015  # DESIGN §11: to the first token

Ask = Callable[[str, int], Timing]


@dataclass(frozen=True)
class Pair:
    """One question, answered by both."""

    daemon: Timing
    alone: Timing


@dataclass(frozen=True)
class Result:
    pairs: list[Pair]
    threads: int


def run(rounds: int, say: Say) -> Result:
    """Ask both the same questions in turn: daemon, alone, daemon, alone ...

    Raises:
        ShammahError: both did not see the same prompt, or an answer was too short to time.
    """
    say("serve: preparing")
    with fresh_daemon() as session:
        wait_until_prepared(session)  # nothing else may compute meanwhile
        threads = session.config.engine.threads or usable_cores()
        with _alone(session, threads) as alone:
            through(session.client, "Say hello.", 8)
            alone("Say hello.", 8)
            pairs = []
            for number, question in zip(
                range(1, rounds + 1), itertools.cycle(QUESTIONS), strict=False
            ):
                say(f"serve: round {number} of {rounds}")
                pair = Pair(
                    through(session.client, question, ANSWER_TOKENS),
                    alone(question, ANSWER_TOKENS),
                )
                require_comparable(pair, question)
                pairs.append(pair)
    return Result(pairs, threads)


def require_comparable(pair: Pair, question: str) -> None:
    """Raises ShammahError unless both answered the same prompt at full length."""
    if pair.daemon.prompt_tokens != pair.alone.prompt_tokens:
        raise ShammahError(
            f"{question!r} has {pair.daemon.prompt_tokens} tokens in the daemon and "
            f"{pair.alone.prompt_tokens} in llama-cpp-python"
        )
    shortest = min(pair.daemon.tokens, pair.alone.tokens)
    if shortest < ANSWER_TOKENS:
        raise ShammahError(f"an answer to {question!r} ended after {shortest} tokens")


def section(result: Result) -> Section:
    daemon_rate = median(p.daemon.tokens_per_second for p in result.pairs)
    alone_rate = median(p.alone.tokens_per_second for p in result.pairs)
    daemon_first = median(p.daemon.first_token_seconds for p in result.pairs)
    alone_first = median(p.alone.first_token_seconds for p in result.pairs)
    share = median(p.daemon.tokens_per_second / p.alone.tokens_per_second for p in result.pairs)
    added = median(p.daemon.first_token_seconds - p.alone.first_token_seconds for p in result.pairs)
    return Section(
        title="Chat through the daemon",
        columns=("what", "daemon", "llama-cpp-python", "comparison", "target"),
        rows=[
            ("decode, tokens/s", rate(daemon_rate), rate(alone_rate), f"{share:.1%}",
             f">= {TARGET_SHARE:.0%}"),
            ("first token", milliseconds(daemon_first), milliseconds(alone_first),
             f"{added * 1000:+.1f} ms", f"<= +{TARGET_ADDED_SECONDS * 1000:.0f} ms"),
        ],
        notes=[
            f"Medians over {len(result.pairs)} questions, asked of both in turn; greedy, "
            f"{ANSWER_TOKENS} tokens, {result.threads} threads, the same file and prompt tokens. "
            "The comparison is the median over the questions, not of the medians. The daemon's "
            "clock is its client's, over HTTP; llama-cpp-python's runs in its own process. Both "
            "keep the system prompt in their caches from one question to the next.",
        ],
    )  # fmt: skip


def through(client: Client, question: str, max_tokens: int) -> Timing:
    """The answer through the daemon, on the client's clock."""
    asked = time.perf_counter()
    arrivals, usage = [], None
    for chunk in client.chat_stream(
        [Message(role="user", content=question)], temperature=0.0, max_tokens=max_tokens
    ):
        if chunk.text:
            arrivals.append(time.perf_counter())
        usage = chunk.usage or usage
    if usage is None:
        raise ShammahError(f"the answer to {question!r} ended without its usage")
    return timing(asked, arrivals, usage.completion_tokens, usage.prompt_tokens)


@contextlib.contextmanager
def _alone(session: Session, threads: int) -> Iterator[Ask]:
    """llama-cpp-python on the file that the daemon serves; `Ask` gives it a question."""
    base = Registry(session.paths).get(session.base.name)
    template = ChatTemplate.of(base)
    process = subprocess.Popen(
        [
            sys.executable, "-m", "benchmarks.llama_alone", base.gguf,
            f"--context-tokens={session.config.engine.context_tokens}", f"--threads={threads}",
        ],
        cwd=Path(__file__).parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    requests, answers = process.stdin, process.stdout

    def ask(question: str, max_tokens: int) -> Timing:
        prompt = template.render([Message(role="user", content=question)])
        requests.write(json.dumps({"prompt": prompt, "max_tokens": max_tokens}) + "\n")
        requests.flush()
        line = answers.readline()
        if not line:
            raise ShammahError("llama-cpp-python ended without an answer")
        return Timing(**json.loads(line))

    try:
        yield ask
    finally:
        process.kill()
        process.wait()
        requests.close()
        answers.close()
