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
    conversation = asked(("Who maintains it?", "nobody"), ("and the port?", "80"))
    conversation.outdate()
    conversation.add(Exchange("Who maintains it?", "Lisbon", "id-9"))
    again = [message["content"] for message in conversation.messages("who maintains it")]
    assert again == ["and the port?", "80", "Who maintains it?", "Lisbon", "who maintains it"]
    other = [message["content"] for message in conversation.messages("and the host?")]
    assert other[:2] == ["Who maintains it?", "nobody"]
