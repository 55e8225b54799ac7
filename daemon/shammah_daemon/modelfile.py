"""The Modelfile of an exported model: what Ollama is to know of how it is served here. Pure but
for the template, which is rendered.
"""

from __future__ import annotations

from shammah.bases.template import ChatTemplate
from shammah.config import ChatConfig
from shammah.publish import MODEL_FILE
from shammah.records import Base, Message

_OPENING = """\
# ollama create NAME -f Modelfile
#
# The chat template is the one inside the GGUF: Ollama takes its own version of it where it knows
# the template, and says so when the model is created. This file has none, because a Jinja template
# cannot be translated into Ollama's in general.
"""

_MARK = "SYSTEM-PROMPT"


def modelfile(base: Base, config: ChatConfig, context_tokens: int) -> str:
    """The text of a Modelfile beside `model.gguf`.

    Args:
        context_tokens: the longest conversation here.
    """
    lines = [_OPENING, f"FROM ./{MODEL_FILE}", f"PARAMETER num_ctx {context_tokens}"]
    lines += [
        f"PARAMETER temperature {config.temperature}",
        f"PARAMETER top_p {config.top_p}",
        f"PARAMETER num_predict {config.max_tokens}",
    ]
    if base.eos_token and '"' not in base.eos_token:
        lines.append(f'PARAMETER stop "{base.eos_token}"')
    system = config.system or default_system(ChatTemplate.of(base))
    if system and '"""' not in system:
        lines.append(f'SYSTEM """{system}"""')
    return "\n".join(lines) + "\n"


def default_system(template: ChatTemplate) -> str:
    """The system prompt that the template puts in where none is given; Ollama would not."""
    asked = Message(role="user", content="Hello")
    given = template.render([Message(role="system", content=_MARK), asked])
    before, mark, after = given.partition(_MARK)
    alone = template.render([asked])
    if not mark or not alone.startswith(before) or not alone.endswith(after):
        return ""
    return alone[len(before) : len(alone) - len(after)]
