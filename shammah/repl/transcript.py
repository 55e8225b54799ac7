"""A session as a document: markdown to read, or JSON to go on with elsewhere. Pure."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from shammah.protocol import SaidView, SessionDetail, SessionView
from shammah.wording import one_line

_TITLE_LETTERS = 60


def title(session: SessionView) -> str:
    """Its name, or the beginning of its first question."""
    text = one_line(session.name or session.opening) or "nothing was said yet"
    return text if len(text) <= _TITLE_LETTERS else text[: _TITLE_LETTERS - 1] + "…"


def render(session: SessionDetail, file: Path) -> str:
    """JSON for a file called so, else markdown."""
    return as_json(session) if file.suffix.lower() == ".json" else as_markdown(session)


def as_json(session: SessionDetail) -> str:
    """`messages` is what an OpenAI client sends to go on; `said` is all that is known."""
    messages = [{"role": "system", "content": session.said[-1].system}] if _system(session) else []
    for one in session.said:
        messages.append({"role": "user", "content": one.question})
        messages.append({"role": "assistant", "content": one.correction or one.answer})
    document = {
        "id": session.id,
        "name": session.name,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "messages": messages,
        "said": [one.model_dump(mode="json") for one in session.said],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_markdown(session: SessionDetail) -> str:
    parts = [f"# {title(session)}", f"Session {session.id}, {_created(session)}."]
    if system := _system(session):
        parts += ["## System prompt", system]
    for one in session.said:
        parts += ["## Question", one.question, *_answer(one)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _created(session: SessionView) -> str:
    """In UTC, as it is stored: who reads the document may be elsewhere."""
    return f"{datetime.fromisoformat(session.created_at):%Y-%m-%d %H:%M %Z}"


def _answer(one: SaidView) -> list[str]:
    by = f"version {one.version} of {one.base}"
    if one.correction is None:
        return [f"## Answer ({by})", one.answer]
    return ["## Corrected answer", one.correction, f"## Rejected answer ({by})", one.answer]


def _system(session: SessionDetail) -> str:
    return session.said[-1].system if session.said else ""
