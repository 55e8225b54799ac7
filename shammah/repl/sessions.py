"""What a chat does with sessions: lists, resumes, forks, names, writes out and deletes them."""

from __future__ import annotations

import os
from pathlib import Path

from shammah.errors import UsageError
from shammah.protocol import SessionDetail
from shammah.repl import transcript, views
from shammah.repl.chat import Chat
from shammah.repl.conversation import Conversation, Exchange
from shammah.wording import count

#: Why an answer of a turn is a part only.
_PARTS = ("cancelled", "error")


def show(chat: Chat, words: str) -> None:
    """Those that are kept, or those in which the words were said."""
    chat.screen.show_grid(views.sessions(chat.client.sessions(words), search=words))


def resume(chat: Chat, session_id: int | None = None) -> None:
    """Go on with a session; without an id with the newest that is not this one.

    Raises:
        NotFound: there is none by that id.
        UsageError: there is none at all.
    """
    if session_id is None:
        session_id = _newest(chat)
    _enter(chat, chat.client.session(session_id))


def fork(chat: Chat, exchanges: int | None) -> None:
    """Go on in a copy; this session stays as it is."""
    forked = chat.client.fork_session(_own(chat), exchanges)
    former = chat.session
    _enter(chat, forked)
    chat.screen.say(f"session {former} stays as it is: /resume {former} goes back")


def rename(chat: Chat, name: str) -> None:
    session = chat.client.rename_session(_own(chat), name or None)
    chat.screen.say(f"session {session.id} is called: {transcript.title(session)}")


def export(chat: Chat, name: str) -> None:
    """Write this session to a file: markdown, or JSON where the name ends so.

    Raises:
        UsageError: the file exists, or cannot be written.
    """
    session = chat.client.session(_own(chat))
    file = Path(name or f"shammah-session-{session.id}.md").expanduser()
    write_new(file, transcript.render(session, file))
    chat.screen.say(f"written: {file.absolute()}")


def delete(chat: Chat, session_id: int | None, *, yes: bool) -> None:
    """Erase a session for good, this one without an id, after a question."""
    number = _own(chat) if session_id is None else session_id
    if not yes:
        session = chat.client.session(number)
        if chat.screen.asker is None:
            raise UsageError("nobody can be asked here", hint=f"say /delete {number} --yes")
        chat.screen.asker.show(
            f"session {number}, {count(session.exchanges, 'exchange')}: {transcript.title(session)}"
        )
        if chat.screen.asker.choose({"y": "delete it for good", "n": "keep it"}) != "y":
            chat.screen.say("nothing was deleted")
            return
    receipt = chat.client.delete_session(number)
    if number == chat.session:
        chat.clear()
    chat.screen.say(receipt.message)


def write_new(file: Path, text: str) -> None:
    """Write a file that is not there yet, for its user alone.

    Raises:
        UsageError: it is there, or cannot be written.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise UsageError(
            f"cannot write {file}: {error.strerror}", hint="name another file"
        ) from error


def _enter(chat: Chat, session: SessionDetail) -> None:
    """Make it the chat's, and show where it stands."""
    system = session.said[-1].system if session.said else ""
    chat.go_on(
        session.id,
        Conversation(
            "" if system == chat.settings.system else system,
            [
                Exchange(
                    one.question,
                    one.correction or one.answer,
                    one.id,
                    stopped=one.correction is None and one.finish_reason in _PARTS,
                    version=one.version,
                )
                for one in session.said
            ],
        ),
    )
    chat.screen.say(
        f"session {session.id}, {count(session.exchanges, 'exchange')}: {transcript.title(session)}"
    )
    last = chat.conversation.last
    if last is not None and chat.screen.has_reader:
        chat.screen.show(f"> {last.question}")
        chat.screen.show_answer(iter([last.answer]))


def _own(chat: Chat) -> int:
    if chat.session is None:
        raise UsageError("nothing was said in this session yet", hint="/sessions lists the others")
    return chat.session


def _newest(chat: Chat) -> int:
    others = [one.id for one in chat.client.sessions(limit=2) if one.id != chat.session]
    if not others:
        raise UsageError("there is no session to go on with", hint="ask something: it is kept")
    return others[0]
