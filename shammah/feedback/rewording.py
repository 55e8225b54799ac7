"""A question in other words, by the grammar of English questions: "Which port does it use?" is also
"What port does it use?" and "Tell me which port ...". Knows no meaning and no model.

Where the grammar is not sure of a form, there is none. Another language has none at all.
"""

from __future__ import annotations

import re

#: What a question may begin with that asks for something.
_WH = (
    r"(?P<wh>(?:(?:in|on|at|for|to|from|by|with|under) )?"
    r"(?:(?:what|which|whose|how (?:many|much))(?: [\w-]+){0,3}?"
    r"|who|whom|when|where|why|how(?: (?:long|often|far|old))?))"
)
#: "How long do we keep logs?": what is left without "do" is a statement.
_DO = re.compile(rf"{_WH} do (?P<rest>.+)", re.IGNORECASE)
#: "How long does it last?": without "does" the verb would have another ending.
_DOES = re.compile(
    rf"{_WH} (?P<rest>(?:does|did|should|can|could|must|may|will) .+)", re.IGNORECASE
)
#: "What is the name of it?"
_BE = re.compile(rf"{_WH} (?P<be>is|are|was|were) (?P<rest>.+)", re.IGNORECASE)
#: "Who maintains it?", "Which mill supplies it?"
_SUBJECT = re.compile(
    r"(?P<wh>who|(?:what|which) [\w-]+(?: [\w-]+)?) (?P<rest>[a-z]+(?:s|ed) .+)", re.IGNORECASE
)

#: Other words for the first word of a question where a noun follows, and where none does.
_BEFORE_A_NOUN = {"which": "what", "what": "which"}
_ALONE = {
    "who": "which person or team",
    "whom": "which person",
    "where": "in which place",
    "when": "at what time",
    "why": "for what reason",
    "how": "in which way",
}


def reworded(question: str) -> list[str]:
    """Other ways to ask `question`, the surest first; none where its form is not known."""
    asked = question.strip().rstrip("?.! ")
    asked = asked[:1].lower() + asked[1:]
    return [form[0].upper() + form[1:] for form in _forms(asked) if form]


def _forms(asked: str) -> list[str]:
    if found := _DO.fullmatch(asked):
        wh, rest = found["wh"], found["rest"]
        return [
            f"tell me {wh} {rest}.", _starting(wh, f" do {rest}?"), f"{rest} {wh}?",
            f"I need to know {wh} {rest}.",
        ]  # fmt: skip
    if found := _DOES.fullmatch(asked):
        return [_starting(found["wh"], f" {found['rest']}?")]
    if found := _BE.fullmatch(asked):
        wh, be, rest = found["wh"], found["be"], found["rest"]
        told = f"tell me {rest}." if wh.lower() == "what" else ""
        return [told, _starting(wh, f" {be} {rest}?"), f"{rest} {be} {wh}?"]
    if found := _SUBJECT.fullmatch(asked):
        wh, rest = found["wh"], found["rest"]
        return [
            f"tell me {wh} {rest}.", _starting(wh, f" {rest}?"), f"I need to know {wh} {rest}."
        ]  # fmt: skip
    return []


def _starting(wh: str, rest: str) -> str:
    """The question with another beginning that means the same; empty: there is none."""
    first, _, noun = wh.partition(" ")
    other = _BEFORE_A_NOUN.get(first.lower()) if noun else _ALONE.get(first.lower())
    if first.lower() == "how" and noun == "long":
        return f"for how long{rest}"
    return f"{other} {noun}".strip() + rest if other else ""
