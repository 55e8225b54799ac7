"""Chat messages to the text that a model reads: the ONE renderer for serving, training, judging.

Runs the GGUF's own jinja2 template, in the sandbox of `rendering`. Knows no tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence

from shammah.bases.rendering import renderer
from shammah.errors import BaseModelError
from shammah.records import Base, Message


class ChatTemplate:
    """A chat template that can be compiled.

    Raises:
        BaseModelError: no template, or one that jinja2 cannot compile.
    """

    def __init__(self, source: str, bos_token: str, eos_token: str) -> None:
        if not source.strip():
            raise BaseModelError(
                "the model has no chat template",
                hint="use an instruction-tuned GGUF that carries tokenizer.chat_template",
            )
        self._source = source
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        self._eos = eos_token
        renderer().render(source, None)

    @classmethod
    def of(cls, base: Base) -> ChatTemplate:
        return cls(base.template, base.bos_token, base.eos_token)

    def render(self, messages: Sequence[Message], *, ask: bool = True) -> str:
        """The conversation as text; `ask` ends it with the beginning of the model's turn."""
        variables = {"messages": list(messages), "add_generation_prompt": ask, **self._tokens}
        return renderer().render(self._source, variables)

    def render_with_target(self, messages: Sequence[Message], target: str) -> tuple[str, str]:
        """(prompt, completion): the completion is the target as the template closes it.

        Templates that rewrite earlier turns when an answer follows (some reasoning models) do not
        render the prompt as a beginning of the whole; there the target is closed with EOS.
        """
        prompt = self.render(messages)
        whole = self.render([*messages, Message(role="assistant", content=target)], ask=False)
        if whole.startswith(prompt):
            return prompt, whole[len(prompt) :]
        return prompt, target + self._eos
