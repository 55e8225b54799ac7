"""Base models: the embedded default, import and its checks, chat template, replay prompts."""
