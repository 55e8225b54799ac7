"""`scripts/bench`: parses, runs the benchmarks asked for, prints; measures nothing itself."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import structlog
from rich.console import Console

from benchmarks import (
    calibration,
    forget,
    injection,
    learning,
    loop,
    machine,
    manners,
    memory,
    nights,
    recipe,
    screens,
    serve,
    swap,
    train,
)
from benchmarks import lessons as lessons_module
from benchmarks.figures import Section, markdown, show
from benchmarks.lessons import Lesson
from shammah.errors import ShammahError

INTERRUPTED = 130
TERMINATED = 143

#: What runs without a name: what ends within minutes.
SHORT = ("loop", "train", "serve", "swap", "injection", "learning")
NAMES = (*SHORT, "manners", "memory", "screens", "nights", "forget", "recipe", "calibration")


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0, 1 when a benchmark failed, 2 on wrong usage. One failing stops no other."""
    options = _parser().parse_args(arguments)
    status = 0
    try:
        lessons = lessons_module.load(options.lessons)
        before = machine.describe()
        found: dict[str, Any] = {"machine": asdict(before)}
        sections, lines = [machine.section(before)], []
        for name in [name for name in NAMES if name in (options.what or SHORT)]:
            try:
                result, section = _run(name, lessons, options)
            except ShammahError as error:
                status = status or _fail(error)
                found[name] = {"error": str(error)}
                continue
            found[name] = asdict(result)
            sections.append(section)
            if isinstance(result, learning.Result) and options.verbose:
                lines = learning.lesson_lines(result)
    except ShammahError as error:
        return _fail(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    _print(found, sections, lines, options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measures Shammah on this machine."
    )
    parser.add_argument(
        "what",
        nargs="*",
        choices=NAMES,
        help=f"which benchmarks; without a name {', '.join(SHORT)}",
    )
    parser.add_argument(
        "--lessons", type=Path, default=lessons_module.OWN, metavar="PATH",
        help="what is taught, in the form of benchmarks/lessons.json",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", type=_positive, default=learning.SEEDS, metavar="N",
        help="learning: one lesson for each of the seeds 0 to N-1",
    )  # fmt: skip
    parser.add_argument(
        "--nights", type=_positive, default=nights.NIGHTS, metavar="N",
        help="nights: how many, of ten new lessons each",
    )  # fmt: skip
    parser.add_argument(
        "--rounds", type=_positive, metavar="N",
        help="loop, serve, swap and screens: repetitions, instead of each one's own number",
    )  # fmt: skip
    parser.add_argument(
        "--work", type=Path, metavar="DIR",
        help="calibration and recipe: what is done stays there, to go on from; else removed",
    )  # fmt: skip
    parser.add_argument(
        "--arm", action="append", default=[], metavar="NAME",
        help="calibration: this arm alone; recipe: KEY=VALUE,...; may be given several times",
    )  # fmt: skip
    parser.add_argument("--verbose", action="store_true", help="learning: print every answer")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document")
    form.add_argument("--markdown", action="store_true", help="print tables for a document")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def _run(
    name: str, lessons: Sequence[Lesson], options: argparse.Namespace
) -> tuple[Any, Section]:  # fmt: skip
    """The result of one benchmark, and how it is shown."""
    match name:
        case "loop":
            looped = loop.run(lessons, options.rounds or loop.ROUNDS, _say)
            return looped, loop.section(looped)
        case "train":
            trained = train.run(lessons, _say)
            return trained, train.section(trained)
        case "serve":
            served = serve.run(options.rounds or serve.ROUNDS, _say)
            return served, serve.section(served)
        case "swap":
            swapped = swap.run(lessons, options.rounds or swap.ROUNDS, _say)
            return swapped, swap.section(swapped)
        case "manners":
            behaved = manners.run(lessons, _say)
            return behaved, manners.section(behaved)
        case "memory":
            sized = memory.run(_say)
            return sized, memory.section(sized)
        case "screens":
            seen = screens.run(options.rounds or screens.ROUNDS, _say)
            return seen, screens.section(seen)
        case "nights":
            passed = nights.run(lessons, options.nights, _say)
            return passed, nights.section(passed)
        case "forget":
            forgot = forget.run(lessons, _say)
            return forgot, forget.section(forgot)
        case "calibration":
            with _work_folder(options) as work:
                calibrated = calibration.run(lessons, work, options.arm, _say)
            return calibrated, calibration.section(calibrated)
        case "recipe":
            with _work_folder(options) as work:
                tried = recipe.run(lessons, work, options.arm, _say)
            return tried, recipe.section(tried)
        case "injection":
            injected = injection.run(lessons, _say)
            return injected, injection.section(injected)
        case _:
            learned = learning.run(lessons, options.seeds, _say)
            return learned, learning.section(learned)


@contextlib.contextmanager
def _work_folder(options: argparse.Namespace) -> Iterator[Path]:
    if options.work is not None:
        yield options.work.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="shammah-bench-") as work:
        yield Path(work)


def _print(
    found: dict[str, Any],
    sections: Sequence[Section],
    lines: Sequence[str],
    options: argparse.Namespace,
) -> None:
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    elif options.markdown:
        print(markdown(sections))
    else:
        show(sections, Console())
        for line in lines:
            print(line)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fail(error: ShammahError) -> int:
    _say(f"error: {error}")
    return error.exit_code


def _leave(_signal: int, _frame: object) -> NoReturn:
    sys.exit(TERMINATED)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _leave)  # an exception, so that daemons and homes are cleared
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    sys.exit(main(sys.argv[1:]))
