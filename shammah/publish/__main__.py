"""The publishing stages of a job as a child process: `python -m shammah.publish merge|quantize`;
beside them `import` and `export`, which read what is wanted from stdin.

Knows the names of the files in the job's folder, and leaves the work to the other modules.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from shammah import stage
from shammah.cores import usable_cores
from shammah.errors import UsageError
from shammah.files import sha256_of
from shammah.publish import ADAPTER_FILE, ADAPTER_FOLDER

MERGED_FILE = "merged-F16.gguf"

#: Progress is reported in steps of this size.
PROGRESS_STEP = 0.05


def main() -> None:
    arguments = _parser().parse_args()
    # Slabs are merged in parallel; BLAS threads of their own would only fight over the cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    stage.begin()
    stage.run(partial(arguments.stage, arguments))


def merge_stage(arguments: argparse.Namespace, stop: stage.Stop) -> dict[str, Any]:
    """JOB_DIR/adapter and the base become merged-F16.gguf and adapter.gguf in --into. An adapter
    of DoRA has no adapter.gguf: llama.cpp cannot attach it."""
    # Not before main() has settled the environment: numpy reads it when it is imported.
    from shammah.bases.gguf_header import read_header
    from shammah.publish.adapter import read_adapter, write_adapter
    from shammah.publish.merge import merge

    if not 0 < arguments.scale < math.inf:
        raise UsageError(f"the scale is {arguments.scale}, not a positive number")
    started = time.monotonic()
    base = read_header(arguments.base)
    adapter = read_adapter(arguments.job / ADAPTER_FOLDER, base).scaled(arguments.scale)
    folder = arguments.into or arguments.job
    folder.mkdir(mode=0o700, exist_ok=True)
    if adapter.is_low_rank:
        write_adapter(adapter, base, folder / ADAPTER_FILE)
    path = folder / MERGED_FILE
    merge(
        base,
        adapter,
        path,
        threads=arguments.threads,
        stop=stop,
        on_progress=_progress("merging"),
    )
    return {
        "path": str(path),
        "adapter_path": str(folder / ADAPTER_FILE) if adapter.is_low_rank else None,
        "row_sizes": base.row_sizes(),
        "seconds": round(time.monotonic() - started, 3),
    }


def quantize_stage(arguments: argparse.Namespace, stop: stage.Stop) -> dict[str, Any]:
    """merged-F16.gguf becomes model-TYPE.gguf. With --against, what it holds of what was trained is
    measured."""
    from shammah.publish.quantize import quantize

    started = time.monotonic()
    path = arguments.job / f"model-{arguments.type}.gguf"
    quantize(
        arguments.job / MERGED_FILE,
        path,
        arguments.type,
        threads=arguments.threads,
        stop=stop,
        on_progress=_progress("quantizing"),
    )
    return {
        "path": str(path),
        "size_bytes": path.stat().st_size,
        "sha256": sha256_of(path),
        "kept": _kept(path, arguments) if arguments.against else {},
        "seconds": round(time.monotonic() - started, 3),
    }


def _kept(path: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Nothing where training left no sketch: it was that of an earlier version of the program."""
    from shammah.bases import SKETCH_FILE, sketch
    from shammah.bases.gguf_header import read_header
    from shammah.publish.kept import kept

    base, trained = arguments.against
    file = Path(trained) / SKETCH_FILE
    if not file.exists():
        return {}
    return kept(sketch.load(file), read_header(Path(base)), read_header(path), arguments.threads)


def import_stage(arguments: argparse.Namespace, stop: stage.Stop) -> dict[str, Any]:
    """A PEFT folder becomes an adapter of the home."""
    from shammah.publish.importing import Import, import_adapter

    return asdict(import_adapter(Import(**stage.receive(stop))))


def export_stage(arguments: argparse.Namespace, stop: stage.Stop) -> dict[str, Any]:
    """Adapters become a file or a folder for other programs."""
    from shammah.publish.exporting import Export, export

    wanted = Export.of(stage.receive(stop))
    reports: dict[str, Callable[[float], None]] = {}

    def report(name: str, fraction: float) -> None:
        reports.setdefault(name, _progress(name))(fraction)

    return export(wanted, threads=arguments.threads, stop=stop, report=report)


def _progress(name: str) -> Callable[[float], None]:
    """Reports the fraction that a stage has done, in steps of `PROGRESS_STEP`."""
    reported = 0.0

    def report(fraction: float) -> None:
        nonlocal reported
        if fraction - reported >= PROGRESS_STEP:
            reported = fraction
            stage.report(stage=name, fraction=round(fraction, 3))

    return report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shammah.publish", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="STAGE")
    merge_parser = commands.add_parser("merge", help=merge_stage.__doc__)
    quantize_parser = commands.add_parser("quantize", help=quantize_stage.__doc__)
    for command, run in ((merge_parser, merge_stage), (quantize_parser, quantize_stage)):
        command.set_defaults(stage=run)
        command.add_argument("job", type=Path, metavar="JOB_DIR", help="where its files are")
        command.add_argument(
            "--threads", type=int, default=usable_cores(), help="one per core by default"
        )
    merge_parser.add_argument("base", type=Path, metavar="BASE_GGUF", help="the pristine base")
    merge_parser.add_argument(
        "--into", type=Path, metavar="DIR", help="where the files go; JOB_DIR by default"
    )
    merge_parser.add_argument("--scale", type=float, default=1.0, help="times the adapter's effect")
    for name, run in (("import", import_stage), ("export", export_stage)):
        asked = commands.add_parser(name, help=run.__doc__)
        asked.set_defaults(stage=run, threads=usable_cores())
    quantize_parser.add_argument("type", metavar="TYPE", help="Q4_K_M, Q8_0, ...")
    quantize_parser.add_argument(
        "--against",
        nargs=2,
        metavar=("BASE_GGUF", "JOB_DIR"),
        help="the pristine base, and where training left its sketch",
    )
    return parser


if __name__ == "__main__":
    main()
