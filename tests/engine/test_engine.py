"""What the engine child promises, asked of the real child on a tiny model and on the real one."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio

from shammah.bases.gguf_header import read_header
from shammah.config import EngineConfig
from shammah.engine.handle import Engine, Finished
from shammah.engine.llama import Model
from shammah.engine.requests import Sampling, ScoreRow
from shammah.engine.text import TextStream
from shammah.errors import BaseModelError, EngineCrashed, EngineError, PromptTooLong, UsageError
from shammah.publish.adapter import read_adapter, write_adapter
from tests.publish.adapters import random_tensors, write_peft

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = EngineConfig(context_tokens=512, slots=3)

#: A chat of the template that both models carry.
ASKED = "<|im_start|>user\nName three primary colours.<|im_end|>\n<|im_start|>assistant\n"
OTHER = "<|im_start|>user\nWhy does it rain in the mountains?<|im_end|>\n<|im_start|>assistant\n"
TARGET = "Red, yellow and blue."

#: How far the mean NLL of a row may move with what else is in its batch. The real model computes
#: with int8 activations (docs/benchmarks.md); the tiny one has little to round.
BATCH_NOISE_NATS = {"tiny": 0.05, "embedded": 0.15}


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["tiny", pytest.param("embedded", marks=pytest.mark.model)],
)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    engine = await Engine.start(request.getfixturevalue(f"{request.param}_base"), CONFIG)
    yield engine
    await engine.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tiny(tiny_base: Path) -> AsyncIterator[Engine]:
    engine = await Engine.start(tiny_base, CONFIG)
    yield engine
    await engine.close()


async def tokens(engine: Engine, text: str, *, prompt: bool = True) -> list[int]:
    return (await engine.tokenize([text], prompt=prompt))[0]


async def greedy(engine: Engine, text: str = ASKED, max_tokens: int = 24) -> tuple[str, Finished]:
    return await engine.answer(await tokens(engine, text), Sampling(max_tokens=max_tokens))


# answers


async def test_an_answer_comes_in_pieces_and_then_ends(engine: Engine) -> None:
    prompt = await tokens(engine, ASKED)
    parts = [part async for part in engine.generate(prompt, Sampling(max_tokens=12))]
    *pieces, finished = parts
    assert len(pieces) > 3
    assert isinstance(finished, Finished)
    assert finished.prompt_tokens == len(prompt)
    assert finished.completion_tokens == 12 or finished.reason == "stop"
    assert "".join(str(piece) for piece in pieces) == (await greedy(engine, max_tokens=12))[0]


async def test_an_answer_that_reaches_its_limit_says_so(engine: Engine) -> None:
    _text, finished = await greedy(engine, max_tokens=2)
    assert (finished.reason, finished.completion_tokens) == ("length", 2)


async def test_a_stop_string_ends_the_answer_before_it(engine: Engine) -> None:
    whole, _ = await greedy(engine)
    stop = whole[len(whole) // 2 :][:3]
    sampling = Sampling(max_tokens=24, stop=[stop])
    text, finished = await engine.answer(await tokens(engine, ASKED), sampling)
    assert text == whole[: whole.index(stop)]
    assert finished.reason == "stop"


async def test_an_answer_can_be_scored_while_it_is_drawn(engine: Engine) -> None:
    prompt = await tokens(engine, ASKED)
    _text, finished = await engine.answer(prompt, Sampling(max_tokens=1, score=True))
    [scored] = await engine.score([ScoreRow(prompt, [0])], top=1)
    [(_ids, [likeliest])] = scored.top
    assert finished.mean_nll == pytest.approx(-likeliest, abs=0.05)
    assert (await greedy(engine))[1].mean_nll is None


async def test_a_seed_brings_the_same_answer_again(engine: Engine) -> None:
    prompt = await tokens(engine, ASKED)

    async def drawn(seed: int) -> str:
        sampling = Sampling(max_tokens=16, temperature=1.5, seed=seed)
        return (await engine.answer(prompt, sampling))[0]

    first = await drawn(7)
    assert await drawn(7) == first
    assert await drawn(8) != first


async def test_a_later_turn_computes_only_what_is_new(engine: Engine) -> None:
    text, before = await greedy(engine)
    follow_up = f"{ASKED}{text}<|im_end|>\n<|im_start|>user\nMore.<|im_end|>\n"
    _answer, after = await greedy(engine, follow_up)
    assert before.prompt_tokens - 1 <= after.cached_tokens < after.prompt_tokens


async def test_questions_at_the_same_time_compute_their_common_beginning_once(
    engine: Engine,
) -> None:
    beginning = f"{ASKED}Yes.<|im_end|>\n<|im_start|>user\n"
    common = len(await tokens(engine, beginning))
    questions = [f"{beginning}{word}?<|im_end|>\n" for word in ("One", "Two", "Three")]
    alone = [(await greedy(engine, question))[0] for question in questions]
    await engine.forget()
    together = await asyncio.gather(*(greedy(engine, question) for question in questions))
    assert [text for text, _finished in together] == alone
    assert sorted(finished.cached_tokens for _text, finished in together)[1:] == [common] * 2


async def test_cores_can_be_shared_and_taken_back(tiny_base: Path) -> None:
    engine = await Engine.start(tiny_base, CONFIG.model_copy(update={"threads": 4}))
    text, _finished = await greedy(engine)
    counts = []
    for shared in (True, False):
        await engine.share_cores(shared=shared)
        assert (await greedy(engine))[0] == text
        counts.append((await engine.stats())["threads"])
    await engine.close()
    assert counts == [2, 4]


async def test_the_same_question_again_computes_one_token(engine: Engine) -> None:
    await greedy(engine)
    _text, finished = await greedy(engine)
    assert finished.cached_tokens == finished.prompt_tokens - 1


async def test_more_answers_than_slots_all_come(engine: Engine) -> None:
    alone = await greedy(engine, OTHER, 8)
    answers = await asyncio.gather(*(greedy(engine, OTHER, 8) for _ in range(2 * CONFIG.slots)))
    assert {finished.prompt_tokens for _, finished in answers} == {alone[1].prompt_tokens}
    assert all(text for text, _ in answers)


async def test_an_answer_ends_where_the_context_does(tiny: Engine) -> None:
    prompt = (await tokens(tiny, "word " * 400))[:400]
    _text, finished = await tiny.answer(prompt, Sampling(max_tokens=1000))
    assert finished.completion_tokens == tiny.context_tokens - 400
    assert finished.reason == "length"


async def test_leaving_an_answer_frees_its_place(engine: Engine) -> None:
    prompt = await tokens(engine, OTHER)
    async with aclosing(engine.generate(prompt, Sampling(max_tokens=400))) as parts:
        await anext(parts)
        assert (await engine.stats())["active"] == 1
    assert (await engine.stats())["active"] == 0


@pytest.mark.model
async def test_a_cancelled_answer_ends_within_a_token(embedded_base: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "shammah.engine"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None

    def tell(**message: object) -> None:
        assert child.stdin is not None
        child.stdin.write(json.dumps(message) + "\n")
        child.stdin.flush()

    with child:
        load = {"context_tokens": 512, "slots": 1, "threads": 0, "gpu_layers": 0}
        tell(id=1, op="load", context=0, path=str(embedded_base), **load)
        json.loads(child.stdout.readline())
        sampling = {"max_tokens": 400, "temperature": 0.0, "stop": []}
        tell(id=2, op="generate", context=0, prompt=[1, 2, 3], sampling=sampling, watched=True)
        for _ in range(3):
            json.loads(child.stdout.readline())
        tell(op="cancel", target=2)
        late = 0
        while (message := json.loads(child.stdout.readline()))["event"] == "text":
            late += 1
        child.kill()
    assert message["finish_reason"] == "cancelled"
    assert late <= 2  # one that was under way, one that was already in the pipe


async def test_characters_that_the_tokenizer_splits_come_out_whole(tiny_base: Path) -> None:
    text = "Crabs 🦀, families 👨‍👩‍👧 and ½ é ü 東京."
    model = Model(tiny_base, gpu_layers=0)
    pieces = [model.piece(token) for token in model.tokenize(text)]
    model.close()
    with pytest.raises(UnicodeDecodeError):
        [piece.decode() for piece in pieces]
    stream = TextStream()
    shown = [stream.feed(piece) for piece in pieces]
    assert "".join(shown) + stream.finish() == text
    assert not any("\ufffd" in piece for piece in shown)


async def test_after_forgetting_a_question_is_computed_anew(engine: Engine) -> None:
    before, _ = await greedy(engine)
    await engine.forget()
    after, finished = await greedy(engine)
    assert (after, finished.cached_tokens) == (before, 0)


# scores


async def test_a_score_is_the_log_softmax_of_each_token(engine: Engine) -> None:
    prompt, target = await tokens(engine, ASKED), await tokens(engine, TARGET, prompt=False)
    vocabulary = list(range(49152))
    rows = [ScoreRow(prompt, target, at=[vocabulary] * len(target))]
    [scored] = await engine.score(rows, top=5)
    for token, nll, (best, best_values), every in zip(
        target, scored.nll, scored.top, scored.at, strict=True
    ):
        assert math.fsum(map(math.exp, every)) == pytest.approx(1, abs=1e-2)
        assert nll == pytest.approx(-every[token], abs=1e-4)
        assert best_values == pytest.approx(sorted(every)[: -len(best) - 1 : -1], abs=1e-4)
        assert [every[i] for i in best] == pytest.approx(best_values, abs=1e-4)


async def test_a_score_is_the_sum_of_its_tokens_scored_alone(
    engine: Engine, request: pytest.FixtureRequest
) -> None:
    prompt, target = await tokens(engine, ASKED), await tokens(engine, TARGET, prompt=False)
    [whole] = await engine.score([ScoreRow(prompt, target)])
    each = [
        (await engine.score([ScoreRow(prompt + target[:i], [token])]))[0].nll[0]
        for i, token in enumerate(target)
    ]
    tolerance = BATCH_NOISE_NATS[request.node.callspec.params["engine"]]
    assert sum(each) / len(each) == pytest.approx(whole.mean_nll, abs=tolerance)


async def test_the_greedy_answer_is_what_the_scores_call_likeliest(
    engine: Engine, request: pytest.FixtureRequest
) -> None:
    prompt = await tokens(engine, ASKED)
    [scored] = await engine.score([ScoreRow(prompt, [0])], top=1)
    text, _ = await engine.answer(prompt, Sampling(max_tokens=1))
    base = request.getfixturevalue(f"{request.node.callspec.params['engine']}_base")
    model = Model(base, gpu_layers=0)
    assert text == model.piece(scored.top[0][0][0]).decode()
    model.close()


async def test_rows_scored_together_score_as_alone(
    engine: Engine, request: pytest.FixtureRequest
) -> None:
    target = await tokens(engine, TARGET, prompt=False)
    rows = [
        ScoreRow(await tokens(engine, question), target[: 3 + number % 4])
        for number, question in enumerate([ASKED, OTHER, ASKED, OTHER + "It"] * 12)
    ]
    together = await engine.score(rows)
    alone = [(await engine.score([row]))[0] for row in rows[:8]]
    tolerance = BATCH_NOISE_NATS[request.node.callspec.params["engine"]]
    assert len(together) == len(rows)
    for batched, single in zip(together, alone, strict=False):
        assert batched.mean_nll == pytest.approx(single.mean_nll, abs=tolerance)


async def test_no_rows_have_no_scores(tiny: Engine) -> None:
    assert await tiny.score([]) == []


async def test_scoring_and_answering_at_the_same_time_both_come_to_an_end(engine: Engine) -> None:
    prompt, target = await tokens(engine, OTHER), await tokens(engine, TARGET, prompt=False)
    (text, _), scored = await asyncio.gather(
        greedy(engine, ASKED, 24), engine.score([ScoreRow(prompt, target)] * 40)
    )
    assert text
    assert len(scored) == 40


# adapters


@pytest.fixture(scope="module")
def adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random LoRA for the tiny model, as GGUF."""
    base, folder = read_header(tiny_base), tmp_path_factory.mktemp("adapter")
    peft = write_peft(folder / "peft", random_tensors(base))
    write_adapter(read_adapter(peft, base), base, folder / "adapter.gguf")
    return folder / "adapter.gguf"


