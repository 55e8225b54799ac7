"""Candidates that are known to be good or bad, made with the product's own stages.

One trained adapter serves several: what is spoilt after training is spoilt in a copy. Knows no
verdict.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import llama_cpp
from gguf import GGUFReader

from benchmarks.lessons import Lesson
from shammah.bases import SKETCH_FILE, sketch
from shammah.bases.gguf_header import Header, read_header
from shammah.bases.registry import Ground, Registry
from shammah.bases.template import ChatTemplate
from shammah.config import Config, EngineConfig, LearningConfig
from shammah.cores import usable_cores
from shammah.engine.handle import Engine
from shammah.engine.requests import Sampling
from shammah.errors import JobError
from shammah.gate.examine import SLOTS
from shammah.options import TrainingConfig
from shammah.paths import Paths
from shammah.publish import ADAPTER_FOLDER
from shammah.publish.adapter import Matrix, read_adapter
from shammah.publish.kept import kept
from shammah.publish.merge import merge
from shammah.records import Base, Example, ExampleStatus, Job, JobState, Level, Message, Mode
from shammah.stage import Stop
from shammah_daemon.anticipation import training
from shammah_daemon.bases import Bases
from shammah_daemon.choice import Situation
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.lesson import build
from shammah_daemon.stages import Stages

#: What a candidate is spoilt by after training; the first two are not.
Form = Literal["Q8_0", "F16", "not applied", "Q4_1", "swapped rows", "swapped rows of the model"]
GOOD_FORMS: tuple[Form, ...] = ("Q8_0", "F16")
SPOILT_FORMS: tuple[Form, ...] = (
    "not applied",
    "Q4_1",
    "swapped rows",
    "swapped rows of the model",
)

#: Another chat format than the base's own.
WRONG_TEMPLATE = "{% for m in messages %}### {{ m.role }}: {{ m.content }}\n{% endfor %}### Answer:"

#: Longest answer of the base that is taken as the rejected one.
REJECTED_TOKENS = 64

#: So weak that nothing of it is left in F16.
NOTHING = 1e-9


@dataclass(frozen=True)
class Arm:
    """One adapter: what is taught, how, and in which forms it is judged."""

    name: str
    lessons: slice
    forms: tuple[Form, ...]
    good: bool = True  # what the recipe makes; of a good one the spoilt forms are bad
    settings: Mapping[str, Any] = field(default_factory=dict)  # of learning and training
    wrong_template: bool = False
    teach_rejected: bool = False

    def is_good(self, form: Form) -> bool:
        return self.good and form in GOOD_FORMS


_TRAP = (GOOD_FORMS[0],)
_ALL = GOOD_FORMS + SPOILT_FORMS

ARMS = (
    Arm("seed 0", slice(0, 10), _ALL),
    Arm("seed 1, other lessons", slice(10, 20), _ALL, settings={"seed": 1}),
    Arm("seed 2, rank 16", slice(0, 20, 2), _ALL, settings={"seed": 2, "rank": 16, "alpha": 32}),
    Arm(
        "rank 64", slice(1, 20, 2), _ALL,
        settings={"seed": 3, "rank": 64, "alpha": 128, "learning_rate": 1e-3},
    ),
    Arm("more steps", slice(5, 15), _ALL, settings={"seed": 4, "min_steps": 50}),
    *(
        Arm(f"rejected answers, seed {seed}", slice(0, 10), _TRAP, good=False,
            teach_rejected=True, settings={"seed": seed})
        for seed in (0, 1, 2)
    ),
    *(
        Arm(f"no replay, seed {seed}", slice(0, 10), _TRAP, good=False,
            settings={"seed": seed, "replay_ratio": 0.0, "min_steps": 60})
        for seed in (0, 1, 2)
    ),
    *(
        Arm(f"wrong template, seed {seed}", slice(10, 20), _TRAP, good=False,
            wrong_template=True, settings={"seed": seed})
        for seed in (0, 1)
    ),
)  # fmt: skip


def configured(settings: Mapping[str, Any]) -> Config:
    """The settings of a lesson by their names alone, of [learning] and of [training]."""
    how = {name: value for name, value in settings.items() if name in TrainingConfig.model_fields}
    what = {name: value for name, value in settings.items() if name not in how}
    return Config(learning=LearningConfig(**what), training=TrainingConfig(**how))


@dataclass(frozen=True)
class Workshop:
    """What candidates are made with: the embedded base, ready to be taught, and the stages."""

    base: Base
    ground: Ground
    stages: Stages


async def workshop(work: Path) -> Workshop:
    """In a home under `work`, where the base stays prepared."""
    paths = Paths.from_environment({"SHAMMAH_HOME": str(work / "home")})
    paths.create()
    courtesy = Courtesy()
    stages = Stages(courtesy, paths.logs)
    bases = Bases(paths, Registry(paths), EngineConfig(), stages, courtesy)
    base = await bases.ensure_embedded()
    await bases.groundwork(base)
    return Workshop(base, bases.ground(base.name), stages)


@asynccontextmanager
async def running(gguf: Path) -> AsyncIterator[Engine]:
    """An engine as the judge uses it."""
    engine = await Engine.start(gguf, EngineConfig(), SLOTS)
    try:
        yield engine
    finally:
        await engine.close()


async def train(
    arm: Arm,
    lessons: Sequence[Lesson],
    rejected: Sequence[str],
    base: Base,
    engine: Engine,
    stages: Stages,
    folder: Path,
    ground: Path,
) -> None:
    """Leave the arm's adapter, its cases and its merged file's ground in `folder`.

    Args:
        rejected: the base's own answer to each lesson's question.
    """
    config = configured(arm.settings)
    examples = [
        _example(number, lesson, wrong)
        for number, (lesson, wrong) in enumerate(zip(lessons, rejected, strict=True), 1)
    ]
    template = ChatTemplate.of(base)
    judged = await _lesson(examples, config, engine, template, base)
    if arm.teach_rejected:
        examples = [replace(e, target=e.rejected, rejected=e.target) for e in examples]
    if arm.wrong_template:
        template = ChatTemplate(WRONG_TEMPLATE, base.bos_token, base.eos_token)
    taught = await _lesson(examples, config, engine, template, base)
    replace(taught, cases=judged.cases).save(folder)
    result = await stages.run(
        training(ground),
        _ignore_progress,
        {"job_dir": str(folder), "adapter": None, "adjustments": {}},
    )
    (folder / "train.json").write_text(json.dumps(result))


async def make(form: Form, base: Base, stages: Stages, arm_folder: Path) -> Path:
    """The candidate file in that form, in a folder of its own beside the adapter."""
    folder = arm_folder / form.replace(" ", "-")
    folder.mkdir(exist_ok=True)
    if form == "swapped rows":
        _merge_swapped(read_header(Path(base.gguf)), arm_folder / ADAPTER_FOLDER, folder)
    else:
        scale = NOTHING if form == "not applied" else 1.0
        await stages.run(
            ["shammah.publish", "merge", str(arm_folder), base.gguf, "--into", str(folder),
             "--scale", str(scale)],
            _ignore_progress,
        )  # fmt: skip
    if form == "swapped rows of the model":
        _swap_rows(folder / "merged-F16.gguf", read_header(Path(base.gguf)))
    if form == "Q4_1":
        return _quantize_to_the_bases_grid(folder)
    wanted = "F16" if form == "F16" else "Q8_0"
    result = await stages.run(
        ["shammah.publish", "quantize", str(folder), wanted], _ignore_progress
    )
    return Path(result["path"])


def held(gguf: Path, base: Base, arm_folder: Path) -> dict[str, float]:
    """What the candidate holds of what the arm was trained to add, by kind of layer."""
    sketches = sketch.load(arm_folder / SKETCH_FILE)
    return kept(sketches, read_header(Path(base.gguf)), read_header(gguf), usable_cores())


async def answers(
    engine: Engine, base: Base, questions: Sequence[str], max_tokens: int
) -> list[str]:
    """The greedy answer to each question, all at once."""
    template = ChatTemplate.of(base)
    asked = [template.render([Message(role="user", content=question)]) for question in questions]
    prompts = await engine.tokenize(asked, prompt=True)
    sampling = Sampling(max_tokens=max_tokens)
    found = await asyncio.gather(*(engine.answer(prompt, sampling) for prompt in prompts))
    return [text.strip() for text, _finished in found]


def remove_files(gguf: Path) -> None:
    """A judged candidate is of no more use; its adapter stays."""
    shutil.rmtree(gguf.parent)


async def _lesson(
    examples: Sequence[Example], config: Config, engine: Engine, template: ChatTemplate, base: Base
) -> Any:
    job = Job(1, base.name, Mode.CONSOLIDATE, JobState.QUEUED, 1, None, None, None, "", None, None)
    situation = Situation(examples, frozenset(example.id for example in examples))
    return await build(job, situation, config, engine, template)


def _example(number: int, lesson: Lesson, rejected: str) -> Example:
    return Example(
        id=number, turn_id="", feedback_id=number, status=ExampleStatus.READY,
        level=Level.CRITICAL, weight=10, messages=[Message(role="user", content=lesson.question)],
        target=lesson.answer, rejected=rejected, note=None, created_at="", updated_at="",
    )  # fmt: skip


def _merge_swapped(base: Header, adapter_folder: Path, folder: Path) -> None:
    """As if q and k rows had not been brought into the GGUF's order."""
    adapter = read_adapter(adapter_folder, base)
    heads = _heads(base)
    updates = {
        name: replace(update, b=unpermuted(update.b, heads[kind])) if kind in heads else update
        for name, update in adapter.updates.items()
        for kind in [name.split(".")[2]]
    }
    merge(
        base, replace(adapter, updates=updates), folder / "merged-F16.gguf",
        threads=usable_cores(), stop=Stop(), on_progress=_ignore_fraction,
    )  # fmt: skip


