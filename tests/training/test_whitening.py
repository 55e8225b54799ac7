"""Whitening against the exact second moments, on inputs with a few dominating directions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from shammah.training import whitening
from shammah.training.model import Hardware, load
from shammah.training.packing import pack
from shammah.training.whitening import DIRECTIONS, Observer, Whitening, _Sketch
from tests.training.toys import make_rows

SIZE = 400


@pytest.fixture
def inputs() -> torch.Tensor:
    """[2000, SIZE], ten directions a thousand times as strong as the rest."""
    generator = torch.Generator().manual_seed(0)
    strength = torch.ones(SIZE)
    strength[:10] = 1000.0**0.5
    turned: torch.Tensor = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=generator)).Q
    return torch.randn(2000, SIZE, generator=generator) * strength @ turned


def whitening_of(inputs: torch.Tensor) -> Whitening:
    sketch = _Sketch(inputs.shape[1], inputs.device)
    for part in torch.split(inputs, 300):
        sketch.add(part)
    return sketch.whitening()


def test_whitened_inputs_are_even_and_as_large_as_before(inputs: torch.Tensor) -> None:
    whitened = whitening_of(inputs).apply(inputs)
    before, after = (torch.linalg.eigvalsh(x.T @ x) for x in (inputs, whitened))
    assert after[-1] / after.mean() < 4 < 10 < before[-1] / before.mean()
    assert whitened.norm() == pytest.approx(inputs.norm().item(), rel=0.03)


def test_the_sketch_finds_the_dominating_directions(inputs: torch.Tensor) -> None:
    found = whitening_of(inputs).directions
    assert found.shape == (SIZE, DIRECTIONS)
    exact = torch.linalg.eigh(inputs.T @ inputs).eigenvectors[:, -10:]
    assert (found.T @ exact).norm(dim=0).min() > 0.999


def test_invert_undoes_apply(inputs: torch.Tensor) -> None:
    found = whitening_of(inputs)
    torch.testing.assert_close(found.invert(found.apply(inputs)), inputs, rtol=1e-2, atol=1e-2)


def test_apply_is_symmetric(inputs: torch.Tensor) -> None:
    matrix = whitening_of(inputs).apply(torch.eye(SIZE))
    torch.testing.assert_close(matrix, matrix.T, rtol=0, atol=1e-5)


def test_a_layer_that_sees_one_direction_only_gives_finite_coordinates() -> None:
    found = whitening_of(torch.ones(50, SIZE))
    assert torch.isfinite(found.apply(torch.eye(SIZE))).all()


def test_every_linear_layer_has_its_own_inputs_whitening(
    base_dir: Path, hardware: Hardware, tmp_path: Path
) -> None:
    model = load(base_dir / "train", hardware)
    observer = Observer(model)
    with observer.watching(), torch.no_grad():
        model.model(pack([[row] for row in make_rows(4, 1)], hardware.dtype, hardware.device).ids)
    whitening.write(tmp_path / "w.safetensors", observer.whitenings(), {"made": "here"})
    loaded = whitening.load(tmp_path / "w.safetensors")
    layers = {
        name: layer for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)
    }
    del layers["lm_head"]
    assert set(loaded) == set(layers)
    for name, layer in layers.items():
        assert len(loaded[name].directions) == layer.in_features
