"""Sessions as documents."""

from __future__ import annotations

import json
from pathlib import Path

from shammah.protocol import SaidView, SessionDetail
from shammah.repl import transcript


def said(question: str, answer: str, correction: str | None = None) -> SaidView:
    return SaidView(
        id="chatcmpl-1", created_at="2026-01-02T03:04:05.000+00:00", base="tiny", version=2,
        system="Be brief.", question=question, answer=answer, correction=correction,
        finish_reason="stop",
    )  # fmt: skip


def session(*exchanges: SaidView, name: str | None = None) -> SessionDetail:
    return SessionDetail(
        id=7, name=name, created_at="2026-01-02T03:04:05.000+00:00",
        updated_at="2026-01-02T03:04:05.000+00:00", exchanges=len(exchanges),
        opening=exchanges[0].question if exchanges else "", said=list(exchanges),
    )  # fmt: skip


def test_a_session_is_called_by_its_name_or_its_first_question() -> None:
    assert transcript.title(session(said("why\nnot?", "so"))) == "why not?"
    assert transcript.title(session(said("why?", "so"), name="mine")) == "mine"
    assert len(transcript.title(session(said("x" * 200, "so")))) == 60
    assert transcript.title(session()) == "nothing was said yet"


def test_markdown_tells_a_correction_from_the_answer_it_replaced() -> None:
    text = transcript.as_markdown(session(said("why?", "no"), said("how?", "bad", "good")))
    assert text.startswith("# why?\n\nSession 7, 2026-01-02 03:04 UTC.\n\n## System prompt")
    assert "## Question\n\nwhy?\n\n## Answer (version 2 of tiny)\n\nno\n" in text
    assert "## Corrected answer\n\ngood\n\n## Rejected answer (version 2 of tiny)\n\nbad\n" in text


def test_json_is_what_any_client_goes_on_with() -> None:
    file = Path("talk.JSON")
    document = json.loads(transcript.render(session(said("how?", "bad", "good")), file))
    assert document["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "how?"},
        {"role": "assistant", "content": "good"},
    ]
    assert document["said"][0]["answer"] == "bad"
