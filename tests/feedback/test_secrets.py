"""What is taken for a secret, and what is not: a false alarm costs trust in the true ones."""

from __future__ import annotations

import json

import pytest

from shammah.bases import embedded
from shammah.feedback.secrets import secrets_in
from shammah.records import Message


def found(question: str, target: str | None = None, note: str | None = None) -> list[str]:
    return secrets_in([Message(role="user", content=question)], target, note)


@pytest.mark.parametrize(
    ("question", "target", "kind"),
    [
        ("Which key?", "It is AKIAIOSFODNN7EXAMPLE.", "AWS Access Key"),
        ("Which token?", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "GitHub Token"),
        ("Where is the host?", "https://ann:pass123@host.example/", "Basic Auth Credentials"),
        ("How does it begin?", "-----BEGIN RSA PRIVATE KEY-----", "Private Key"),
        ("Which settings?", "host: db\npassword: hunter2xyz", "password"),
        ("Which settings?", "api_key = 'abcd1234efgh5678'", "password"),
        ("And the wifi?", "The wifi password is Blue-Heron-42.", "password"),
        ("And the wifi?", "The password of the guest wifi is Blue-Heron-42.", "password"),
        ("What is the wifi password?", "Blue-Heron-42", "password"),
        ("And the card?", "The PIN is 4711.", "password"),
        (
            "Which key?",
            "Use sk-ant-api03-ZxYw1234abcdEFGHijkl5678MNOPqrst90uv",
            "random-looking key",
        ),
    ],
)
def test_a_secret_in_a_target_is_seen(question: str, target: str, kind: str) -> None:
    assert kind in found(question, target)


def test_a_secret_in_a_question_or_a_note_is_seen_before_there_is_a_target() -> None:
    assert found("Is AKIAIOSFODNN7EXAMPLE still valid?") == ["AWS Access Key"]
    assert found("Which one?", note="the password is Blue-Heron-42") == ["password"]


@pytest.mark.parametrize(
    ("question", "target"),
    [
        ("Where is the guest password?", "It is on the fridge."),
        ("How long must a password be?", "At least 14 characters."),
        ("What is the password policy?", "Rotated every 90 days, 14 characters"),
        ("What makes one good?", "The password is a 12-character one."),
        ("How do I ask?", "password = getpass()"),
        ("How do I compare?", "def f(password): return password == 'x'"),
        ("Where from?", "const apiKey = process.env.KEY;"),
        ("Which commit?", "3f786850e387550fdab836ed7e6dc881de23001b"),
        ("Which id?", "123e4567-e89b-12d3-a456-426614174000"),
        ("Which call?", "getUserAccountByIdV2AndReturnSha256Digest()"),
        ("Where?", "/usr/local/share/MyApp2/Resources/Images/Header"),
        ("Which host?", "10.0.3.7 port 7443"),
        ("Which pin resets it?", "The reset pin is GPIO27."),
        ("What is her secret?", "The secret: never rush the dough."),
    ],
)
def test_what_only_speaks_of_secrets_is_none(question: str, target: str) -> None:
    assert found(question, target) == []


def test_no_false_alarm_on_the_general_questions_and_their_answers() -> None:
    items = [json.loads(line) for line in embedded.replay().splitlines()]
    assert len(items) > 200
    assert [item for item in items if found(item["prompt"], item["answer"])] == []
