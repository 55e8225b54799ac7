"""The serving engine and its replacement: real engines on two tiny models."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from shammah.bases.gguf_header import read_header
from shammah.bases.template import ChatTemplate
from shammah.config import EngineConfig
from shammah.engine.handle import Engine, Finished
from shammah.engine.requests import Sampling
from shammah.errors import BaseModelError, EngineCrashed, EngineError
from shammah.files import sha256_of
from shammah.publish.adapter import read_adapter, write_adapter
from shammah.records import Active, Applied
from shammah_daemon.attachments import Attachment
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.servable import Servable
from shammah_daemon.serving import Serving
from tests.publish.adapters import random_tensors, write_peft
from tests.running import until

CONFIG = EngineConfig(context_tokens=512, slots=4, threads=2)
PROMPT = [1, 4093, 198, 19556, 2, 198]
LONG = 400


def servable_of(gguf: Path, version: int) -> Servable:
    source = str(read_header(gguf).fields["tokenizer.chat_template"])
    return Servable(
        active=Active("tiny", version),
        gguf=gguf,
        template=ChatTemplate(source, "", "<|im_end|>"),
        size_bytes=gguf.stat().st_size,
        sha256=sha256_of(gguf),
    )


@pytest.fixture
def old(tiny_base: Path) -> Servable:
    return servable_of(tiny_base, 1)


@pytest.fixture
def new(other_tiny_base: Path) -> Servable:
    return servable_of(other_tiny_base, 2)


@pytest_asyncio.fixture
async def serving(old: Servable) -> AsyncIterator[Serving]:
    serving = Serving(CONFIG, Courtesy())
    serving.want(old)
    yield serving
    await serving.close()


async def answer(serving: Serving, max_tokens: int = 8) -> tuple[int, str, Finished]:
    """Version, text and end of one greedy answer."""
    async with serving.lease() as lease:
        text, finished = await lease.engine.answer(PROMPT, Sampling(max_tokens=max_tokens))
        return lease.active.version, text, finished


def engines() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and "shammah.engine" in child.cmdline()
    ]


async def threads(serving: Serving) -> int:
    """With how many the active engine computes."""
    async with serving.borrow() as lease:
        count: int = (await lease.engine.stats())["threads"]
        return count


async def alone(servable: Servable, max_tokens: int) -> str:
    """What the file answers in an engine of its own."""
    engine = await Engine.start(servable.gguf, CONFIG)
    text, _ = await engine.answer(PROMPT, Sampling(max_tokens=max_tokens))
    await engine.close()
    return text


async def test_nothing_is_loaded_before_somebody_asks(serving: Serving) -> None:
    assert engines() == []
    assert serving.status().state == "stopped"
    assert (await answer(serving))[0] == 1
    assert len(engines()) == 1
    assert serving.status().state == "ready"


async def test_many_first_requests_load_one_engine(serving: Serving) -> None:
    await asyncio.gather(*(answer(serving) for _ in range(8)))
    assert len(engines()) == 1


async def test_a_swap_cuts_no_answer_and_the_next_one_is_of_the_new_file(
    serving: Serving, old: Servable, new: Servable
) -> None:
    expected_old, expected_new = await alone(old, LONG), await alone(new, 8)
    await answer(serving)
    engine = await Engine.start(new.gguf, CONFIG)
    running = asyncio.create_task(answer(serving, LONG))
    await asyncio.sleep(0.01)
    await serving.adopt(new, engine)
    assert not running.done()
    assert (await answer(serving))[:2] == (2, expected_new)
    version, text, finished = await running
    assert (version, text, finished.completion_tokens) == (1, expected_old, LONG)


async def test_answers_while_a_file_is_loaded_are_whole(
    serving: Serving, old: Servable, new: Servable
) -> None:
    expected = {1: await alone(old, LONG), 2: await alone(new, LONG)}
    await answer(serving)
    swap = asyncio.create_task(serving.use(new))
    answers = []
    while not swap.done():
        answers.append(await answer(serving, LONG))
    await swap
    answers.append(await answer(serving, LONG))
    assert [version for version, _text, _finished in answers] == [1] * (len(answers) - 1) + [2]
    assert all(text == expected[version] for version, text, _finished in answers)


async def test_the_old_engine_ends_after_its_last_answer(serving: Serving, new: Servable) -> None:
    running = asyncio.create_task(answer(serving, LONG))
    await until(lambda: serving.status().state == "ready")
    await serving.use(new)
    await running
    await until(lambda: len(engines()) == 1)
    assert serving.status().pid == engines()[0].pid


async def test_an_engine_that_runs_already_is_adopted_at_once(
    serving: Serving, new: Servable
) -> None:
    await answer(serving)
    engine = await Engine.start(new.gguf, CONFIG)
    await serving.adopt(new, engine)
    assert serving.status().pid == engine.pid
    assert (await answer(serving))[0] == 2


class Cramped(Serving):
    """On a machine that cannot hold two engines."""

    def fits_beside(self, size_bytes: int) -> bool:
        return False


async def test_without_room_for_two_it_drains_stops_and_starts(
    old: Servable, new: Servable
) -> None:
    serving = Cramped(CONFIG, Courtesy())
    serving.want(old)
    await answer(serving)
    running = asyncio.create_task(answer(serving, LONG))
    await asyncio.sleep(0.01)
    swap = asyncio.create_task(serving.use(new))
    await asyncio.sleep(0.01)
    assert serving.status().state == "swapping"
    waiting = asyncio.create_task(answer(serving))
    most = 0
    while not swap.done():
        most = max(most, len(engines()))
        await asyncio.sleep(0.01)
    assert most == 1
    assert (await running)[2].completion_tokens == LONG
    assert (await waiting)[0] == 2
    await serving.close()


@pytest.mark.parametrize("kind", [Serving, Cramped])
async def test_a_file_that_cannot_be_loaded_leaves_the_old_one_serving(
    kind: type[Serving], old: Servable, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(old.gguf.read_bytes()[:5000])
    changed = replace(old, active=Active("tiny", 2), gguf=damaged, sha256=sha256_of(damaged))
    serving = kind(CONFIG, Courtesy())
    serving.want(old)
    await answer(serving)
    with pytest.raises(BaseModelError, match=r"damaged\.gguf"):
        await serving.use(changed)
    assert (await answer(serving))[0] == 1
    assert serving.status().state == "ready"
    await serving.close()


@asynccontextmanager
async def given_up(
    serving: Serving, new: Servable, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """A swap to `new` that gets no further than its warm-up, and ends with the block."""
    warming = asyncio.Event()

    async def warm_up_for_ever(_engine: Engine, _template: ChatTemplate) -> None:
        warming.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr("shammah_daemon.serving.warm_up", warm_up_for_ever)
        swap = asyncio.create_task(serving.use(new))
        await warming.wait()
        yield
        swap.cancel()
        with pytest.raises(asyncio.CancelledError):
            await swap


async def test_a_swap_that_is_given_up_leaves_the_old_engine_as_it_was(
    serving: Serving, new: Servable, monkeypatch: pytest.MonkeyPatch
) -> None:
    await answer(serving)
    [before] = engines()
    async with given_up(serving, new, monkeypatch):
        assert await threads(serving) == 1
    while engines() != [before] or await threads(serving) != 2:
        await asyncio.sleep(0.01)
    assert serving.status().state == "ready"
    assert serving.status().problem is None
    assert (await answer(serving))[0] == 1


async def test_without_room_for_two_a_swap_that_is_given_up_brings_the_old_file_back(
    old: Servable, new: Servable, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = Cramped(CONFIG, Courtesy())
    serving.want(old)
    await answer(serving)
    async with given_up(serving, new, monkeypatch):
        pass
    assert serving.status().state == "loading"  # the next request does that
    assert (await answer(serving))[0] == 1
    assert serving.status().state == "ready"
    await serving.close()


async def test_a_killed_engine_fails_its_answers_and_the_next_request_starts_another(
    serving: Serving,
) -> None:
    _, expected, _ = await answer(serving)
    pid = serving.status().pid
    assert pid is not None
    running = [asyncio.create_task(answer(serving, LONG)) for _ in range(2)]
    await asyncio.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    results = await asyncio.gather(*running, return_exceptions=True)
    assert [type(result) for result in results] == [EngineCrashed, EngineCrashed]
    assert (await answer(serving))[:2] == (1, expected)
    assert serving.status().pid != pid


async def test_a_swap_works_after_a_crash(serving: Serving, new: Servable) -> None:
    await answer(serving)
    pid = serving.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await serving.use(new)
    assert (await answer(serving))[0] == 2


async def test_without_a_model_the_way_out_is_named() -> None:
    with pytest.raises(EngineError, match="no model is set up") as raised:
        await answer(Serving(CONFIG, Courtesy()))
    assert "shammah model add" in raised.value.hint


async def test_a_model_that_fails_to_load_shows_in_the_status(
    old: Servable, tmp_path: Path
) -> None:
    serving = Serving(CONFIG, Courtesy())
    serving.want(replace(old, gguf=tmp_path / "absent.gguf"))
    with pytest.raises(BaseModelError):
        await answer(serving)
    status = serving.status()
    assert status.state == "failed"
    assert "absent.gguf" in (status.problem or "")


# adapters


@pytest.fixture
def attachment(tiny_base: Path, tmp_path: Path) -> Attachment:
    base = read_header(tiny_base)
    peft = write_peft(tmp_path / "peft", random_tensors(base))
    file = tmp_path / "adapter.gguf"
    write_adapter(read_adapter(peft, base), base, file)
    return Attachment(Applied("noise", 1.0), file, sha256_of(file))


class Chosen:
    """What is to be added, as the daemon's library would say it."""

    def __init__(self) -> None:
        self.attachments: list[Attachment] = []

    async def of(self, _active: Active) -> list[Attachment]:
        return self.attachments


