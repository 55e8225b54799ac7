"""The Hugging Face hub: which file a reference means, fetching it, and pushing adapters.

`reference` is pure and everybody may import it. The other modules import huggingface_hub and run in
a child process only: `python -m shammah.hub resolve|download|push`. Knows no base and no version.
"""
