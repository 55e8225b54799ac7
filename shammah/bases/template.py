"""Chat messages to the text that a model reads: the ONE renderer for serving, training, judging.

Runs the GGUF's own jinja2 template in a sandbox. Knows no tokenizer.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from shammah.errors import BaseModelError
from shammah.records import Base, Message


class ChatTemplate:
    """A compiled chat template.

    Raises:
        BaseModelError: no template, or one that jinja2 cannot compile.
    """

    def __init__(self, source: str, bos_token: str, eos_token: str) -> None:
        if not source.strip():
            raise BaseModelError(
                "the model has no chat template",
                hint="use an instruction-tuned GGUF that carries tokenizer.chat_template",
            )
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = _strftime_now
        environment.filters["tojson"] = _tojson
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        self._eos = eos_token
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise BaseModelError(f"the model's chat template is not usable: {error}") from error

    @classmethod
    def of(cls, base: Base) -> ChatTemplate:
        return cls(base.template, base.bos_token, base.eos_token)

    def render(self, messages: Sequence[Message], *, ask: bool = True) -> str:
        """The conversation as text; `ask` ends it with the beginning of the model's turn."""
        try:
            return self._template.render(
                messages=list(messages), add_generation_prompt=ask, **self._tokens
            )
        except TemplateError as error:
            raise BaseModelError(f"the model's chat template failed: {error}") from error

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


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.datetime.now().strftime(pattern)


def _tojson(value: Any, indent: int | None = None) -> str:
    """Plain JSON: jinja2's own filter escapes for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)
