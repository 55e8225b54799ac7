"""The table of slash commands: the one place for help, completion and dispatch."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from shammah.errors import UsageError
from shammah.records import Level, Mode
from shammah.repl import comparing, views
from shammah.repl.chat import Chat


@dataclass(frozen=True)
class Command:
    """One slash command; the handler is given what stands behind its name."""

    name: str
    arguments: str
    description: str
    handler: Callable[[Chat, str], None]


def is_command(line: str) -> bool:
    return line.lstrip().startswith("/")


def run(chat: Chat, line: str) -> None:
    """Dispatch one line that begins with a slash.

    Raises:
        UsageError: no such command, or arguments it does not take.
    """
    name, argument = (*line.split(maxsplit=1), "")[:2]
    find(name).handler(chat, argument.strip())


def find(name: str) -> Command:
    """The command called `name`.

    Raises:
        UsageError: there is none; suggests the nearest.
    """
    by_name = {command.name: command for command in COMMANDS}
    if name in by_name:
        return by_name[name]
    near = difflib.get_close_matches(name, by_name, n=1)
    suggestion = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"unknown command {name!r}", hint=f"{suggestion}/help shows all commands")


def _help(chat: Chat, argument: str) -> None:
    usages = [f"{command.name} {command.arguments}".strip() for command in COMMANDS]
    width = max(map(len, usages)) + 2
    chat.screen.show(
        "\n".join(
            f"{usage:<{width}}{command.description}"
            for usage, command in zip(usages, COMMANDS, strict=True)
        )
    )


def _status(chat: Chat, argument: str) -> None:
    chat.screen.show(views.status(chat.client.status()))


def _train(chat: Chat, argument: str) -> None:
    words = argument.split()
    unknown = next((word for word in words if word not in ("quick", "--wait")), None)
    if unknown is not None:
        raise UsageError(f"/train does not take {unknown!r}", hint="say /train [quick] [--wait]")
    wait = "--wait" in words
    chat.train(Mode.QUICK if "quick" in words else Mode.CONSOLIDATE, wait=wait)


def _versions(chat: Chat, argument: str) -> None:
    chat.screen.show_grid(views.versions(chat.client.versions()))


def _compare(chat: Chat, argument: str) -> None:
    chat.compare(comparing.parse(argument))


def _rollback(chat: Chat, argument: str) -> None:
    if argument and not argument.isdecimal():
        raise UsageError(f"{argument!r} is not a version", hint="/versions lists them")
    active = chat.client.rollback(int(argument) if argument else None)
    chat.screen.say(f"version {active.number} of {active.base} serves now")


def _examples(chat: Chat, argument: str) -> None:
    chat.screen.show_grid(views.examples(chat.client.examples()))


def _review(chat: Chat, argument: str) -> None:
    chat.review()


def _forget(chat: Chat, argument: str) -> None:
    number, *options = argument.split() or [""]
    if not number.isdecimal() or not {*options} <= {"--now", "--yes"}:
        raise UsageError(
            f"/forget does not take {argument!r}", hint="say /forget ID; /examples lists them"
        )
    chat.forget(int(number), now="--now" in options, yes="--yes" in options)


def _clear(chat: Chat, argument: str) -> None:
    chat.conversation.clear()
    chat.screen.say("a new conversation")


def _system(chat: Chat, argument: str) -> None:
    if argument == "-":
        chat.conversation.system = ""
    elif argument:
        chat.conversation.system = argument
    chat.screen.say(f"system prompt: {chat.conversation.system or 'the default'}")


def _retry(chat: Chat, argument: str) -> None:
    chat.retry()


def _why(chat: Chat, argument: str) -> None:
    chat.screen.show(views.why(chat.why()))


def _critical(chat: Chat, argument: str) -> None:
    chat.judge(Level.CRITICAL, argument)


def _medium(chat: Chat, argument: str) -> None:
    chat.judge(Level.MEDIUM, argument)


def _good(chat: Chat, argument: str) -> None:
    chat.judge(Level.GOOD, argument)


def _fix(chat: Chat, argument: str) -> None:
    chat.fix(argument)


def _quit(chat: Chat, argument: str) -> None:
    chat.leaving = True


COMMANDS = (
    Command("/critical", "[note]", "the last answer is badly wrong", _critical),
    Command("/medium", "[note]", "the last answer is wrong", _medium),
    Command("/good", "[note]", "the last answer is right", _good),
    Command("/fix", "ANSWER", "what the answer should have been", _fix),
    Command("/retry", "", "ask the last question again", _retry),
    Command("/why", "", "which version answered, and which corrections helped", _why),
    Command("/train", "[quick] [--wait]", "teach now what was corrected", _train),
    Command("/examples", "", "what was recorded", _examples),
    Command("/review", "", "what waits for your word: drafts, contradictions, secrets", _review),
    Command("/forget", "ID [--now] [--yes]", "erase an example; --now teaches the rest", _forget),
    Command("/versions", "", "what was learned, version by version", _versions),
    Command("/compare", "[A B] QUESTION [--blind]", "two versions side by side", _compare),
    Command("/rollback", "[N]", "serve version N, or the one before", _rollback),
    Command("/status", "", "the daemon, the model and the next lesson", _status),
    Command("/system", "[TEXT]", "show or set the system prompt; '-' removes it", _system),
    Command("/clear", "", "begin a new conversation", _clear),
    Command("/help", "", "this list", _help),
    Command("/quit", "", "leave (Ctrl-D too)", _quit),
)
