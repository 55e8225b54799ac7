"""Likely secrets (keys, tokens, passwords) in what would be taught. Knows no store.

The formats of keys and tokens are detect-secrets'. It is made for files of code, so what a person
says in a sentence ("the password is ...") is looked for here. Nothing is verified anywhere: text
is only matched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from shammah.records import Message

if TYPE_CHECKING:
    from detect_secrets.plugins.base import RegexBasedDetector
    from detect_secrets.plugins.keyword import KeywordDetector

PASSWORD = "password"
RANDOM = "random-looking key"

#: Bits per character above which detect-secrets holds a base64 word for random (its default).
RANDOM_BITS = 4.5

#: Finds addresses, which are no secrets.
_NO_SECRET = "Public IP (ipv4)"

#: A pin in small letters is a part of a chip.
_NAMED = r"(?:(?i:password|passphrase|passcode|passwort)|PIN(?: code| number)?)"

#: "the password of the guest wifi is ...", and what stands there.
_SAID = re.compile(
    rf"\b{_NAMED}\b(?: (?:of|for|to|on) [^.,;:?!]{{1,40}})?\s?(?:\bis\b|=|:)\s*(\S+)"
)

#: "What is the password of the guest wifi?": then the answer may give it.
_ASKED = re.compile(rf"\b(?i:what|which|tell|give)\b[^.?!]*\b{_NAMED}\b[^.!]*$")

#: The value of a setting that is a call, an attribute or a place holder.
_CODE = re.compile(r"[(){}<>\[\]$]|^[A-Za-z_]+(?:\.[A-Za-z_]+)+;?$")

_LONG_WORD = re.compile(r"[\w+/=\-]{24,}")
_ALL_KINDS = (re.compile("[A-Z]"), re.compile("[a-z]"), re.compile("[0-9]"))


def secrets_in(messages: Sequence[Message], target: str | None, note: str | None) -> list[str]:
    """The kinds of likely secrets in an example's context, question, target and note."""
    said = [message["content"] for message in messages if message["role"] != "system"]
    texts = [*said, *(text for text in (target, note) if text)]
    found = [kind for text in texts for kind in _kinds(text)]
    answers = target.split() if target and _ASKED.search(messages[-1]["content"]) else []
    if any(map(_may_be_password, answers)):
        found.append(PASSWORD)
    return list(dict.fromkeys(found))


def _kinds(text: str) -> Iterator[str]:
    for line in text.splitlines():
        for detector in _formats():
            if any(detector.analyze_string(line)):
                yield detector.secret_type
        if any(map(_may_be_setting, _settings(line))):
            yield PASSWORD
        if any(_may_be_password(match[1]) for match in _SAID.finditer(line)):
            yield PASSWORD
        if any(map(_is_random, _LONG_WORD.findall(line))):
            yield RANDOM


@cache
def _formats() -> list[RegexBasedDetector]:
    """One detector for each known format. Loaded when first needed: it brings an HTTP library."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector

    known: dict[str, type] = get_mapping_from_secret_type_to_class()
    return [
        detector()
        for name, detector in known.items()
        if issubclass(detector, RegexBasedDetector) and name != _NO_SECRET
    ]


@cache
def _keywords() -> KeywordDetector:
    from detect_secrets.plugins.keyword import KeywordDetector

    return KeywordDetector()


def _settings(line: str) -> Iterator[str]:
    """The values that follow words such as `api_key`, with quotes or without."""
    from detect_secrets.plugins.keyword import CONFIG_DENYLIST_REGEX_TO_GROUP

    yield from _keywords().analyze_string(
        line, denylist_regex_to_group=CONFIG_DENYLIST_REGEX_TO_GROUP
    )


def _may_be_setting(value: str) -> bool:
    return " " not in value and not _CODE.search(value) and _may_be_password(value)


def _may_be_password(word: str) -> bool:
    """At least four characters with a digit, but no measure such as "12-character"."""
    word = word.strip("\"'`.,;:!?()*")
    return (
        len(word) >= 4
        and any(character.isdigit() for character in word)
        and not re.fullmatch(r"\d+-[a-z]+", word)
    )


def _is_random(word: str) -> bool:
    from detect_secrets.plugins.high_entropy_strings import Base64HighEntropyString

    return (
        all(kind.search(word) for kind in _ALL_KINDS)
        and Base64HighEntropyString().calculate_shannon_entropy(word) >= RANDOM_BITS
    )
