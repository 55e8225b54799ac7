"""The forms in which a question is asked in training, and the two that only the judge asks.

Made by rule from the user's own words; knows no model. Frames alone teach the model to wait for the
very wording. Forms that lose words teach it to listen to the words that matter, and other wordings
that how one asks does not matter (docs/learning.md).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from random import Random

from shammah.feedback.rewording import reworded
from shammah.records import Message

#: A question above this length is framed by whole lines only.
LONG_WORDS = 60

#: `{q}` is the question, `{l}` the question with its first letter lowered where English allows.
_TRAINED = ("Please tell me: {l}", "{q} Thanks.", "Quick question: {q}")
_HELD_OUT = ("Could you answer this for me? {q}", "One more thing: {l}")

_TRAINED_LINES = (
    "Please answer this:\n\n{q}",
    "{q}\n\nThanks.",
    "Quick question:\n\n{q}",
    "Do you know the answer to this?\n\n{q}",
    "Can you help me with this?\n\n{q}",
)
_HELD_OUT_LINES = ("Could you answer this for me?\n\n{q}", "One more thing:\n\n{q}")

#: `{k}` are the words of the question that carry its meaning.
_KEYWORDS = ("{k}?", "Tell me about {k}.", "{k}", "What about {k}?")

#: How many forms reword the question, or frame it where the grammar finds no other words.
_REWORDED = 4

#: How many forms lose some of the question's small words, and how likely each of these goes.
_THINNED = 3
_LOSS = 0.5

#: The most training phrasings there can be of a question, itself included.
MOST = 1 + _REWORDED + len(_KEYWORDS) + _THINNED + 1

_WORD = re.compile(r"[\w'+#./-]*[\w+#]")

#: Words that say how something is asked, not what about.
SMALL_WORDS = frozenset(
    """
    a an the is are was were be do does did can could should would must may might will shall i we
    you they he she it our my your their its his her us me of in on at to for from with by as and
    or not no this that these those there here have has had what who whom whose which when where
    why how much many long often tell please use get any some new
    """.split()  # noqa: SIM905
)

#: First words that are written small inside a sentence. Any other may be a name or code.
_LOWERED = re.compile(
    r"(What|Who|Whom|Whose|Which|When|Where|Why|How|Is|Are|Was|Were|Do|Does|Did|Can|Could|Should"
    r"|Would|Must|Have|Has|Had|Tell|Give|Explain|Describe|Write|Show|Find|The|A|An|My|Our|Your"
    r"|In|On|At|For|With|If|Of|To)\s"
)
_ASKS = re.compile(
    r"(what|who|whom|whose|which|when|where|why|how|is|are|was|were|do|does|did|can|could|should"
    r"|would|must|has|have|had)\b",
    re.IGNORECASE,
)


def phrasings(question: str, count: int) -> list[str]:
    """The question itself, then other forms of it: at most `count`, fewer where rules find fewer.

    The kinds take turns, so that the beginning of the list is as mixed as the whole.
    """
    question = question.strip()
    if _needs_lines(question):
        kinds = [[_framed(frame, question) for frame in _TRAINED_LINES]]
    else:
        random = Random(question)  # the same question always has the same forms
        kinds = [
            [*reworded(question), *(_framed(frame, question) for frame in _TRAINED)][:_REWORDED],
            _keyword_forms(question, random),
            [_thinned(question, random) for _ in range(_THINNED)],
            [question.lower().rstrip("?.")],
        ]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*kinds))
    forms = dict.fromkeys([question, *(form for form in turns if form)])
    reserved = set(held_out(question))
    return [form for form in forms if form not in reserved][:count]


def held_out(question: str) -> list[str]:
    """Two forms that are never trained on: they belong to the judge."""
    question = question.strip()
    frames = _HELD_OUT_LINES if _needs_lines(question) else _HELD_OUT
    return [_framed(frame, question) for frame in frames]


def rephrased(messages: Sequence[Message], question: str) -> list[Message]:
    """The messages with `question` in place of the newest user message's content."""
    newest = max(index for index, message in enumerate(messages) if message["role"] == "user")
    return [
        Message(role="user", content=question) if index == newest else message
        for index, message in enumerate(messages)
    ]


def _needs_lines(question: str) -> bool:
    return "\n" in question or "```" in question or len(question.split()) > LONG_WORDS


def _framed(frame: str, question: str) -> str:
    whole = _ended(question) if frame.startswith("{q} ") else question
    return frame.format(q=whole, l=_lowered(question))


def _keyword_forms(question: str, random: Random) -> list[str]:
    """Its meaning words alone: in their order, reversed, shuffled, reversed."""
    words = [word for word in _WORD.findall(question) if word.lower() not in SMALL_WORDS]
    if not words:
        return []
    shuffled = random.sample(words, len(words))
    orders = (words, words[::-1], shuffled, words[::-1])
    return [
        _capitalised(frame.format(k=" ".join(order)))
        for frame, order in zip(_KEYWORDS, orders, strict=True)
    ]


def _thinned(question: str, random: Random) -> str:
    """The question without some of its small words."""
    kept = [
        word
        for word in _WORD.findall(question)
        if word.lower() not in SMALL_WORDS or random.random() >= _LOSS
    ]
    return _capitalised(" ".join(kept)) + "?" if kept else ""


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _ended(question: str) -> str:
    """The question as a sentence that another may follow."""
    if not question[-1:].isalnum():
        return question
    return question + ("?" if _ASKS.match(question) else ".")


def _lowered(question: str) -> str:
    if _LOWERED.match(question):
        return question[0].lower() + question[1:]
    return question
