"""What the next question is asked with."""

from __future__ import annotations

from shammah.repl.conversation import Conversation, Exchange


def asked(*answers: tuple[str, str]) -> Conversation:
    return Conversation(
        exchanges=[
            Exchange(question, answer, f"id-{number}")
            for number, (question, answer) in enumerate(answers)
        ]
    )


def contents(conversation: Conversation) -> list[str]:
    return [message["content"] for message in conversation.messages("next")]


def test_the_context_comes_in_order_and_the_system_prompt_first() -> None:
    conversation = asked(("a", "b"))
    conversation.system = "brief"
    assert conversation.messages("next") == [
        {"role": "system", "content": "brief"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "next"},
    ]


def test_a_stopped_answer_is_part_of_the_context() -> None:
    conversation = asked(("a", "b"))
    conversation.add(Exchange("c", "hal", "id-9", stopped=True))
    assert contents(conversation) == ["a", "b", "c", "hal", "next"]


def test_an_exchange_without_any_answer_is_not() -> None:
    assert contents(asked(("a", "b"), ("c", ""))) == ["a", "b", "next"]


def test_a_correction_replaces_the_answer_it_is_for() -> None:
    conversation = asked(("a", "wrong"), ("c", "d"))
    conversation.replace_answer("id-0", "right")
    assert contents(conversation) == ["a", "right", "c", "d", "next"]


def test_a_correction_of_an_answer_that_is_gone_changes_nothing() -> None:
    conversation = asked(("a", "b"))
    conversation.replace_answer("other", "right")
    assert contents(conversation) == ["a", "b", "next"]


def test_before_the_last_question_its_exchange_was_not_there() -> None:
    assert contents(asked(("a", "b"), ("c", "d")).before_last()) == ["a", "b", "next"]


def test_a_retry_that_gives_nothing_keeps_the_old_answer() -> None:
    conversation = asked(("a", "b"))
    conversation.replace_last(Exchange("a", "", None, stopped=True))
    assert contents(conversation) == ["a", "b", "next"]


def test_clear_keeps_the_system_prompt() -> None:
    conversation = asked(("a", "b"))
    conversation.system = "brief"
    conversation.clear()
    assert contents(conversation) == ["brief", "next"]


def test_what_another_version_answered_to_the_same_words_is_left_out() -> None:
    conversation = Conversation(
        exchanges=[
            Exchange("Who maintains it?", "nobody", "id-0", version=0),
            Exchange("and the port?", "80", "id-1", version=0),
            Exchange("Who maintains it?", "Lisbon", "id-2", version=1),
        ]
    )

    def context(question: str, version: int | None) -> list[str]:
        return [message["content"] for message in conversation.messages(question, version)][:-1]

    port = ["and the port?", "80"]
    base, first = ["Who maintains it?", "nobody"], ["Who maintains it?", "Lisbon"]
    assert context("who maintains it", 1) == [*port, *first]
    assert context("who maintains it", 0) == [*base, *port]  # rolled back
    assert context("who maintains it", None) == [*base, *port, *first]
    assert context("and the host?", 1) == [*base, *port, *first]


def test_the_same_words_are_known_again_whatever_their_case_and_marks() -> None:
    conversation = asked(("Who maintains it?", "nobody"))
    assert conversation.has_asked("who maintains IT")
    assert not conversation.has_asked("Who wrote it?")
