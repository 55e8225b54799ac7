"""`python -m shammah.training.features`: where and how lessons compute, as one line of JSON."""

from __future__ import annotations

import json

import torch

from shammah.training.model import Hardware


def main() -> None:
    found = Hardware.detect()
    print(
        json.dumps(
            {
                "version": torch.__version__,
                "device": found.device.type,
                "precision": str(found.dtype).removeprefix("torch."),
            }
        )
    )


if __name__ == "__main__":
    main()