async def test_an_adapter_changes_answers_and_its_removal_restores_them(
    tiny: Engine, adapter: Path
) -> None:
    prompt, target = await tokens(tiny, ASKED), await tokens(tiny, TARGET, prompt=False)

    async def state() -> tuple[str, list[float]]:
        [scored] = await tiny.score([ScoreRow(prompt, target)])
        return (await greedy(tiny))[0], scored.nll

    before = await state()
    await tiny.use_adapters({adapter: 1.0})
    taught = await state()
    await tiny.use_adapters({adapter: 0.0})
    silent = await state()
    await tiny.use_adapters({})
    after = await state()
    assert taught[0] != before[0]
    assert taught[1] != pytest.approx(before[1], abs=0.01)
    assert silent[0] == before[0]
    assert after == before


async def test_an_adapter_attached_during_an_answer_lets_it_end(
    tiny: Engine, adapter: Path
) -> None:
    prompt = await tokens(tiny, ASKED)
    async with aclosing(tiny.generate(prompt, Sampling(max_tokens=60))) as parts:
        await anext(parts)
        await tiny.use_adapters({adapter: 1.0})
        rest = [part async for part in parts]
    await tiny.use_adapters({})
    assert isinstance(rest[-1], Finished)
    assert rest[-1].completion_tokens == 60


