"""The running conversation as plain values; knows no daemon and no screen."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from shammah.records import Message


@dataclass(frozen=True)
class Exchange:
    """One question and what came back."""

    question: str
    answer: str
    id: str | None  # the inference id; None when the answer broke off before its first piece
    stopped: bool = False  # by the user or by an error: the answer is a part
    version: int | None = None  # that answered; None when it broke off before saying so


@dataclass
class Conversation:
    """What the next question is asked with."""

    system: str = ""
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def last(self) -> Exchange | None:
        return self.exchanges[-1] if self.exchanges else None

    def has_asked(self, question: str) -> bool:
        """Whether the same words were asked before."""
        return any(_words(one.question) == _words(question) for one in self.exchanges)

    def messages(self, question: str, version: int | None = None) -> list[Message]:
        """The context of `question`, then the question itself.

        Args:
            version: that is going to answer. What another one answered to the same words is left
                out: the model would repeat it, whatever it has learned since.
        """
        messages: list[Message] = []
        if self.system:
            messages.append({"role": "system", "content": self.system})
        for exchange in self.exchanges:
            other = version is not None and exchange.version not in (None, version)
            if other and _words(exchange.question) == _words(question):
                continue
            if exchange.answer:  # one that broke off at once would leave two questions in a row
                messages.append({"role": "user", "content": exchange.question})
                messages.append({"role": "assistant", "content": exchange.answer})
        messages.append({"role": "user", "content": question})
        return messages

    def before_last(self) -> Conversation:
        """The conversation as it was when the last question was asked."""
        return Conversation(self.system, self.exchanges[:-1])

    def add(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)

    def replace_last(self, exchange: Exchange) -> None:
        """Put `exchange` in the place of the last one, unless it broke off before any text."""
        if exchange.answer:
            self.exchanges[-1] = exchange

    def replace_answer(self, inference_id: str, answer: str) -> None:
        """Put `answer` in the place of the one called `inference_id`, if it is still here."""
        self.exchanges = [
            replace(exchange, answer=answer, stopped=False)
            if exchange.id == inference_id
            else exchange
            for exchange in self.exchanges
        ]

    def remove(self, inference_ids: Collection[str]) -> None:
        """Take the exchanges with these answers out."""
        self.exchanges = [one for one in self.exchanges if one.id not in inference_ids]

    def clear(self) -> None:
        """Forget every exchange; the system prompt stays."""
        self.exchanges = []


def _words(question: str) -> list[str]:
    return re.findall(r"\w+", question.casefold())
