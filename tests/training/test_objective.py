"""The loss against its definition."""

from __future__ import annotations

import torch

from shammah.training.objective import Teacher, kl


def test_kl_of_a_model_to_itself_is_zero() -> None:
    logits = torch.randn(5, 50, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(kl(Teacher.of(logits, 8), logits), torch.zeros(5), atol=1e-5, rtol=0)


def test_kl_over_nearly_all_tokens_is_the_full_kl() -> None:
    generator = torch.Generator().manual_seed(1)
    base, model = torch.randn(2, 5, 50, generator=generator)
    log_p, log_q = base.log_softmax(-1), model.log_softmax(-1)
    full = (log_p.exp() * (log_p - log_q)).sum(-1)
    torch.testing.assert_close(kl(Teacher.of(base, 49), model), full, atol=1e-4, rtol=1e-4)


def test_lumping_never_exceeds_the_full_kl() -> None:
    generator = torch.Generator().manual_seed(2)
    base, model = 3 * torch.randn(2, 40, 50, generator=generator)
    log_p, log_q = base.log_softmax(-1), model.log_softmax(-1)
    full = (log_p.exp() * (log_p - log_q)).sum(-1)
    assert (kl(Teacher.of(base, 8), model) <= full + 1e-5).all()


def test_the_gradient_is_finite_where_the_teacher_covers_everything() -> None:
    logits = torch.tensor([[60.0, 0.0, 0.0, 0.0]], requires_grad=True)
    torch.autograd.backward(kl(Teacher.of(logits.detach(), 2), logits).sum())
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
