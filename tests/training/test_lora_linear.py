"""The fused layer beside PEFT's own: the same output, the same gradients."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model

from shammah.training.lora_linear import fuse


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("inputs_need_gradient", [True, False])
def test_output_and_gradients_are_those_of_peft(bias: bool, inputs_need_gradient: bool) -> None:
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=12, target_modules=["0"])
    model = inject_adapter_in_model(config, torch.nn.Sequential(torch.nn.Linear(10, 7, bias=bias)))
    model.double()  # so that only a wrong formula differs, not a rounding
    tensors = dict(model.named_parameters())
    a, b = (tensors[f"0.lora_{side}.default.weight"] for side in "AB")
    for name, tensor in tensors.items():
        tensor.requires_grad_("lora_" in name)
        tensor.data.normal_()
    inputs = torch.randn(2, 5, 10, dtype=torch.float64, requires_grad=inputs_need_gradient)

    def gradients() -> list[torch.Tensor | None]:
        a.grad, b.grad, inputs.grad = torch.ones_like(a), torch.ones_like(b), None
        output = model(inputs)
        output.square().sum().backward()
        return [output.detach(), a.grad, b.grad, inputs.grad]

    expected = gradients()
    fuse(model)
    found = gradients()
    assert (found[3] is None) == (not inputs_need_gradient)
    for one, other in zip(found, expected, strict=True):
        if other is not None:
            torch.testing.assert_close(one, other)
