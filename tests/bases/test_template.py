"""Chat templates: rendered as they should be, and hostile ones ended by the limits."""

from __future__ import annotations

import time

import psutil
import pytest

from shammah.bases.rendering import CPU_SECONDS, MEMORY_BYTES, Renderer, renderer
from shammah.bases.template import ChatTemplate
from shammah.errors import BaseModelError
from shammah.records import Message

CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
HOSTILE = {
    "a long loop": "{% for i in range(10**9) %}x{% endfor %}",
    "nested loops": "{% for i in range(99999) %}{% for j in range(99999) %}"
    "{% endfor %}{% endfor %}",
    "a large power": "{{ 10 ** (10 ** 9) }}",
    "a large power of what is said": "{{ messages[0].content | length ** 99999999 }}",
    "a long string": "{{ 'a' * 10 ** 10 }}",
    "a wide one": "{{ messages[0].content | center(10 ** 10) }}",
    "doubling": "{% set ns = namespace(x='a') %}{% for i in range(60) %}"
    "{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x | length }}",
    "much text": "{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}",
    "no end": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "another's secrets": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "a file": "{% include '/etc/passwd' %}",
}


def said(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


def test_a_conversation_is_rendered_with_its_tokens() -> None:
    assert ChatTemplate(CHAT, "", "</s>").render(said("Hi")) == "<user>Hi</s>"


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_template_is_one_error_in_bounded_time(source: str) -> None:
    began = time.process_time(), psutil.Process().memory_info().rss
    with pytest.raises(BaseModelError):
        ChatTemplate(source, "", "").render(said("aaa"))
    assert time.process_time() - began[0] < CPU_SECONDS
    assert psutil.Process().memory_info().rss - began[1] < MEMORY_BYTES // 4


def test_after_a_hostile_one_the_next_is_rendered() -> None:
    with pytest.raises(BaseModelError, match="too long"):
        ChatTemplate(HOSTILE["nested loops"], "", "").render(said("Hi"))
    assert ChatTemplate(CHAT, "", "</s>").render(said("Hi")) == "<user>Hi</s>"


def test_a_template_that_fails_says_why() -> None:
    with pytest.raises(BaseModelError, match="roles must alternate"):
        ChatTemplate("{{ raise_exception('roles must alternate') }}", "", "").render(said("Hi"))
    with pytest.raises(BaseModelError, match="not usable"):
        ChatTemplate("{% for %}", "", "")


def test_a_renderer_that_was_killed_is_started_again() -> None:
    shared = renderer()
    assert shared.render("a", {}) == "a"
    assert shared._process is not None
    shared._process.kill()
    shared._process.wait()
    assert shared.render("b", {}) == "b"


def test_it_ends_with_whoever_started_it() -> None:
    own = Renderer()
    own.render("a", {})
    assert own._process is not None
    process = psutil.Process(own._process.pid)
    own.close()
    assert not process.is_running()
