"""Files that go into a question as text; sends nothing."""

from __future__ import annotations

from pathlib import Path

from shammah.errors import UsageError

#: Far more than any context holds; reading it would only hold up the chat.
LARGEST_BYTES = 4_000_000


def read(name: str) -> str:
    """The file as it stands in a question: its name, and its text as a block of code.

    Raises:
        UsageError: it cannot be read, is too large, or is not UTF-8 text.
    """
    file = Path(name).expanduser()
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise UsageError(f"{file} is larger than {LARGEST_BYTES // 1_000_000} MB")
        text = file.read_bytes().decode()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8 text") from None
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{file.name}:\n{fence}\n{text.rstrip()}\n{fence}"
