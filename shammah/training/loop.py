"""The training loop: steps of packed rows, checkpoints, progress; knows no file format."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from transformers import PreTrainedModel

from shammah.errors import NotFinite
from shammah.training.adapter import Adapter
from shammah.training.checkpoints import Progress
from shammah.training.model import Hardware, target_logits
from shammah.training.objective import Teacher, are_likeliest, kl, nll
from shammah.training.packing import Conversation, Pack, pack, share, size, split
from shammah.training.schedule import Step, Turn
from shammah.training.spec import Adjustments, Recipe, Row
from shammah.training.teacher import Replay
from shammah.training.validation import VALIDATE_STEPS, goes_wrong
from shammah.training.world import ALONE, World


@dataclass(frozen=True)
class StepReport:
    """What one step did."""

    step: int  # counted from 1
    steps: int
    loss: float  # NLL + KL at its weight at the peak, nats a token: so that steps compare
    nll: float
    kl: float
    learning_rate: float
    gradient_norm: float  # before it was clipped
    tokens: int  # of the rows themselves, however they were packed
    seconds: float
    token_accuracy: float  # share of the taught tokens that were the likeliest
    skipped: bool = False  # the loss jumped: nothing was changed
    held_out_nll: float | None = None  # nats a token; None where it was not measured after it
    held_out_accuracy: float | None = None


@dataclass(frozen=True)
class StepMeans:
    """Of one step, over all its target tokens, however it is split into micro-batches."""

    nll: float
    kl: float
    accuracy: float
    tokens: int  # of the rows


#: Steps whose losses tell whether the next one jumps; as many at least are needed to tell.
RECENT_STEPS, LEAST_RECENT = 20, 5

#: Between the seeds of two lessons' dropout: more than a lesson has steps.
_SEEDS = 1_000_003

#: Between those of two processes of one lesson.
_RANKS = 1 << 40

#: Steps in a row whose loss jumped, after which training does not go on.
JUMPS = 3


class Trainer:
    """Model, adapter and rows of one job."""

    def __init__(
        self,
        model: PreTrainedModel,
        adapter: Adapter,
        hardware: Hardware,
        rows: Sequence[Row],
        replay: Replay,
        recipe: Recipe,
        adjustments: Adjustments | None = None,
        world: World = ALONE,
    ) -> None:
        self._model = model
        self._adapter = adapter
        self._hardware = hardware
        self._rows = rows
        self._held_out = [row for row in rows if row.held_out]
        self._replay = replay
        self._kl_weight = recipe.kl_weight
        self._patience = recipe.patience
        adjustments = adjustments or Adjustments()
        self._divided = adjustments.divided * recipe.gradient_accumulation_steps
        self._rate = adjustments.rate
        self._max_loss_jump = recipe.max_loss_jump
        self._ignorance = math.log(model.config.vocab_size)
        self._seed = recipe.seed * _SEEDS + world.rank * _RANKS
        self._world = world

    def run(
        self,
        steps: Sequence[Step],
        progress: Progress,
        after_step: Callable[[StepReport, Progress], None],
    ) -> Progress:
        """Do what is left of `steps` after `progress`, until the held-out rows get worse.

        Raises:
            NotFinite: a loss or a gradient is no number any more, or the loss jumps again and
                again.
        """
        jumps = 0
        for number in range(progress.step, len(steps)):
            if progress.ended_early:
                break
            started = time.perf_counter()
            step = steps[number]
            with self._adapter.dropping(self._seed + number):
                means = self.gradients(step)
            loss = means.nll + self._kl_weight * means.kl
            _require_finite(loss, f"the loss became {loss} at step {number + 1} of {len(steps)}")
            learning_rate = self._rate * step.learning_rate
            jumped = jumps_from(progress.recent_losses, loss, self._max_loss_jump, self._ignorance)
            jumps = jumps + 1 if jumped else 0
            if jumps == JUMPS:
                raise NotFinite(
                    f"the loss jumped to {loss:.2f} nats at step {number + 1} of {len(steps)}, "
                    f"the {JUMPS}rd time in a row",
                    hint="lower training.learning_rate",
                )
            if jumped:
                self._adapter.discard()
            gradient_norm = 0.0 if jumped else self._adapter.step(learning_rate)
            seconds = time.perf_counter() - started
            recent = progress.recent_losses if jumped else [*progress.recent_losses, loss]
            progress = replace(
                progress,
                step=number + 1,
                seconds=progress.seconds + seconds,
                tokens=progress.tokens + means.tokens,
                loss=loss,
                recent_losses=list(recent)[-RECENT_STEPS:],
                skipped_steps=progress.skipped_steps + jumped,
            )
            measured = len(progress.held_out_nll)
            is_last = progress.step == len(steps)
            if progress.step % VALIDATE_STEPS == 0 or is_last:
                progress = self._validated(progress, is_last=is_last)
            is_new = len(progress.held_out_nll) > measured
            report = StepReport(
                step=number + 1,
                steps=len(steps),
                loss=loss,
                nll=means.nll,
                kl=means.kl,
                learning_rate=learning_rate,
                gradient_norm=gradient_norm,
                tokens=means.tokens,
                seconds=seconds,
                token_accuracy=means.accuracy,
                skipped=jumped,
                held_out_nll=progress.held_out_nll[-1] if is_new else None,
                held_out_accuracy=progress.held_out_accuracy[-1] if is_new else None,
            )
            after_step(report, progress)
        return progress

    def _validated(self, progress: Progress, *, is_last: bool) -> Progress:
        found = self.held_out()
        if found is None:
            return progress
        nll, accuracy = found
        _require_finite(nll, f"the held-out loss became {nll} after step {progress.step}")
        measured = [*progress.held_out_nll, nll]
        early = not is_last and goes_wrong(measured, self._patience)
        return replace(
            progress,
            held_out_nll=measured,
            held_out_accuracy=[*progress.held_out_accuracy, accuracy],
            ended_early=early,
        )

    @torch.no_grad()
    def held_out(self) -> tuple[float, float] | None:
        """Nats per target token over the held-out rows, each asked alone, and the share of those
        tokens that were the likeliest; None without any."""
        if not self._held_out:
            return None
        total, right = 0.0, 0.0
        alone = [[row] for row in self._held_out]
        alone = [alone[i] for i in self._mine(alone)]
        batches = split(alone, self._hardware.max_tokens, self._divided)
        missing = self._missing(batches)
        for batch in batches:
            packed = self._packed([alone[i] for i in batch])
            logits = target_logits(self._model, packed)
            total += nll(logits, packed.targets).sum().item()
            right += int(are_likeliest(logits, packed.targets).sum())
        for _ in range(missing):
            self._idle_logits()
        total, right = self._world.totals(total, right)
        tokens = sum(len(row.target) for row in self._held_out)
        return total / tokens, right / tokens

    def gradients(self, step: Step) -> StepMeans:
        """Add this process's part of the step's gradient to the adapter's; the means are of the
        whole step."""
        whole = [[self._row(turn) for turn in turns] for turns in step.conversations]
        turns = [turn for turns in step.conversations for turn in turns]
        taught = max(1, self._target_tokens(turns, replay=False))
        replayed = max(1, self._target_tokens(turns, replay=True))
        mean_nll, mean_kl, right = 0.0, 0.0, 0.0
        mine = self._mine(whole)
        conversations = [whole[i] for i in mine]
        batches = split(conversations, self._hardware.max_tokens, self._divided)
        missing = self._missing(batches)
        for batch in batches:
            packed = self._packed([conversations[i] for i in batch])
            turns = [turn for i in batch for turn in step.conversations[mine[i]]]
            is_replay = torch.tensor(
                [turn.is_replay for turn in turns for _token in self._row(turn).target],
                device=self._hardware.device,
            )
            logits = target_logits(self._model, packed)
            # Of all positions: to pick some of the logits would copy them, and their gradient.
            loss_nll = nll(logits, packed.targets)[~is_replay].sum() / taught
            right += int(are_likeliest(logits, packed.targets)[~is_replay].sum())
            loss = loss_nll
            if is_replay.any():
                teacher = self._teacher(turn.row for turn in turns if turn.is_replay)
                loss_kl = kl(teacher, logits[is_replay]).sum() / replayed
                loss = loss + step.kl_weight * loss_kl
                mean_kl += loss_kl.item()
            torch.autograd.backward(loss)
            mean_nll += loss_nll.item()
        for _ in range(missing):
            torch.autograd.backward(0 * self._idle_logits().sum())
        mean_nll, mean_kl, right = self._world.totals(mean_nll, mean_kl, right)
        return StepMeans(mean_nll, mean_kl, right / taught, sum(map(size, whole)))

    def _missing(self, batches: Sequence[list[int]]) -> int:
        """How many passes another process makes beyond these. Where the base is divided among
        them, it is gathered in every pass of each, so that all must make as many. To be asked
        before the first one: after it the others wait for the base, and do not answer."""
        return self._world.most(len(batches)) - len(batches) if self._hardware.sharded else 0

    def _idle_logits(self) -> torch.Tensor:
        """Of a pass that teaches and measures nothing."""
        shortest = min(([row] for row in self._rows), key=size)
        return target_logits(self._model, self._packed([shortest]))

    def _packed(self, conversations: Sequence[Conversation]) -> Pack:
        return pack(conversations, self._hardware.dtype, self._hardware.device)

    def _mine(self, conversations: Sequence[Conversation]) -> list[int]:
        """Which of them this process computes."""
        return share(conversations, self._world.size)[self._world.rank]

    def _row(self, turn: Turn) -> Row:
        return (self._replay.rows if turn.is_replay else self._rows)[turn.row]

    def _target_tokens(self, turns: Iterable[Turn], *, replay: bool) -> int:
        return sum(len(self._row(turn).target) for turn in turns if turn.is_replay == replay)

    def _teacher(self, replay: Iterable[int]) -> Teacher:
        chosen = [self._replay.teachers[index] for index in replay]
        ids = torch.cat([teacher.ids for teacher in chosen])
        log_probs = torch.cat([teacher.log_probs for teacher in chosen])
        return Teacher(ids.to(self._hardware.device), log_probs.to(self._hardware.device))


def jumps_from(recent: Sequence[float], loss: float, times: float, ignorance: float) -> bool:
    """Whether a loss is more than so many times the highest of the recent ones; never with 0.

    Args:
        ignorance: the loss of a model that holds every token for as likely, in nats. What is below
            it may be an example that is new among known ones, and is no jump.
    """
    if times == 0 or len(recent) < LEAST_RECENT:
        return False
    return loss > max(times * max(recent), ignorance)


def _require_finite(nats: float, what: str) -> None:
    if not math.isfinite(nats):
        raise NotFinite(what, hint="lower training.learning_rate")