async def test_a_file_that_is_no_adapter_is_refused(tiny: Engine, tiny_base: Path) -> None:
    with pytest.raises(EngineError, match="cannot attach"):
        await tiny.use_adapters({tiny_base: 1.0})
    assert (await greedy(tiny))[0]


async def test_two_adapters_at_once_add_up(
    tiny: Engine, adapter: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """Twice half of one adapter is that adapter; another one with it is something else."""
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(adapter.read_bytes())
    base = read_header(tiny_base)
    peft = write_peft(tmp_path / "peft", random_tensors(base, seed=1))
    write_adapter(read_adapter(peft, base), base, tmp_path / "other.gguf")
    prompt, target = await tokens(tiny, ASKED), await tokens(tiny, TARGET, prompt=False)

    async def nll(scales: dict[Path, float]) -> list[float]:
        await tiny.use_adapters(scales)
        [scored] = await tiny.score([ScoreRow(prompt, target)])
        return scored.nll

    whole = await nll({adapter: 1.0})
    halves = await nll({adapter: 0.5, copy: 0.5})
    both = await nll({adapter: 1.0, tmp_path / "other.gguf": 1.0})
    await tiny.use_adapters({})
    assert halves == pytest.approx(whole, abs=0.02)
    assert both != pytest.approx(whole, abs=0.1)


async def test_answers_beside_each_other_keep_their_adapters(tiny: Engine, adapter: Path) -> None:
    """What runs when adapters change ends as it began, and what comes then has them."""
    plain = (await greedy(tiny, max_tokens=60))[0]
    await tiny.use_adapters({adapter: 1.0})
    taught = (await greedy(tiny, max_tokens=60))[0]
    await tiny.use_adapters({})
    assert plain != taught
    prompt = await tokens(tiny, ASKED)
    async with aclosing(tiny.generate(prompt, Sampling(max_tokens=60))) as parts:
        first = await anext(parts)
        other = await tiny.beside({adapter: 1.0})
        during = (await greedy(other, max_tokens=60))[0]
        rest = [part async for part in parts]
    assert "".join(str(part) for part in [first, *rest[:-1]]) == plain
    assert during == taught
    await other.close()
    assert (await greedy(tiny, max_tokens=60))[0] == plain


async def test_what_runs_in_a_context_that_is_closed_ends_with_an_error(tiny: Engine) -> None:
    other = await tiny.beside({})
    running = asyncio.create_task(greedy(other, max_tokens=400))
    await asyncio.sleep(0.05)
    await other.close()
    with pytest.raises(EngineError, match="given up"):
        await running
    assert (await greedy(tiny))[0]


# embeddings


async def test_embeddings_are_unit_vectors_of_their_texts(engine: Engine) -> None:
    texts = ["Rain falls.", "Rain falls.", "Two plus two is four."]
    one, again, other = [await engine.embed(text) for text in texts]
    assert math.hypot(*one.vector) == pytest.approx(1)
    assert one.vector == pytest.approx(again.vector)
    assert one.vector != pytest.approx(other.vector, abs=0.01)
    assert one.tokens == len(await tokens(engine, texts[0]))


async def test_a_text_that_has_no_embedding_is_refused(tiny: Engine) -> None:
    with pytest.raises(UsageError, match="empty text"):
        await tiny.embed("")
    with pytest.raises(PromptTooLong, match="takes 512"):
        await tiny.embed("word " * 600)


# what may be written


ANSWER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "rain": {"enum": ["never", "often"]},
        "days": {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
    },
    "required": ["city", "rain", "days"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("temperature", [0.0, 1.5])
async def test_an_answer_matches_its_schema(engine: Engine, temperature: float) -> None:
    grammar = await engine.grammar(ANSWER)
    sampling = Sampling(max_tokens=200, temperature=temperature, seed=5, grammar=grammar)
    text, finished = await engine.answer(await tokens(engine, ASKED), sampling)
    assert finished.reason == "stop"
    answer = json.loads(text)
    assert list(answer) == ["city", "rain", "days"]
    assert answer["rain"] in ("never", "often")
    assert len(answer["days"]) <= 3


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "ghost"},
        {"$ref": "https://example.org/schema.json"},
        {"type": "array", "items": {"type": "null"}, "maxItems": 10**9},
        {"type": "string", "pattern": "^a{1000000}$"},
        {"description": "x" * 20_000},
        {"type": "string", "pattern": "^[z-a$"},
    ],
)
async def test_a_schema_that_is_no_grammar_is_refused(tiny: Engine, schema: object) -> None:
    with pytest.raises(UsageError, match="cannot be turned into a grammar"):
        await tiny.grammar(schema)  # type: ignore[arg-type]
    assert (await greedy(tiny))[0]


