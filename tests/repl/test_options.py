"""How answers are sampled in one chat, and files that go into a question."""

from __future__ import annotations

from pathlib import Path

import pytest

from shammah.errors import UsageError
from shammah.repl import attachments, options


def test_a_value_is_what_the_daemon_takes() -> None:
    assert options.value_of("temperature", "0.8") == 0.8
    assert options.value_of("max_tokens", "20") == 20
    assert options.value_of("seed", "-") is None


@pytest.mark.parametrize(
    ("name", "text"), [("temperature", "9"), ("max_tokens", "0"), ("seed", "x"), ("wishes", "3")]
)
def test_anything_else_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=name):
        options.value_of(name, text)


def test_what_is_not_set_shows_the_default() -> None:
    lines = options.lines({"seed": 7}, {"temperature": 0.0}).splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["temperature", "(0.0)"], ["top_p", "(random)"], ["max_tokens", "(random)"], ["seed", "7"],
    ]  # fmt: skip


def test_a_file_that_holds_fences_gets_a_longer_one(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text("```\nx\n```\n")
    assert attachments.read(str(file)) == "a.md:\n````\n```\nx\n```\n````"


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    binary, large = tmp_path / "a.bin", tmp_path / "large"
    binary.write_bytes(b"\xff\x00")
    large.write_bytes(b"x" * (attachments.LARGEST_BYTES + 1))
    with pytest.raises(UsageError, match="not UTF-8"):
        attachments.read(str(binary))
    with pytest.raises(UsageError, match="larger than 4 MB"):
        attachments.read(str(large))
    with pytest.raises(UsageError, match="cannot read"):
        attachments.read(str(tmp_path))
