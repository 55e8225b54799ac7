"""What the monitor remembers of its user's taste: the theme. One small file beside the history."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

NAME = "monitor.json"


def theme(folder: Path) -> str | None:
    """The theme that was chosen last."""
    try:
        kept = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    chosen = kept.get("theme") if isinstance(kept, dict) else None
    return chosen if isinstance(chosen, str) else None


def keep_theme(folder: Path, name: str) -> None:
    """A taste that cannot be written is asked again: nothing worth an error."""
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / NAME).write_text(json.dumps({"theme": name}) + "\n", encoding="utf-8")
