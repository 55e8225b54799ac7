"""Deletes a session for good: its turns, what was typed in it, and every trace in the file.

Knows no HTTP. What came of it as examples stays, and is named: `forget` erases that.
"""

from __future__ import annotations

import asyncio

import structlog

from shammah.paths import Paths
from shammah.protocol import DeletedSession
from shammah.store.database import Store
from shammah.store.erasure import Texts
from shammah_daemon.database import Database
from shammah_daemon.forgetting import cut_from_history

log = structlog.get_logger()


async def delete(paths: Paths, database: Database, session_id: int) -> DeletedSession:
    """Files first, as when an example is forgotten: interrupted, it can be done again.

    Raises:
        NotFound: no such session.
        StorageError: its rows are gone, but another program keeps the database's log from being
            emptied.
    """
    texts, examples = await database.run(lambda store: _look(store, session_id))
    await asyncio.to_thread(cut_from_history, paths, texts)
    await database.run(lambda store: _delete(store, session_id))
    log.info("session deleted", session=session_id)
    message = f"Session {session_id} is deleted for good."
    if examples:
        numbers = ", ".join(map(str, examples))
        message += f" What you marked in it stays to be taught: example {numbers} (/forget ID)."
    return DeletedSession(session_id=session_id, examples=examples, message=message)


def _look(store: Store, session_id: int) -> tuple[Texts, list[int]]:
    session = store.sessions.get(session_id)
    texts = Texts.of([session.name, *store.sessions.texts(session_id)])
    return texts, list(store.sessions.examples(session_id))


def _delete(store: Store, session_id: int) -> None:
    store.sessions.delete(session_id)
    store.erasure.compact()
