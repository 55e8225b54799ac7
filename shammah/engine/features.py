"""`python -m shammah.engine.features`: what llama.cpp was built with, as one line of JSON."""

from __future__ import annotations

import json

import llama_cpp


def main() -> None:
    features = llama_cpp.llama_print_system_info().decode()
    print(
        json.dumps(
            {
                "version": llama_cpp.__version__,
                "features": " ".join(features.split()),
                "gpu": bool(llama_cpp.llama_supports_gpu_offload()),
            }
        )
    )


if __name__ == "__main__":
    main()