@pytest_asyncio.fixture
async def adapted(
    old: Servable, attachment: Attachment
) -> AsyncIterator[tuple[Serving, Chosen, Attachment]]:
    chosen = Chosen()
    serving = Serving(CONFIG, Courtesy(), chosen.of)
    serving.want(old)
    yield serving, chosen, attachment
    await serving.close()


Adapted = tuple[Serving, Chosen, Attachment]


async def test_what_measures_a_version_sees_no_adapter(adapted: Adapted) -> None:
    serving, chosen, attachment = adapted
    plain = (await answer(serving))[1]
    chosen.attachments = [attachment]
    await serving.apply()
    assert (await answer(serving))[1] != plain
    async with serving.borrow(bare=True) as lease:
        assert (await lease.engine.answer(PROMPT, Sampling(max_tokens=8)))[0] == plain
        assert lease.adapters == ()
    async with serving.lease(bare=True) as lease:
        assert (await lease.engine.answer(PROMPT, Sampling(max_tokens=8)))[0] == plain
    async with serving.lease() as lease:
        assert lease.adapters == [attachment.applied]
    assert len(engines()) == 1


async def test_a_lease_from_before_a_change_answers_as_it_was_lent(adapted: Adapted) -> None:
    """Even if its answer begins only after the change."""
    serving, chosen, attachment = adapted
    plain = (await answer(serving))[1]
    chosen.attachments = [attachment]
    async with serving.lease() as before:
        await serving.apply()
        taught = (await answer(serving))[1]
        assert (await before.engine.answer(PROMPT, Sampling(max_tokens=8)))[0] == plain
    assert taught != plain
    assert (await answer(serving))[1] == taught
    assert len(engines()) == 1


async def test_adapters_are_added_to_the_file_that_takes_over(
    adapted: Adapted, new: Servable
) -> None:
    serving, chosen, attachment = adapted
    expected = await alone(new, 8)
    await answer(serving)
    chosen.attachments = [attachment]
    await serving.use(new)
    swapped = (await answer(serving))[1]
    assert swapped != expected
    await serving.adopt(new, await Engine.start(new.gguf, CONFIG))
    assert (await answer(serving))[1] == swapped
    chosen.attachments = []
    await serving.apply()
    assert (await answer(serving))[1] == expected


async def test_an_adapter_that_does_not_fit_keeps_no_model_from_serving(
    adapted: Adapted, tiny_base: Path
) -> None:
    serving, chosen, attachment = adapted
    no_adapter = Attachment(Applied("model", 1.0), tiny_base, sha256_of(tiny_base))
    await answer(serving)
    chosen.attachments = [attachment, no_adapter]
    with pytest.raises(EngineError, match="cannot attach"):
        await serving.apply()  # whoever asked for it is told
    pid = serving.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: serving.status().pid is None)
    await answer(serving)
    assert serving.adapters == [attachment.applied]
    assert "the adapter model is not added" in (serving.status().problem or "")
