"""What a step minimizes: NLL of the targets and, on replay rows, KL to the base's own distribution.

Pure functions of logits; know no model, no schedule.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Teacher:
    """The base's distribution at N positions: its k most likely tokens; the rest is one bucket."""

    ids: torch.Tensor  # [N, k]
    log_probs: torch.Tensor  # [N, k], float32

    @classmethod
    def of(cls, logits: torch.Tensor, k: int) -> Teacher:
        top = logits.log_softmax(-1).topk(k, dim=-1)
        return cls(ids=top.indices, log_probs=top.values)


def nll(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood in nats, [N]; logits [N, vocabulary]."""
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")


def are_likeliest(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Which of `targets` are the likeliest tokens, [N] of bool; logits [N, vocabulary]."""
    return logits.argmax(-1) == targets


def kl(teacher: Teacher, logits: torch.Tensor) -> torch.Tensor:
    """KL(teacher || model) in nats, [N], over the teacher's k tokens and one bucket for the rest.

    Lumping outcomes together never increases a KL divergence (the log-sum inequality), so this is
    a lower bound of the full one, tight as far as the k tokens cover the teacher's mass.
    """
    log_q = logits.gather(1, teacher.ids) - logits.logsumexp(-1, keepdim=True)
    log_p = teacher.log_probs
    p_rest, q_rest = _rest(log_p), _rest(log_q)
    return (log_p.exp() * (log_p - log_q)).sum(-1) + p_rest * (p_rest.log() - q_rest.log())


def _rest(log_probs: torch.Tensor) -> torch.Tensor:
    """Probability outside the given tokens; kept above 0, where its logarithm has a gradient."""
    return (1 - log_probs.exp().sum(-1)).clamp_min(1e-6)