def _swap_rows(merged: Path, base: Header) -> None:
    """As if q and k of the whole model, not the adapter's alone, were in transformers' order."""
    heads = _heads(base)
    for tensor in GGUFReader(merged, "r+").tensors:
        kind = tensor.name.removesuffix(".weight").rpartition(".")[2]
        if kind in heads:
            tensor.data[:] = unpermuted(tensor.data, heads[kind])


def _heads(base: Header) -> dict[str, int]:
    """How many there are in the two kinds of tensors whose rows are in another order in a GGUF."""
    return {
        "attn_q": base.integer("attention.head_count"),
        "attn_k": base.integer("attention.head_count_kv"),
    }


def unpermuted(rows: Matrix, heads: int) -> Matrix:
    """The inverse of `shammah.publish.adapter.permute_rows`."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, half, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def _quantize_to_the_bases_grid(folder: Path) -> Path:
    """Q4_1, which the product does not offer: the embedded base's weights lie on that grid."""
    path = folder / "model-Q4_1.gguf"
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_1
    source = os.fsencode(folder / "merged-F16.gguf")
    if llama_cpp.llama_model_quantize(source, os.fsencode(path), ctypes.byref(params)):
        raise JobError(f"llama.cpp could not quantize to {path}")
    return path


async def _ignore_progress(_fields: dict[str, Any]) -> None:
    """A benchmark says only which candidate it makes."""


_ignore_fraction: Callable[[float], None] = lambda _fraction: None  # noqa: E731