async def test_a_schema_that_nothing_matches_ends_the_answer_not_the_engine(tiny: Engine) -> None:
    sampling = Sampling(max_tokens=9, grammar='root ::= "a" [^\\U00000000-\\U0010FFFF]')
    with pytest.raises(UsageError, match="no text matches"):
        await tiny.answer(await tokens(tiny, ASKED), sampling)
    assert (await greedy(tiny))[0]


async def test_penalties_keep_an_answer_from_repeating_itself(tiny: Engine) -> None:
    prompt = await tokens(tiny, ASKED)
    grammar = 'root ::= ("a" | "b" | "c" | "d")+'
    plain, _ = await tiny.answer(prompt, Sampling(max_tokens=4, grammar=grammar))
    sampling = Sampling(max_tokens=4, grammar=grammar, presence_penalty=2.0, frequency_penalty=9.0)
    varied, _ = await tiny.answer(prompt, sampling)
    assert len(set(varied)) > len(set(plain))


# what goes wrong


async def test_a_prompt_beyond_the_context_is_refused_and_others_go_on(tiny: Engine) -> None:
    with pytest.raises(PromptTooLong, match="512"):
        await tiny.answer([1] * 512, Sampling(max_tokens=1))
    with pytest.raises(PromptTooLong, match="500"):
        await tiny.score([ScoreRow([1] * 500, [1] * 20)])
    assert (await greedy(tiny))[0]


