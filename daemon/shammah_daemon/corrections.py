"""Finds what the user has corrected already and no version has learned yet.

Knows no model and no HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence

from shammah.config import LearningConfig
from shammah.feedback.injection import holds_correction
from shammah.feedback.matching import best_match, search_words
from shammah.records import Example, Message
from shammah_daemon.database import Database

#: Examples that share words with the question and are looked at closely, the likeliest first.
CANDIDATES = 20


class Corrections:
    """Looks up which examples help with a question before a lesson has taught them."""

    def __init__(self, config: LearningConfig, database: Database) -> None:
        self._config = config
        self._database = database

    async def find(self, messages: Sequence[Message], base: str) -> list[Example]:
        """The one example that the newest message asks again, if there is one to inject.

        One at most: of two that match, the second more often contradicts than completes.
        """
        newest = messages[-1]
        if not self._config.inject or newest["role"] != "user":
            return []
        words = search_words(newest["content"])
        if not words:
            return []
        candidates = await self._database.run(
            lambda store: store.examples.unlearned(base, words, CANDIDATES)
        )
        found = best_match(newest["content"], candidates)
        return [] if found is None or holds_correction(messages, found) else [found]
