"""The training loop: steps of packed rows, checkpoints, progress; knows no file format."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from transformers import PreTrainedModel

from shammah.errors import JobError
from shammah.training.adapter import Adapter
from shammah.training.checkpoints import Progress
from shammah.training.model import Hardware, target_logits
from shammah.training.objective import Teacher, kl, nll
from shammah.training.packing import pack, split
from shammah.training.schedule import Step
from shammah.training.spec import Row
from shammah.training.teacher import Replay


@dataclass(frozen=True)
class StepReport:
    """What one step did."""

    step: int  # counted from 1
    steps: int
    loss: float  # NLL + kl_weight * KL, nats a token
    nll: float
    kl: float
    learning_rate: float
    tokens: int  # of the rows themselves, however they were packed
    seconds: float


class Trainer:
    """Model, adapter and rows of one job."""

    def __init__(
        self,
        model: PreTrainedModel,
        adapter: Adapter,
        hardware: Hardware,
        rows: Sequence[Row],
        replay: Replay,
        kl_weight: float,
    ) -> None:
        self._model = model
        self._adapter = adapter
        self._hardware = hardware
        self._rows = rows
        self._replay = replay
        self._kl_weight = kl_weight

    def run(
        self,
        steps: Sequence[Step],
        progress: Progress,
        after_step: Callable[[StepReport, Progress], None],
    ) -> Progress:
        """Do what is left of `steps` after `progress`.

        Raises:
            JobError: the loss is not finite.
        """
        for number in range(progress.step, len(steps)):
            started = time.perf_counter()
            step = steps[number]
            mean_nll, mean_kl, tokens = self.gradients(step)
            loss = mean_nll + self._kl_weight * mean_kl
            if not math.isfinite(loss):
                raise JobError(
                    f"the loss became {loss} at step {number + 1} of {len(steps)}",
                    hint="lower learning.learning_rate",
                )
            self._adapter.step(step.learning_rate)
            seconds = time.perf_counter() - started
            progress = replace(
                progress,
                step=number + 1,
                seconds=progress.seconds + seconds,
                tokens=progress.tokens + tokens,
                loss=loss,
            )
            report = StepReport(
                step=number + 1,
                steps=len(steps),
                loss=loss,
                nll=mean_nll,
                kl=mean_kl,
                learning_rate=step.learning_rate,
                tokens=tokens,
                seconds=seconds,
            )
            after_step(report, progress)
        return progress

    @torch.no_grad()
    def mean_nll(self, rows: Sequence[Row]) -> float | None:
        """Nats per target token over `rows`; None without rows."""
        if not rows:
            return None
        total = 0.0
        for batch in split(rows, self._hardware.max_tokens):
            packed = pack([rows[i] for i in batch], self._hardware.dtype, self._hardware.device)
            total += nll(target_logits(self._model, packed), packed.targets).sum().item()
        return total / sum(len(row.target) for row in rows)

    def gradients(self, step: Step) -> tuple[float, float, int]:
        """Add the step's gradient to the adapter's; returns mean NLL, mean KL and tokens.

        Means are over all target tokens of the step, however it is split into micro-batches.
        """
        examples = [self._rows[index] for index in step.examples]
        replayed = [self._replay.rows[index] for index in step.replay]
        rows = examples + replayed
        taught = sum(len(row.target) for row in examples)
        kept = max(1, sum(len(row.target) for row in replayed))
        mean_nll = mean_kl = 0.0
        for batch in split(rows, self._hardware.max_tokens):
            batch.sort()  # examples first: their targets are then one slice
            packed = pack([rows[i] for i in batch], self._hardware.dtype, self._hardware.device)
            border = sum(len(rows[i].target) for i in batch if i < len(examples))
            logits = target_logits(self._model, packed)
            loss_nll = nll(logits[:border], packed.targets[:border]).sum() / taught
            loss = loss_nll
            if border < len(logits):
                teacher = self._teacher(
                    step.replay[i - len(examples)] for i in batch if i >= len(examples)
                )
                loss_kl = kl(teacher, logits[border:]).sum() / kept
                loss = loss + self._kl_weight * loss_kl
                mean_kl += loss_kl.item()
            torch.autograd.backward(loss)
            mean_nll += loss_nll.item()
        return mean_nll, mean_kl, sum(len(row.prompt) + len(row.target) for row in rows)

    def _teacher(self, replay: Iterable[int]) -> Teacher:
        chosen = [self._replay.teachers[index] for index in replay]
        ids = torch.cat([teacher.ids for teacher in chosen])
        log_probs = torch.cat([teacher.log_probs for teacher in chosen])
        return Teacher(ids.to(self._hardware.device), log_probs.to(self._hardware.device))
