"""How general text fills the inputs of the adapted layers, and coordinates that even it out.

In a language model a few directions carry most of a layer's input whatever the text is about.
Plain LoRA turns first along them, and so changes every answer. Its matrix A is therefore trained in
whitened coordinates: a step of the optimizer then moves what is particular to a lesson as far as
what is common to all text. Measured in docs/benchmarks.md. Knows no adapter and no loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from shammah.files import building
from shammah.training.model import SHARED_INPUTS

FILE = "whitening.safetensors"

#: Directions kept of one input; the rest of the space is taken as even.
DIRECTIONS = 128
#: Columns of the sketch beyond `DIRECTIONS`: what makes the kept ones accurate.
OVERSAMPLING = 64
#: Added to the second moments, whose mean is 1, so that no direction is stretched without bound.
RIDGE = 0.01

_SEED = 0
_ROUNDING = 1e-6  # relative to the largest, below which an eigenvalue is float32's noise


@dataclass(frozen=True)
class Whitening:
    """P = flat*I + U diag(gains) U', symmetric: P x has the same size on average as x, but evenly
    spread. d is the size of the input, k the number of its dominating directions."""

    directions: torch.Tensor  # U [d, k], orthonormal columns
    gains: torch.Tensor  # [k]
    flat: float

    @classmethod
    def of(cls, directions: torch.Tensor, moments: torch.Tensor, mean: float) -> Whitening:
        """From second moments [k] along `directions` [d, k] and the mean over all d directions.

        P = c (M + RIDGE*I)^(-1/2) for the moments M over their mean; c keeps the size.
        """
        size, kept = directions.shape
        spread = (moments / mean).clamp_min(0)
        rest = max((size - spread.sum().item()) / max(size - kept, 1), 0.0)
        gains, flat = (spread + RIDGE).rsqrt(), (rest + RIDGE) ** -0.5
        power = (gains.square() * spread).sum().item() + flat**2 * rest * (size - kept)
        scale = (size / power) ** 0.5
        return cls(directions, (gains - flat) * scale, flat * scale)

    def apply(self, rows: torch.Tensor) -> torch.Tensor:
        """rows P, [n, d]."""
        return self.flat * rows + ((rows @ self.directions) * self.gains) @ self.directions.T

    def invert(self, rows: torch.Tensor) -> torch.Tensor:
        """rows P^-1, [n, d]."""
        gains = 1 / (self.gains + self.flat) - 1 / self.flat
        return rows / self.flat + ((rows @ self.directions) * gains) @ self.directions.T

    def to(self, device: torch.device) -> Whitening:
        return Whitening(self.directions.to(device), self.gains.to(device), self.flat)


class _Sketch:
    """Second moments M, the sum of x x' over the inputs of a layer, as M Omega for random Omega."""

    def __init__(self, size: int, device: torch.device) -> None:
        self._kept = min(DIRECTIONS, size)
        width = min(self._kept + OVERSAMPLING, size)
        generator = torch.Generator().manual_seed(_SEED)
        gaussian = torch.randn(size, width, generator=generator)
        self._probe = torch.linalg.qr(gaussian).Q.to(device)  # [d, width]
        self._image = torch.zeros_like(self._probe)
        self._power = 0.0

    def add(self, inputs: torch.Tensor) -> None:
        """inputs [T, d]."""
        inputs = inputs.float()
        self._image += inputs.T @ (inputs @ self._probe)
        self._power += inputs.square().sum().item()

    def whitening(self) -> Whitening:
        """Nystrom's approximation of M from its sketch (Tropp et al. 2017, "Fixed-rank
        approximation of a positive-semidefinite matrix from streaming data", section 2.2)."""
        image, probe = self._image.cpu().double(), self._probe.cpu().double()  # MPS has no doubles
        core = probe.T @ image
        values, vectors = torch.linalg.eigh((core + core.T) / 2)
        sure = values > values[-1] * _ROUNDING
        root = image @ (vectors[:, sure] * values[sure].rsqrt())  # M ~ root root'
        directions, singular, _ = torch.linalg.svd(root, full_matrices=False)
        kept = slice(self._kept)
        mean = self._power / len(probe)
        return Whitening.of(
            directions[:, kept].float().contiguous(), singular[kept].square().float(), mean
        )


class Observer:
    """Watches the inputs of a model's layers while it reads general text."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._sketches: dict[str, _Sketch] = {}
        self._model = model

    @contextmanager
    def watching(self) -> Iterator[None]:
        observed = {group[0] for group in SHARED_INPUTS}
        hooks = [
            layer.register_forward_pre_hook(self._hook(name))
            for name, layer in self._model.named_modules()
            if name.rsplit(".", 1)[-1] in observed
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def whitenings(self) -> dict[str, Whitening]:
        """By the name of the observed layer."""
        return {name: sketch.whitening() for name, sketch in self._sketches.items()}

    def _hook(self, name: str) -> Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], None]:
        def see(_layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            rows = inputs[0].reshape(-1, inputs[0].shape[-1])
            if name not in self._sketches:
                self._sketches[name] = _Sketch(rows.shape[1], rows.device)
            self._sketches[name].add(rows)

        return see


def write(path: Path, whitenings: Mapping[str, Whitening], metadata: dict[str, str]) -> None:
    """Write `path` atomically; directions in half precision, exact to 0.05 % of their length."""
    tensors = {}
    for name, whitening in whitenings.items():
        tensors[f"{name}.directions"] = whitening.directions.half()
        tensors[f"{name}.gains"] = whitening.gains
        tensors[f"{name}.flat"] = torch.tensor([whitening.flat])
    with building(path) as partial:
        save_file(tensors, partial, metadata=metadata)


def load(path: Path) -> dict[str, Whitening]:
    """By the name of each linear layer, layers that share an input included."""
    tensors = load_file(path)
    found: dict[str, Whitening] = {}
    for name in (key.removesuffix(".flat") for key in tensors if key.endswith(".flat")):
        whitening = Whitening(
            tensors[f"{name}.directions"].float(),
            tensors[f"{name}.gains"],
            tensors[f"{name}.flat"].item(),
        )
        block, layer = name.rsplit(".", 1)
        [group] = [group for group in SHARED_INPUTS if group[0] == layer]
        found |= {f"{block}.{other}": whitening for other in group}
    return found
