"""Where the figures of a training go besides its log: TensorBoard's event files, or a service that
the user has set up, through accelerate's trackers. Sends numbers and hyperparameters, no words.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from shammah.errors import JobError
from shammah.options import Tracker
from shammah.training.spec import JobSpec

if TYPE_CHECKING:
    from shammah.training.loop import StepReport

log = structlog.get_logger()

#: In the job's folder, for `tensorboard --logdir`.
EVENTS = "tensorboard"

#: The project under which a service shows the jobs.
PROJECT = "shammah"

#: Weights & Biases would send what is printed, and the code's repository, too.
_WANDB = {"console": "off", "disable_git": True, "save_code": False}

#: What is not logged of a step: it is the axis, or the same for all.
_AXIS = {"step", "steps"}


class Trackers:
    """All that the recipe's `report_to` names."""

    def __init__(self, job_dir: Path, spec: JobSpec, done_steps: int) -> None:
        """Args: done_steps: what is logged after them is another attempt's, and not shown.

        Raises:
            JobError: a service's package is not installed.
        """
        self._trackers: list[tuple[str, Any]] = []
        for wanted in spec.recipe.report_to:
            _require(wanted)
            self._trackers.append((wanted, _make(wanted, job_dir, spec.job_id, done_steps)))
        settings = {name: _plain(value) for name, value in asdict(spec.recipe).items()}
        for name, tracker in self._trackers:
            _attempt(name, tracker.start)
            if name != "tensorboard":  # which would write a second run for them
                _attempt(name, partial(tracker.store_init_configuration, settings))

    def log(self, report: StepReport) -> None:
        values = {
            f"train/{name}": float(value)
            for name, value in asdict(report).items()
            if value is not None and name not in _AXIS
        }
        for name, tracker in self._trackers:
            _attempt(name, partial(tracker.log, values, step=report.step))

    def close(self) -> None:
        for name, tracker in self._trackers:
            _attempt(name, tracker.finish)


def _require(name: Tracker) -> None:
    package = "tensorboardX" if name == "tensorboard" else name
    if importlib.util.find_spec(package) is None:
        raise JobError(
            f"training.report_to names {name!r}, and its package {package} is not installed",
            hint=f"'.venv/bin/pip install {package}', or take it out of training.report_to",
        )


def _make(name: Tracker, job_dir: Path, job_id: int, done_steps: int) -> Any:
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    PartialState()  # the trackers ask it which process is the first
    kind = LOGGER_TYPE_TO_CLASS[name]
    if name == "tensorboard":
        return kind(EVENTS, job_dir, purge_step=done_steps + 1)
    run = f"job-{job_id}"
    if name == "wandb":
        return kind(PROJECT, name=run, dir=str(job_dir), settings=_WANDB)
    if name == "mlflow":  # without a server it would write where the daemon was started
        os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{job_dir.absolute()}/mlflow.db")
        return kind(PROJECT, str(job_dir / "mlflow"), run_name=run)
    return kind(PROJECT, name=run)


def _attempt(name: str, act: Callable[[], object]) -> None:
    """A service that cannot be reached must not cost a lesson."""
    try:
        act()
    except Exception as error:
        log.warning("a tracker failed", tracker=name, problem=type(error).__name__)


def _plain(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value
