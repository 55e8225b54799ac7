"""Making servable files: merge an adapter into a base GGUF, quantize, write a GGUF adapter."""

#: The two forms of an adapter in the folder of a job and of a version: PEFT, and GGUF.
ADAPTER_FOLDER = "adapter"
ADAPTER_FILE = "adapter.gguf"

#: A model in an exported folder.
MODEL_FILE = "model.gguf"

#: Rank and alpha, in the PEFT folder.
ADAPTER_CONFIG = "adapter_config.json"

#: The tensors in a PEFT folder.
TENSORS_FILE = "adapter_model.safetensors"
