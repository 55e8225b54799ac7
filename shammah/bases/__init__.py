"""Base models: the embedded default, import and its checks, chat template, replay prompts."""

#: In the folder of a job: what training left for whoever publishes, see `shammah.bases.sketch`.
SKETCH_FILE = "sketch.safetensors"
