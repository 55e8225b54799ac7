"""The fused layers beside PEFT's own: the same outputs, the same gradients."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model

from shammah.training.lora_linear import adapted, fuse, matrices


class _Block(torch.nn.Module):
    """Two layers that read the same input, and one after them."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.gate_proj = torch.nn.Linear(10, 7, bias=bias)
        self.up_proj = torch.nn.Linear(10, 7, bias=bias)
        self.down_proj = torch.nn.Linear(7, 10, bias=bias)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.down_proj(self.gate_proj(inputs) * self.up_proj(inputs))
        return found


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("inputs_need_gradient", [True, False])
def test_outputs_and_gradients_are_those_of_peft(bias: bool, inputs_need_gradient: bool) -> None:
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=12, target_modules=["gate_proj", "up_proj", "down_proj"])
    blocks = torch.nn.ModuleList([_Block(bias), _Block(bias)])
    model = get_peft_model(torch.nn.Sequential(*blocks), config)
    model.double()  # so that only a wrong formula differs, not a rounding
    for name, tensor in model.named_parameters():
        tensor.requires_grad_("lora_" in name)
        tensor.data.normal_()
    groups = [list(group.values()) for group in adapted(model)]
    assert [len(group) for group in groups] == [2, 1, 2, 1]
    inputs = torch.randn(2, 5, 10, dtype=torch.float64, requires_grad=inputs_need_gradient)

    def calculated() -> list[torch.Tensor]:
        output = model(inputs)
        output.square().sum().backward()
        given = [] if inputs.grad is None else [inputs.grad.clone()]
        return [output.detach(), *given]

    expected = calculated()
    expected_a = [torch.cat([_gradient(matrices(x)[0]) for x in group]) for group in groups]
    expected_b = [_gradient(matrices(x)[1]) for group in groups for x in group]
    collected = []
    for group in groups:
        a = torch.cat([matrices(layer)[0].data for layer in group])
        collected.append(torch.ones_like(a))
        for layer in group:
            matrices(layer)[1].grad = torch.ones_like(matrices(layer)[1])
        fuse(group, a, collected[-1])
    inputs.grad = None
    found = calculated()
    found_b = [_gradient(matrices(x)[1]) - 1 for group in groups for x in group]
    assert len(found) == 1 + inputs_need_gradient
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close([gradient - 1 for gradient in collected], expected_a)
    torch.testing.assert_close(found_b, expected_b)


def test_the_layers_keep_their_weights() -> None:
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["gate_proj", "up_proj"])
    model = get_peft_model(torch.nn.Sequential(_Block(False)), config)
    [group] = adapted(model)
    before = [layer.base_layer.weight.clone() for layer in group.values()]
    a = torch.cat([matrices(layer)[0].data for layer in group.values()])
    fuse(list(group.values()), a, torch.zeros_like(a))
    for layer, weight in zip(group.values(), before, strict=True):
        assert torch.equal(layer.base_layer.weight, weight)


def _gradient(tensor: torch.Tensor) -> torch.Tensor:
    assert tensor.grad is not None
    return tensor.grad.clone()