async def test_an_empty_prompt_is_refused(tiny: Engine) -> None:
    with pytest.raises(EngineError, match="empty"):
        await tiny.answer([], Sampling(max_tokens=1))


async def test_a_killed_engine_fails_all_that_is_in_flight(tiny_base: Path) -> None:
    engine = await Engine.start(tiny_base, CONFIG)
    prompt = await tokens(engine, ASKED)
    asked = [asyncio.create_task(engine.answer(prompt, Sampling(max_tokens=480))) for _ in range(2)]
    rows = [ScoreRow(prompt, [5] * 400)] * 20
    asked_scores = asyncio.create_task(engine.score(rows))
    await asyncio.sleep(0.05)
    os.kill(engine.pid, signal.SIGKILL)
    results = await asyncio.gather(*asked, asked_scores, return_exceptions=True)
    assert [type(result) for result in results] == [EngineCrashed] * 3
    assert "signal 9" in str(results[0])
    assert not engine.alive
    with pytest.raises(EngineCrashed):
        await engine.stats()
    await engine.close()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
async def test_a_truncated_file_cannot_be_loaded(
    tiny_base: Path, tmp_path: Path, share: float
) -> None:
    damaged = tmp_path / "damaged.gguf"
    data = tiny_base.read_bytes()
    damaged.write_bytes(data[: int(share * len(data))])
    with pytest.raises(BaseModelError, match=r"damaged\.gguf"):
        await Engine.start(damaged, CONFIG)


async def test_a_file_that_is_no_gguf_cannot_be_loaded(tmp_path: Path) -> None:
    other = tmp_path / "notes.gguf"
    other.write_text("These are only notes. " * 100)
    with pytest.raises(BaseModelError, match=r"notes\.gguf"):
        await Engine.start(other, CONFIG)
