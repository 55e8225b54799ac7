"""A JSON schema as a grammar for llama.cpp (GBNF). Knows no model.

The conversion is llama-cpp-python's. It trusts its input, so limits are set here: a schema comes
from any client, and what it grows into must not fill the memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from llama_cpp.llama_grammar import json_schema_to_gbnf

from shammah.errors import UsageError

#: Longest schema, as JSON text.
SCHEMA_CHARACTERS = 16_384

#: Longest grammar: llama.cpp reads it again for each answer.
GRAMMAR_CHARACTERS = 131_072

#: Largest minItems, maxLength and their kind: each repetition is written out.
MOST_REPETITIONS = 256

_REPETITIONS = ("minItems", "maxItems", "minLength", "maxLength")
_QUANTIFIER = re.compile(r"\d+(?=[\d,\s]*})")

#: The converter lets line breaks and control characters stand in strings, where JSON has none.
_LOOSE_CHARACTER = 'char ::= [^"\\\\] |'
_STRICT_CHARACTER = 'char ::= [^"\\\\\\x00-\\x1F] |'


def grammar_of(schema: dict[str, Any]) -> str:
    """GBNF of the JSON texts that match `schema`, as far as the converter knows its words.

    Raises:
        UsageError: it cannot be turned into a grammar, or only into a very large one.
    """
    text = json.dumps(schema)
    if len(text) > SCHEMA_CHARACTERS:
        raise _refusal(f"it has {len(text)} characters, {SCHEMA_CHARACTERS} are allowed")
    try:
        if any(count > MOST_REPETITIONS for count in _repetitions(schema)):
            raise _refusal(f"it repeats something more than {MOST_REPETITIONS} times")
        grammar = str(json_schema_to_gbnf(text))
    except UsageError:
        raise
    except Exception as error:  # the converter raises whatever a schema makes it stumble over
        raise _refusal(f"the converter gives up ({type(error).__name__})") from error
    if len(grammar) > GRAMMAR_CHARACTERS:
        raise _refusal("its grammar would be too large")
    return grammar.replace(_LOOSE_CHARACTER, _STRICT_CHARACTER)


def _repetitions(schema: Any) -> Iterator[int]:
    """Every count of repetitions that a schema asks for."""
    if isinstance(schema, list):
        for item in schema:
            yield from _repetitions(item)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key in _REPETITIONS and isinstance(value, int | float):
                yield int(value)
            elif key == "pattern" and isinstance(value, str):
                yield from (int(number) for number in _QUANTIFIER.findall(value))
            else:
                yield from _repetitions(value)


def _refusal(why: str) -> UsageError:
    return UsageError(
        f"the JSON schema cannot be turned into a grammar: {why}",
        hint="use type, properties, required, items, enum, const, anyOf and $ref to '#/$defs/...'",
    )
