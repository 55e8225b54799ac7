"""One training without a daemon: looked at, begun, or gone on with. Prints nothing itself."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from shammah import __version__
from shammah.bases.registry import Registry
from shammah.bases.template import ChatTemplate
from shammah.config import Config
from shammah.engine.handle import Engine
from shammah.errors import DamagedFile, ShammahError, UsageError
from shammah.paths import Paths
from shammah.records import Base
from shammah.training.spec import JobSpec
from shammah.training.validation import at_step
from shammah_daemon.alone import queue as queues
from shammah_daemon.alone import wording
from shammah_daemon.alone.base import file_of, find, prepared
from shammah_daemon.alone.folder import QUEUE, Begun, Folder
from shammah_daemon.alone.lesson import Data, make
from shammah_daemon.alone.options import Choices, chosen, require_same
from shammah_daemon.alone.queue import Lines, Snapshot
from shammah_daemon.alone.screen import Screen
from shammah_daemon.alone.training import Merged, publish, train
from shammah_daemon.bases import Bases
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.promotion import LIBRARIES
from shammah_daemon.remedies import Failure, classify
from shammah_daemon.schedule.conditions import Conditions, snapshot
from shammah_daemon.schedule.forecast import Forecast
from shammah_daemon.stages import Stages


class Run:
    """What is needed besides the lines."""

    def __init__(self, paths: Paths, config: Config, screen: Screen) -> None:
        self._paths = paths
        self._config = config
        self._screen = screen
        self._courtesy = Courtesy()
        self._registry = Registry(paths)
        stages = Stages(self._courtesy, paths.logs)
        self._bases = Bases(paths, self._registry, config.engine, stages, self._courtesy)

    async def look(self, arguments: Namespace) -> tuple[Data, Forecast | None]:
        """What the lines are, and what training on them takes; writes nothing.

        Returns:
            The report, and memory and disk where the base is known here.
        """
        choices = chosen(arguments, self._config)
        config = choices.config(self._config)
        _, lines = self._read(arguments.queue, choices, config)
        base = find(self._registry, arguments.base_model, arguments.weights)
        gguf = Path(base.gguf) if base else file_of(arguments.base_model)
        async with self._engine(gguf, config) as engine:
            about = engine.description
            template = (
                ChatTemplate.of(base)
                if base
                else ChatTemplate(about["template"], about["bos_token"], about["eos_token"])
            )
            name = base.name if base else gguf.stem
            _, data = await make(lines, name, config, choices.validation_split, engine, template)
        return data, self._conditions(config, choices).forecast(base.name) if base else None

    async def begin(self, arguments: Namespace) -> dict[str, Any]:
        """Train the lines, and leave all that there is of it in a new folder.

        Returns:
            What training.json says.
        """
        folder = Folder(arguments.out.absolute())
        folder.require_free()
        choices = chosen(arguments, self._config)
        config = choices.config(self._config)
        queue, lines = self._read(arguments.queue, choices, config)
        base = await prepared(
            self._paths, self._registry, self._bases, arguments.base_model, arguments.weights,
            self._screen,
        )  # fmt: skip
        self._conditions(config, choices).require_room(base.name)
        async with self._engine(Path(base.gguf), config) as engine:
            lesson, data = await make(
                lines, base.name, config, choices.validation_split, engine, ChatTemplate.of(base)
            )
        for line in wording.report(data):
            self._screen.say(line)
        begun = Begun(
            queue=str(queue.path),
            queue_bytes=len(queue.data),
            queue_sha256=queue.sha256,
            home=str(arguments.home.absolute()) if "home" in arguments else None,
            base=base.name,
            base_sha256=base.sha256,
            choices=choices,
            data=data.as_dict(),
        )
        with folder.held():
            folder.require_free()
            lesson.save(folder.path)
            folder.begin(begun)
            return await self._carry_out(folder, begun, queue, base)

    async def resume(self, arguments: Namespace, begun: Begun) -> dict[str, Any]:
        """Go on with what was begun in the folder, to the same end."""
        folder = Folder(arguments.out.absolute())
        require_same(arguments, begun.choices, self._config)
        if str(arguments.queue.resolve()) != begun.queue:
            raise UsageError(f"this training was begun with {begun.queue}", hint="name that file")
        queue = queues.take_again(
            Path(begun.queue), folder.path / QUEUE, begun.queue_bytes, begun.queue_sha256
        )
        base = await prepared(
            self._paths, self._registry, self._bases, begun.base, None, self._screen
        )
        if base.sha256 != begun.base_sha256:
            raise DamagedFile(
                f"the base {base.name} is another than this training was begun with",
                hint="begin anew in another folder",
            )
        with folder.held():
            return await self._carry_out(folder, begun, queue, base)

    async def close(self) -> None:
        await self._bases.close()

    def _read(self, path: Path, choices: Choices, config: Config) -> tuple[Snapshot, Lines]:
        queue = queues.take(path)
        lines = queues.read(queue, config.learning, allow_secrets=choices.allow_secrets)
        if not choices.skip_bad or not lines.examples:
            queues.require_whole(lines, path)
        return queue, lines

    async def _carry_out(
        self, folder: Folder, begun: Begun, queue: Snapshot, base: Base
    ) -> dict[str, Any]:
        stages = Stages(self._courtesy, folder.path)
        ground = self._bases.ground(base.name).folder
        try:
            trained = await train(folder.path, ground, begun.choices.training, stages, self._screen)
            merged = await publish(folder.path, base, begun.choices.merge, stages, self._screen)
        except ShammahError as error:
            if classify(error) is Failure.BAD_DATA and not folder.has_checkpoint:
                folder.give_up()
            else:
                self._screen.say(f"{folder.path} keeps what there is: --resume goes on with it")
            self._screen.say(f"{queue.path} is as it was")
            raise
        result = folder.finish(_result(folder, begun, base, trained, merged))
        if not begun.choices.keep_queue and (said := queues.archive(queue, folder.path / QUEUE)):
            self._screen.say(said)
        folder.clear_work()
        return result

    def _conditions(self, config: Config, choices: Choices) -> Conditions:
        """What is forecast is training, and merging where that is wanted."""
        gate = config.gate.model_copy(update={"quantizations": [choices.merge or "Q4_K_M"]})
        return Conditions(
            self._paths,
            config.model_copy(update={"gate": gate}),
            self._bases,
            lambda: snapshot(self._paths, 0.0, None),
        )

    @asynccontextmanager
    async def _engine(self, gguf: Path, config: Config) -> AsyncIterator[Engine]:
        """It tokenizes, as it does for the daemon."""
        engine = await Engine.start(gguf, config.engine)
        try:
            yield engine
        finally:
            await engine.close()


def _result(
    folder: Folder, begun: Begun, base: Base, trained: Mapping[str, Any], merged: Merged | None
) -> dict[str, Any]:
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "shammah": __version__,
        "libraries": {name: installed(name) for name in LIBRARIES},
        "base": {"name": base.name, "sha256": base.sha256, "gguf": base.gguf},
        "queue": {"path": begun.queue, "sha256": begun.queue_sha256, "bytes": begun.queue_bytes},
        "choices": begun.choices.model_dump(),
        "data": begun.data,
        "recipe": asdict(JobSpec.load(folder.path / "job.json").recipe),
        "training": dict(trained),
        "validation": _validation(trained, begun),
        "quantization": merged and merged.quantization,
        "kept": merged and merged.kept,
    }


def _validation(trained: Mapping[str, Any], begun: Begun) -> dict[str, Any] | None:
    """What was measured at the step whose weights the adapter has; None where nothing was."""
    nll, accuracy = (
        at_step(trained[key], trained["saved_step"], trained["steps"])
        for key in ("held_out_nll", "held_out_accuracy")
    )
    if nll is None:
        return None
    return {
        "of": "lines" if begun.choices.validation_split else "wordings",
        "nll": nll,
        "nll_before": begun.data["held_out_nll_before"],
        "perplexity": math.exp(min(nll, 700.0)),
        "token_accuracy": accuracy,
    }
