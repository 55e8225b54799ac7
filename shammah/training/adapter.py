"""The LoRA adapter: bf16 tensors inside the model, fp32 masters under AdamW, a PEFT folder on disk.

Knows no data and no schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from shammah.errors import JobError, NotFinite
from shammah.training.lora_linear import adapted, fuse, matrices
from shammah.training.model import linear_layers
from shammah.training.spec import Recipe
from shammah.training.whitening import Whitening

WEIGHTS = "adapter_model.safetensors"
_MAX_GRADIENT_NORM = 1.0

#: Of Adam's moments. With a first one of 0.9, what a step learned of its replay rows goes on to be
#: added in the ten steps after it, which do not see them (docs/learning.md).
_BETAS = (0.5, 0.999)


class Adapter:
    """LoRA on every linear layer of `model`'s blocks (QLoRA, arXiv:2305.14314, section 4), trained
    through one flat fp32 master copy.

    All adapter tensors are views of one buffer, and so are their gradients: the optimizer's step
    is then a few operations over one tensor instead of hundreds of small ones. The matrices A of
    layers that read the same input lie one above the other, all A before all B. The masters of each
    A are its whitened coordinates: A = masters P.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        recipe: Recipe,
        base_name: str,
        whitenings: Mapping[str, Whitening],
    ) -> None:
        torch.manual_seed(recipe.seed)
        config = LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            target_modules=linear_layers(model),
            task_type="CAUSAL_LM",
        )
        self._peft = get_peft_model(model, config, autocast_adapter_dtype=False)
        config.base_model_name_or_path = base_name  # peft sets a path, which moves with the home
        groups = adapted(self._peft)
        layers = [layer for group in groups for layer in group.values()]
        tensors = [matrices(layer)[0] for layer in layers]
        tensors += [matrices(layer)[1] for layer in layers]
        flat = torch.cat([tensor.data.flatten().float() for tensor in tensors])
        self.masters = torch.nn.Parameter(flat)
        self._values = flat.to(tensors[0].dtype)
        self._gradients = torch.zeros_like(self._values)
        offset = 0
        for tensor in tensors:
            span = slice(offset, offset + tensor.numel())
            tensor.data = self._values[span].view_as(tensor)
            tensor.grad = self._gradients[span].view_as(tensor)
            offset = span.stop
        self._whitened: list[tuple[slice, Whitening]] = []
        offset = 0
        for group in groups:
            first = next(iter(group)).removeprefix("base_model.model.")
            whitening = whitenings[first].to(flat.device)
            size = sum(matrices(layer)[0].numel() for layer in group.values())
            span = slice(offset, offset + size)
            self._whitened.append((span, whitening))
            fuse(
                list(group.values()),
                _rows(self._values[span], whitening),
                _rows(self._gradients[span], whitening),
            )
            offset = span.stop
        self._publish_masters()
        self.optimizer = torch.optim.AdamW(
            [self.masters], betas=_BETAS, weight_decay=0.0, fused=True
        )

    def gradient(self) -> torch.Tensor:
        """What was collected since the last step, flat, in float32, by the masters."""
        gradient = self._gradients.float()
        for span, whitening in self._whitened:
            rows = _rows(gradient[span], whitening)
            rows.copy_(whitening.apply(rows))  # P is symmetric
        return gradient

    def step(self, learning_rate: float) -> float:
        """One AdamW step on the collected gradient; returns its norm before it was clipped.

        Raises:
            NotFinite: the gradient is no number; the masters are as they were.
        """
        gradient = self.gradient()
        norm = gradient.norm()
        if not torch.isfinite(norm):
            raise NotFinite(
                f"the gradient's norm became {norm.item()}", hint="lower learning.learning_rate"
            )
        gradient *= (_MAX_GRADIENT_NORM / norm.clamp_min(1e-12)).clamp_max(1.0)
        self.masters.grad = gradient
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.step()
        self._publish_masters()
        self._gradients.zero_()
        return float(norm)

    def state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint keeps: masters and both moments."""
        moments = self.optimizer.state[self.masters]
        return {
            "masters": self.masters.data,
            "exp_avg": moments["exp_avg"],
            "exp_avg_sq": moments["exp_avg_sq"],
            "step": moments["step"].reshape(1),
        }

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        device = self.masters.device
        self.masters.data.copy_(state["masters"])
        self.optimizer.state[self.masters] = {
            "step": state["step"][0].to(device),
            "exp_avg": state["exp_avg"].to(device),
            "exp_avg_sq": state["exp_avg_sq"].to(device),
        }
        self._publish_masters()

    def start_from(self, folder: Path) -> None:
        """Go on from an adapter that was trained before.

        Raises:
            JobError: it is not an adapter of this base with this rank.
        """
        try:
            result = set_peft_model_state_dict(self._peft, load_file(folder / WEIGHTS))
        except (OSError, RuntimeError) as error:
            raise JobError(
                f"cannot start from the adapter in {folder}: {error}",
                hint="train with mode 'consolidate', which starts from the base",
            ) from error
        if result.unexpected_keys:
            raise JobError(f"the adapter in {folder} has a tensor {result.unexpected_keys[0]}")
        self.masters.data.copy_(self._values)
        for span, whitening in self._whitened:
            rows = _rows(self.masters.data[span], whitening)
            rows.copy_(whitening.invert(rows))

    def save(self, folder: Path) -> None:
        """A PEFT folder, loadable by PeftModel.from_pretrained."""
        folder.mkdir()
        config = self._peft.peft_config["default"]
        config.inference_mode = True
        config.save_pretrained(str(folder))
        # False: embeddings are never trained; "auto" would look the base up on the Hub
        tensors = get_peft_model_state_dict(self._peft, save_embedding_layers=False)
        save_file(
            {name: tensor.detach().contiguous() for name, tensor in sorted(tensors.items())},
            folder / WEIGHTS,
            metadata={"format": "pt"},
        )

    def _publish_masters(self) -> None:
        self._values.copy_(self.masters.data)
        for span, whitening in self._whitened:
            rows = _rows(self.masters.data[span], whitening)
            self._values[span].copy_(whitening.apply(rows).flatten())


def _rows(flat: torch.Tensor, whitening: Whitening) -> torch.Tensor:
    """Matrices A, one above the other [n * rank, d], as a view of their place in a flat tensor."""
    return flat.view(-1, len(whitening.directions))
