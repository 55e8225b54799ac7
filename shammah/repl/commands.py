"""The table of slash commands: the one place for help, completion and dispatch."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from shammah.errors import UsageError
from shammah.records import Level, Mode
from shammah.repl import attachments, comparing, markdown_blocks, options, sessions, views
from shammah.repl.chat import Chat
from shammah.wording import count, one_line


class Argument(Enum):
    """What completes the word behind a command."""

    EXAMPLE = auto()
    SESSION = auto()
    VERSION = auto()
    JOB = auto()
    BASE = auto()
    OPTION = auto()
    FILE = auto()


@dataclass(frozen=True)
class Command:
    """One slash command; the handler is given what stands behind its name."""

    name: str
    arguments: str
    description: str
    handler: Callable[[Chat, str], None]
    completed_by: Argument | None = None


def is_command(line: str) -> bool:
    """Not where a path begins the line: `/etc/hosts says ...` is a question."""
    return bool(re.match(r"\s*/\w*(\s|$)", line))


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


def help_text(word: str) -> str:
    """What `/help` shows."""
    groups = [
        (title, [(f"{one.name} {one.arguments}".strip(), one.description) for one in commands])
        for title, commands in GROUPS
    ]
    if not word:
        return views.help_in_short(groups, KEYS)
    return views.help_on([*groups, ("Keys", KEYS)], "" if word == "all" else word)


def _help(chat: Chat, argument: str) -> None:
    chat.screen.show(help_text(argument))


def _status(chat: Chat, argument: str) -> None:
    chat.screen.show(views.status(chat.client.status()))


def _train(chat: Chat, argument: str) -> None:
    from shammah.options import parse  # with tomlkit: not while the prompt is awaited

    words = argument.split()
    unknown = next((word for word in words if not _of_train(word)), None)
    if unknown is not None:
        raise UsageError(
            f"/train does not take {unknown!r}",
            hint="say /train [quick] [--deep] [--wait] [SETTING=VALUE]",
        )
    chat.train(
        Mode.QUICK if "quick" in words else Mode.CONSOLIDATE,
        wait="--wait" in words,
        preset="deep" if "--deep" in words else "standard",
        options=parse([word for word in words if "=" in word]),
    )


def _of_train(word: str) -> bool:
    return word in ("quick", "--deep", "--wait") or "=" in word


def _jobs(chat: Chat, argument: str) -> None:
    if argument:
        chat.screen.show(views.job(chat.client.job(_number(argument, "a job", "/jobs"))))
    else:
        chat.screen.show_grid(views.jobs(chat.client.jobs()))


def _versions(chat: Chat, argument: str) -> None:
    chat.screen.show_grid(views.versions(chat.client.versions()))


def _compare(chat: Chat, argument: str) -> None:
    chat.compare(comparing.parse(argument))


def _rollback(chat: Chat, argument: str) -> None:
    number = _number(argument, "a version", "/versions") if argument else None
    active = chat.client.rollback(number)
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
    chat.clear()
    chat.screen.say("a new conversation")


def _undo(chat: Chat, argument: str) -> None:
    undone = chat.undo()
    chat.screen.say(f"taken back: {one_line(undone.question)}")


def _copy(chat: Chat, argument: str) -> None:
    _copied(chat, chat.answer.answer)


def _code(chat: Chat, argument: str) -> None:
    """Of the last answer: block N, else the last one; to a file where one is named."""
    blocks = markdown_blocks.code(chat.answer.answer)
    if not blocks:
        raise UsageError("there is no code in the last answer", hint="/copy copies all of it")
    number, file = _number_and_rest(argument)
    if number is None:
        number = len(blocks)
    if not 1 <= number <= len(blocks):
        raise UsageError(f"the last answer has {count(len(blocks), 'block')} of code")
    if not file:
        _copied(chat, blocks[number - 1])
        return
    sessions.write_new(Path(file).expanduser(), blocks[number - 1])
    chat.screen.say(f"written: {file}")


def _file(chat: Chat, argument: str) -> None:
    if argument == "-":
        chat.attached.clear()
    elif argument:
        chat.attached.append(attachments.read(argument))
    number = len(chat.attached)
    chat.screen.say(
        f"{count(number, 'file')} goes into the next question" if number == 1
        else f"{count(number, 'file')} go into the next question"
    )  # fmt: skip


def _set(chat: Chat, argument: str) -> None:
    name, value = (*argument.split(maxsplit=1), "", "")[:2]
    if name and value:
        chosen = options.value_of(name, value)
        chat.options.pop(name, None)
        if chosen is not None:
            chat.options[name] = chosen
    elif name:
        raise UsageError(f"/set {name} needs a value", hint="'-' takes the default again")
    chat.screen.show(options.lines(chat.options, chat.settings.model_dump()))


def _model(chat: Chat, argument: str) -> None:
    name, *rest = argument.split() or [""]
    if not name:
        chat.screen.show_grid(views.bases(chat.client.bases()))
        return
    if not {*rest} <= {"--now"}:
        raise UsageError(f"/model does not take {argument!r}", hint="say /model [NAME] [--now]")
    base = chat.client.use_base(name, now="--now" in rest)
    chat.screen.say(views.use_of(base))


def _sessions(chat: Chat, argument: str) -> None:
    sessions.show(chat, argument)


def _resume(chat: Chat, argument: str) -> None:
    sessions.resume(chat, _number(argument, "a session", "/sessions") if argument else None)


def _fork(chat: Chat, argument: str) -> None:
    exchanges = _number(argument, "a number of exchanges", "/help") if argument else None
    sessions.fork(chat, exchanges)


def _rename(chat: Chat, argument: str) -> None:
    sessions.rename(chat, argument)


def _export(chat: Chat, argument: str) -> None:
    sessions.export(chat, argument)


def _delete(chat: Chat, argument: str) -> None:
    words = argument.split()
    number = " ".join(word for word in words if word != "--yes")
    sessions.delete(
        chat,
        _number(number, "a session", "/sessions") if number else None,
        yes="--yes" in words,
    )


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


def _copied(chat: Chat, text: str) -> None:
    chat.screen.copy(text)
    chat.screen.say(f"copied: {count(len(text), 'character')}")


def _number(text: str, what: str, listed_by: str) -> int:
    if not text.isdecimal():
        raise UsageError(f"{text!r} is not {what}", hint=f"{listed_by} lists them")
    return int(text)


def _number_and_rest(text: str) -> tuple[int | None, str]:
    first, rest = (*text.split(maxsplit=1), "", "")[:2]
    return (int(first), rest.strip()) if first.isdecimal() else (None, text)


GROUPS: tuple[tuple[str, tuple[Command, ...]], ...] = (
    (
        "The last answer",
        (
            Command("/critical", "[note]", "the last answer is badly wrong", _critical),
            Command("/medium", "[note]", "the last answer is wrong", _medium),
            Command("/good", "[note]", "the last answer is right", _good),
            Command("/fix", "ANSWER", "what the answer should have been", _fix),
            Command("/why", "", "which version answered, and what helped", _why),
            Command("/retry", "", "ask the last question again", _retry),
            Command("/undo", "", "take the last question back", _undo),
            Command("/copy", "", "copy the last answer", _copy),
            Command(
                "/code", "[N] [FILE]", "copy the answer's code, or write it", _code, Argument.FILE
            ),
        ),
    ),
    (
        "The next question",
        (
            Command(
                "/file", "PATH", "put a file into the next question; '-' none", _file, Argument.FILE
            ),
            Command("/system", "[TEXT]", "the system prompt; '-' removes it", _system),
            Command("/set", "[NAME VALUE]", "how answers are chosen", _set, Argument.OPTION),
            Command(
                "/model",
                "[NAME] [--now]",
                "the base models; NAME serves another one",
                _model,
                Argument.BASE,
            ),
        ),
    ),
    (
        "Sessions",
        (
            Command("/clear", "", "begin a new session", _clear),
            Command("/sessions", "[WORDS]", "list sessions, or search in them", _sessions),
            Command("/resume", "[ID]", "go on with a session", _resume, Argument.SESSION),
            Command("/fork", "[N]", "go on in a copy of this session", _fork),
            Command("/rename", "NAME", "give this session a name", _rename),
            Command(
                "/export", "[FILE]", "write this session: .md or .json", _export, Argument.FILE
            ),
            Command(
                "/delete", "[ID] [--yes]", "delete a session for good", _delete, Argument.SESSION
            ),
        ),
    ),
    (
        "What is learned",
        (
            Command(
                "/train",
                "[quick] [--deep] [--wait]",
                "teach now what was corrected",
                _train,
            ),
            Command("/jobs", "[ID]", "lessons that run or have ended", _jobs, Argument.JOB),
            Command("/examples", "", "what was recorded", _examples),
            Command("/review", "", "what waits for your word, one by one", _review),
            Command(
                "/forget",
                "ID [--now] [--yes]",
                "erase an example; --now teaches the rest",
                _forget,
                Argument.EXAMPLE,
            ),
            Command("/versions", "", "what was learned, version by version", _versions),
            Command("/compare", "[A B] QUESTION [--blind]", "two versions side by side", _compare),
            Command(
                "/rollback",
                "[N]",
                "serve version N, or the one before",
                _rollback,
                Argument.VERSION,
            ),
        ),
    ),
    (
        "Shammah",
        (
            Command("/status", "", "the daemon, the model, the next lesson", _status),
            Command("/help", "[WORD]", "what there is; what has WORD in it; all", _help),
            Command("/quit", "", "leave", _quit),
        ),
    ),
)

COMMANDS = tuple(command for _, commands in GROUPS for command in commands)

#: For the help. The bindings are in `prompts`.
KEYS = (
    ("Alt-g  Alt-m  Alt-c", "/good, /medium, /critical, on an empty line"),
    ("Alt-Enter", 'a new line; also between """ and """'),
    ("Ctrl-G", "write in your editor ($EDITOR)"),
    ("Ctrl-R", "search what you typed before"),
    ("Tab", "complete commands, ids, models and files"),
    ("Ctrl-C", "stop the answer, or clear the line"),
    ("Ctrl-D", "leave"),
)
