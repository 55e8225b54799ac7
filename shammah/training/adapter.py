"""The LoRA adapter: bf16 tensors inside the model, fp32 masters under the optimizer, a PEFT folder
on disk. Knows no data and no schedule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TypeGuard

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear, LoraLayer
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from shammah.bases.sketch import Sketch
from shammah.errors import JobError, NotFinite
from shammah.training import optimizers, sharding
from shammah.training.lora_linear import adapted, fuse, magnitude, matrices
from shammah.training.magnitudes import Lengths
from shammah.training.model import linear_layers
from shammah.training.spec import Recipe
from shammah.training.whitening import Whitening
from shammah.training.world import ALONE, World

WEIGHTS = "adapter_model.safetensors"

_MASTERS = "masters"

#: Before the names that layers have in transformers, in PEFT's model.
_PREFIX = "base_model.model."

#: Directions from the left in a sketch of a layer.
_LEFT = 16


class Adapter:
    """LoRA on linear layers of `model`, trained through one flat fp32 master copy.

    All adapter tensors are views of one buffer, and so are their gradients: the optimizer's step
    is then a few operations over one tensor instead of hundreds of small ones. The matrices A of
    layers that read the same input lie one above the other, all A before all B. The masters of each
    A are its whitened coordinates, where the recipe whitens: A = masters P.

    Layers are computed together (`lora_linear.fuse`), except where the recipe has dropout or DoRA
    or the base is kept in 4 bits or divided among processes: PEFT's own layers compute those.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        recipe: Recipe,
        base_name: str,
        whitenings: Mapping[str, Whitening],
        world: World = ALONE,
    ) -> None:
        """Raises JobError: the base has no such layer, or the recipe's parts do not fit."""
        self._world = world
        torch.manual_seed(recipe.seed)
        self._peft = get_peft_model(model, _config(model, recipe), autocast_adapter_dtype=False)
        # peft sets a path, which moves with the home
        self._peft.peft_config["default"].base_model_name_or_path = base_name
        groups = adapted(self._peft)
        self._layers = {name: layer for group in groups for name, layer in group.items()}
        layers = list(self._layers.values())
        tensors = [matrices(layer)[0] for layer in layers]
        tensors += [matrices(layer)[1] for layer in layers]
        tensors += [found for layer in layers if (found := magnitude(layer)) is not None]
        self._lengths = Lengths(self._layers)
        self._dropping = layers if recipe.dropout else []
        self._max_gradient_norm = recipe.max_grad_norm
        shapes = [tensor.shape for tensor in tensors]
        flat = torch.cat([tensor.data.flatten().float() for tensor in tensors])
        self.masters = torch.nn.Parameter(flat)
        self._values = flat.to(tensors[0].dtype, copy=True)
        self._gradients = torch.zeros_like(self._values)
        sizes = [shape.numel() for shape in shapes]
        for tensor, value, gradient in zip(
            tensors,
            torch.split(self._values, sizes),
            torch.split(self._gradients, sizes),
            strict=True,
        ):
            tensor.data = value.view_as(tensor)
            tensor.grad = gradient.view_as(tensor)
        self._whitened: list[tuple[slice, Whitening]] = []
        self._join(groups, whitenings, recipe)
        self._publish_masters()
        self.optimizer = optimizers.make(recipe, self.masters, shapes)

    def _join(
        self,
        groups: Sequence[Mapping[str, LoraLayer]],
        whitenings: Mapping[str, Whitening],
        recipe: Recipe,
    ) -> None:
        """Whiten the A of each group, and compute its layers together."""
        offset = 0
        for group in groups:
            layers = list(group.values())
            size = sum(matrices(layer)[0].numel() for layer in layers)
            span = slice(offset, offset + size)
            offset = span.stop
            if recipe.whiten:
                first = next(iter(group)).removeprefix(_PREFIX)
                self._whitened.append((span, whitenings[first].to(self.masters.device)))
            dense = [layer for layer in layers if _is_whole(layer)]
            if len(dense) == len(layers) and not (recipe.dropout or recipe.use_dora):
                width = layers[0].in_features
                values, gradients = self._values[span], self._gradients[span]
                fuse(dense, values.view(-1, width), gradients.view(-1, width))

    @contextmanager
    def dropping(self, seed: int) -> Iterator[None]:
        """Layers leave a part of their inputs out, the same part for the same seed; only where the
        recipe has dropout."""
        if not self._dropping:
            yield
            return
        torch.manual_seed(seed)
        self._drop(True)
        try:
            yield
        finally:
            self._drop(False)

    def _drop(self, is_on: bool) -> None:
        for layer in self._dropping:
            layer.training = is_on  # not of what is below it: see `model.load`
            layer.lora_dropout.train(is_on)

    def gradient(self) -> torch.Tensor:
        """What all processes collected since the last step, flat, in float32, by the masters."""
        gradient = self._gradients.to(torch.float32, copy=True)
        self._world.add_up(gradient)
        for span, whitening in self._whitened:
            rows = _rows(gradient[span], whitening)
            rows.copy_(whitening.apply(rows))  # P is symmetric
        return gradient

    def step(self, learning_rate: float) -> float:
        """One step of the optimizer on the collected gradient; returns its norm before it was
        clipped.

        Raises:
            NotFinite: the gradient is no number; the masters are as they were.
        """
        gradient = self.gradient()
        norm = gradient.norm()
        if not torch.isfinite(norm):
            raise NotFinite(
                f"the gradient's norm became {norm.item()}", hint="lower training.learning_rate"
            )
        if self._max_gradient_norm:
            gradient *= (self._max_gradient_norm / norm.clamp_min(1e-12)).clamp_max(1.0)
        parameters = self._parameters()
        parts = torch.split(gradient, [parameter.numel() for parameter in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self._publish_masters()
        self.discard()
        return float(norm)

    def discard(self) -> None:
        """Forget the collected gradient."""
        self._gradients.zero_()

    def state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint keeps: masters and the optimizer's state."""
        return {_MASTERS: self.masters.data} | optimizers.state_tensors(self.optimizer)

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self.masters.data.copy_(state[_MASTERS])
        optimizers.restore(self.optimizer, state)
        self._publish_masters()

    def start_from(self, folder: Path) -> None:
        """Go on from an adapter that was trained before.

        Raises:
            JobError: it is not an adapter of this base with this shape.
        """
        try:
            tensors = self._lengths.to_model(load_file(folder / WEIGHTS))
            result = set_peft_model_state_dict(self._peft, tensors)
        except (OSError, RuntimeError, KeyError) as error:
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
        tensors = self._lengths.to_file(tensors)
        save_file(
            {name: tensor.detach().contiguous() for name, tensor in sorted(tensors.items())},
            folder / WEIGHTS,
            metadata={"format": "pt"},
        )

    @torch.no_grad()
    def sketches(self) -> dict[str, Sketch]:
        """What the layers add to the base, as they compute it, by their names in transformers.

        Called by all processes that share a base.
        """
        random = torch.Generator().manual_seed(0)
        found = {}
        for block, names in groupby(self._layers, partial(sharding.enclosing, self._peft)):
            with sharding.gathered(block):
                for name in names:
                    sketched = _sketch(self._layers[name], random)
                    found[name.removeprefix(_PREFIX)] = sketched
        return found

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [one for group in self.optimizer.param_groups for one in group["params"]]

    def _publish_masters(self) -> None:
        self._values.copy_(self.masters.data)
        for span, whitening in self._whitened:
            rows = _rows(self.masters.data[span], whitening)
            self._values[span].copy_(whitening.apply(rows).flatten())


def _config(model: PreTrainedModel, recipe: Recipe) -> LoraConfig:
    """PEFT's, of the recipe."""
    linear = linear_layers(model)
    if unknown := sorted(set(recipe.target_modules) - set(linear)):
        raise JobError(
            f"the base has no linear layers called {', '.join(unknown)}",
            hint="training.target_modules may name " + ", ".join(linear),
        )
    if recipe.use_dora and getattr(model, "is_loaded_in_4bit", False):
        raise JobError(
            "training.use_dora needs the base in 16 bits, for which memory is too small",
            hint="'shammah config set training.use_dora false', or use a smaller base",
        )
    if recipe.use_dora and sharding.is_sharded(model):
        raise JobError(
            "training.use_dora needs the base whole, and training.fsdp divides it",
            hint="'shammah config set training.use_dora false', or training.fsdp",
        )
    if recipe.init_lora_weights == "orthogonal" and recipe.rank % 2:
        raise JobError(
            f"training.init_lora_weights = 'orthogonal' needs an even rank, not {recipe.rank}",
            hint="'shammah config set training.rank 32'",
        )
    return LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=recipe.target_modules or linear,
        use_rslora=recipe.use_rslora,
        use_dora=recipe.use_dora,
        init_lora_weights=(
            True if recipe.init_lora_weights == "default" else recipe.init_lora_weights
        ),
        task_type="CAUSAL_LM",
    )


def _sketch(layer: LoraLayer, random: torch.Generator) -> Sketch:
    a, _b = matrices(layer)
    left = torch.randint(2, (_LEFT, layer.in_features), generator=random) * 2 - 1
    left = left.to(a)
    right = a.sign()  # what reads the input as A does
    base = layer.get_base_layer()
    bias = 0 if base.bias is None else base.bias
    rows, added = base(left) - bias, layer(right) - base(right)
    return Sketch(
        left.to("cpu", torch.int8).numpy(),
        right.to("cpu", torch.int8).numpy(),
        (rows.float() @ added.float().T).cpu().numpy(),
    )


def _is_whole(layer: LoraLayer) -> TypeGuard[Linear]:
    """Whether the weights of its base are here as they are multiplied."""
    return isinstance(layer, Linear) and not sharding.is_sharded(layer.get_base_layer())


def _rows(flat: torch.Tensor, whitening: Whitening) -> torch.Tensor:
    """Matrices A, one above the other [n * rank, d], as a view of their place in a flat tensor."""
    return flat.view(-1, len(whitening.directions))
