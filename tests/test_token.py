"""The token's file: made once, for its user alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from shammah import token
from shammah.errors import ConfigError


def test_it_is_made_once_and_for_the_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    made = token.ensure(path)
    assert len(made) >= 43
    assert token.ensure(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_the_whole_token_matches(tmp_path: Path) -> None:
    path = tmp_path / "token"
    made = token.ensure(path).encode()
    assert token.matches(path, made)
    for wrong in (b"", made[:-1], made + b"x", b"\xff"):
        assert not token.matches(path, wrong)


def test_a_removed_token_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "token"
    made = token.ensure(path).encode()
    path.unlink()
    with pytest.raises(ConfigError, match="cannot read"):
        token.matches(path, made)
    assert token.ensure(path).encode() != made


@pytest.mark.parametrize(("content", "mode"), [("secret", 0o644), ("secret", 0o620), ("", 0o600)])
def test_a_file_that_others_may_read_or_that_is_empty_is_no_token(
    tmp_path: Path, content: str, mode: int
) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(ConfigError) as told:
        token.read(path)
    assert "shammah daemon token" in told.value.hint
