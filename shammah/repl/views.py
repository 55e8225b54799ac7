"""Examples, jobs, versions, bases and the status laid out as text; pure, prints nothing."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shammah.protocol import (
    AdapterView,
    AppliedView,
    BaseView,
    DiskView,
    ExampleView,
    InboxItem,
    JobView,
    PruneReceipt,
    SessionView,
    Status,
    VersionView,
    VotesView,
    WhyView,
)
from shammah.repl.estimates import in_words
from shammah.repl.transcript import title
from shammah.repl.wording import (
    job_state,
    job_view_end,
    listed,
    progress_short,
    proposal_line,
    until_next_lesson,
)
from shammah.wording import (
    count,
    duration,
    measures,
    moment,
    one_line,
    printable,
    progress_details,
    recipe,
    size,
)


@dataclass(frozen=True)
class Grid:
    """A table: its headings, its rows, and what to say when there are none."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    empty: str


#: As wide as the smallest terminal.
_SHORT_COLUMNS = 80

Groups = Sequence[tuple[str, Sequence[tuple[str, str]]]]


def help_in_short(commands: Groups, keys: Sequence[tuple[str, str]]) -> str:
    """What there is, on one small screen."""
    width = max(len(heading) for heading, _ in commands) + 2
    names = [
        textwrap.fill(
            " ".join(usage.split()[0] for usage, _ in rows),
            _SHORT_COLUMNS,
            initial_indent=f"{heading:<{width}}",
            subsequent_indent=" " * width,
        )
        for heading, rows in commands
    ]
    more = "/help WORD tells what it does: /help train. /help all tells everything."
    return "\n".join([*names, "", help_on([("Keys", keys)], ""), "", more])


def help_on(groups: Groups, word: str) -> str:
    """What can be typed, with what it does; with a word only what has it."""
    width = max(len(usage) for _, rows in groups for usage, _ in rows) + 2
    parts = []
    for heading, rows in groups:
        lines = [
            f"  {usage:<{width}}{description}"
            for usage, description in rows
            if word.casefold() in f"{heading} {usage} {description}".casefold()
        ]
        if lines:
            parts.append("\n".join([heading, *lines]))
    return "\n\n".join(parts) or f"the help has nothing on {word!r}"


def examples(found: list[ExampleView]) -> Grid:
    return Grid(
        headings=("id", "weight", "status", "taught", "question", "target"),
        rows=[
            (
                str(example.id),
                f"{example.weight:>2} {example.level}",
                example.status,
                _taught(example),
                one_line(example.question),
                one_line(example.target),
            )
            for example in found
        ],
        empty="no examples yet: mark an answer with /critical, /medium or /good",
    )


def example(found: ExampleView) -> str:
    lines = _fields(
        id=found.id,
        level=f"{found.level} (weight {found.weight})",
        status=found.status,
        taught=_taught(found),
        superseded_by=found.superseded_by,
        source=found.source,
        note=found.note,
        created=moment(found.created_at),
    )
    lines += [f"{message['role']}: {message['content']}" for message in found.messages]
    lines += _fields(target=found.target, rejected=found.rejected)
    return printable("\n".join(lines))


def inbox(found: list[InboxItem]) -> Grid:
    return Grid(
        headings=("kind", "id", "question", "target", "about"),
        rows=[
            (
                item.kind,
                str(item.example.id),
                one_line(item.example.question),
                one_line(item.example.target),
                _about(item),
            )
            for item in found
        ],
        empty="nothing waits for you",
    )


def inbox_item(item: InboxItem, waiting: int) -> str:
    """One item as it is asked about.

    Args:
        waiting: how many there are, this one included.
    """
    example, older = item.example, item.older
    lines = _fields(
        waiting=waiting,
        kind=item.kind,
        example=example.id,
        about=_about(item),
        question=example.question,
        older_question=older and older.question,
        answered=example.rejected if item.kind == "draft" else None,
        note=example.note,
        target=example.target,
        older_target=older and older.target,
    )
    return printable("\n".join(["", *lines]))


def proposal(text: str) -> str:
    return printable("\n".join(_fields(proposal=text)))


def why(found: WhyView) -> str:
    lines = _fields(
        answer=found.id,
        version=f"{found.version} of {found.base}"
        + ("" if found.version else " (the base itself)"),
        adapters=_applied(found.adapters),
        question=one_line(found.question),
        corrections=None if found.injected else "none was put into the context",
    )
    for example in found.injected:
        lines += _fields(
            example=f"{example.id}, put into the context: this version has not learned it",
            asked=one_line(example.question),
            target=one_line(example.target),
        )
    return printable("\n".join(lines))


def sessions(found: list[SessionView], search: str = "") -> Grid:
    last = "found" if search else "exchanges"
    return Grid(
        headings=("id", "last", "session", last),
        rows=[
            (
                str(session.id),
                moment(session.updated_at),
                title(session),
                one_line(session.found) if search else str(session.exchanges),
            )
            for session in found
        ],
        empty=f"nothing was said of {search!r}" if search else "no sessions yet: ask something",
    )


def jobs(found: list[JobView]) -> Grid:
    several = len({job.base for job in found}) > 1
    return Grid(
        headings=("id", *["base"] * several, "mode", "cause", "state", "created", "result"),
        rows=[
            (
                str(job.id),
                *[job.base] * several,
                job.mode,
                job.cause,
                job.state,
                moment(job.created_at),
                one_line(job.summary or job.error or progress_short(job.progress)),
            )
            for job in found
        ],
        empty="no jobs yet: '/train' in the chat or 'shammah train' queues one",
    )


def job(found: JobView) -> str:
    lines = _fields(
        id=found.id,
        base=found.base,
        mode=found.mode,
        cause=found.cause,
        state=job_state(found),
        stage=found.stage if found.state.is_final else None,
        attempt=found.attempt,
        version=found.version,
        created=moment(found.created_at),
        started=moment(found.started_at),
        finished=moment(found.finished_at),
        progress=None if found.state.is_final else progress_short(found.progress),
        details=None if found.state.is_final else progress_details(found.progress),
        measures=None if found.state.is_final else measures(found.progress),
        preset=found.preset,
        options=", ".join(f"{name} = {value}" for name, value in found.options.items()),
        recipe=recipe(found.recipe) if found.recipe else None,
        estimate=in_words(found.estimate) if found.estimate else None,
        took=in_words(found.took) if found.took else None,
        result=found.summary,
        error=found.error,
        hint=found.hint,
    )
    lines += [
        f"tried: {one.failure} while {one.stage} ({one.message}); then {one.said}"
        for one in found.tried
    ]
    return printable("\n".join(lines + _document("report", found.report)))


def versions(found: list[VersionView]) -> Grid:
    several = len({version.base for version in found}) > 1
    return Grid(
        headings=("", "version", *["base"] * several, "type", "size", "created", "result"),
        rows=[
            (
                "*" if version.active else "",
                str(version.number),
                *[version.base] * several,
                version.quantization,
                "pruned" if version.pruned_at else size(version.disk_bytes or version.size_bytes),
                moment(version.created_at),
                one_line(version.summary),
            )
            for version in found
        ],
        empty="no versions yet",
    )


def prune(found: PruneReceipt, *, done: bool) -> str:
    """What was pruned, or would be, and what stays for which reason."""
    lines = [f"version {number} stays: {why}" for number, why in sorted(found.kept.items())]
    what = "was pruned" if done else "is pruned"
    lines += [f"version {number} {what}" for number in found.pruned]
    freed = f"{size(found.freed_bytes)} {'freed' if done else 'to free'}"
    return "\n".join([*lines, freed if found.pruned else "nothing to prune"])


def version(found: VersionView) -> str:
    lines = _fields(
        version=f"{found.number} (active)" if found.active else found.number,
        base=found.base,
        job=found.job_id,
        type=found.quantization,
        size=size(found.size_bytes),
        disk=size(found.disk_bytes) if found.disk_bytes else None,
        pruned=moment(found.pruned_at),
        sha256=found.sha256,
        created=moment(found.created_at),
        result=found.summary,
        votes=_votes(found.votes),
    )
    lines += _document("manifest", found.manifest) + _document("report", found.report)
    return printable("\n".join(lines))


def adapters(found: list[AdapterView]) -> Grid:
    several = len({adapter.base for adapter in found}) > 1
    return Grid(
        headings=("", "name", *["base"] * several, "rank", "scale", "size", "created", "from"),
        rows=[
            (
                "*" if adapter.loaded else "",
                adapter.name,
                *[adapter.base] * several,
                str(adapter.rank),
                "" if adapter.scale is None else f"{adapter.scale:g}",
                size(adapter.size_bytes),
                moment(adapter.created_at),
                one_line(adapter.origin),
            )
            for adapter in found
        ],
        empty="no adapters yet: a lesson makes one, 'shammah adapters import PATH' takes one in",
    )


def adapter(found: AdapterView) -> str:
    lines = _fields(
        name=found.name,
        loaded=_loaded(found),
        base=f"{found.base} ({found.base_sha256[:12]})",
        rank=found.rank,
        alpha=f"{found.alpha:g} (times {found.scaling:g})",
        modules=", ".join(found.modules),
        size=size(found.size_bytes),
        origin=found.origin,
        remark=found.remark,
        created=moment(found.created_at),
    )
    files = [f"{sha256}  {path}" for path, sha256 in found.files.items()]
    return printable("\n".join([*lines, *files]))


def _loaded(found: AdapterView) -> str:
    if found.loaded:
        return f"at scale {found.scale:g}"
    if found.problem is None:
        return "no"
    chosen = "" if found.scale is None else f"at scale {found.scale:g}, but not added: "
    return f"{chosen or 'no: '}{found.problem}"


def _applied(adapters: Sequence[AppliedView]) -> str | None:
    """`style at 1, terms at 0.5`."""
    return ", ".join(f"{one.name} at {one.scale:g}" for one in adapters) or None


def bases(found: list[BaseView]) -> Grid:
    return Grid(
        headings=("", "name", "architecture", "parameters", "type", "size", "teachable", "from"),
        rows=[
            (
                "*" if base.active else "",
                base.name,
                base.architecture,
                f"{base.parameters / 1e6:.0f} M",
                base.quantization,
                size(base.size_bytes),
                one_line(base.problem) or base.prepared,
                short_source(base.source) if base.source else "",
            )
            for base in found
        ],
        empty="no base models yet: 'shammah model add PATH.gguf' adds one",
    )


def short_source(source: str) -> str:
    """`OWNER/NAME@1a2b3c4` of a reference to a file at a whole commit."""
    where, _, commit = source.removeprefix("hf:").partition("@")
    return f"{'/'.join(where.split('/')[:2])}@{commit[:7]}"


def base(found: BaseView) -> str:
    """Everything that is known of one base."""
    lines = _fields(
        name=found.name + (" (serves)" if found.active else ""),
        architecture=found.architecture,
        parameters=f"{found.parameters / 1e6:.0f} M",
        type=found.quantization,
        size=size(found.size_bytes),
        context=f"{found.context_tokens} tokens",
        file=found.gguf,
        sha256=found.sha256,
        source=found.source,
        weights=found.weights,
        weights_source=found.weights_source,
        teachable=one_line(found.problem) or found.prepared,
    )
    return printable("\n".join(lines))


def use_of(base: BaseView) -> str:
    """What follows from having chosen a base."""
    if base.job_id is None:
        return f"{base.name} serves now"
    return (
        f"job {base.job_id} teaches {base.name} what was taught; "
        "it serves when it has passed the gate"
    )


def status(now: Status) -> str:
    by_status = ", ".join(f"{number} {name}" for name, number in now.examples.items() if number)
    lines = _fields(
        daemon=f"shammah {now.version}, pid {now.pid}, up {duration(now.uptime_seconds)}",
        base=now.base or "none",
        version=now.active_version,
        adapters=_applied(now.adapters),
        engine=_engine(now),
        examples=by_status or "none",
        inbox=_waiting(now),
        proposal=now.proposal and proposal_line(now.proposal),
        lesson=_lesson(now),
        job=_running(now),
        night=_night(now),
        unlearning=_unlearning(now),
        last_job=now.last_job and job_view_end(now.last_job),
        preparation=now.preparation
        and f"{now.preparation.name}: {now.preparation.problem or now.preparation.prepared}",
        room=now.forecast and now.forecast.shortage,
        disk=now.disk and _disk(now.disk),
        home=now.home,
        log=now.log_file,
    )
    return printable("\n".join(lines))


def _about(item: InboxItem) -> str:
    match item.kind:
        case "secret":
            return f"may hold a {', '.join(item.secrets)}"
        case "contradiction":
            return f"example {item.older.id if item.older else 0} gives another answer"
        case "duplicate":
            return f"example {item.older.id if item.older else 0} gives the same answer"
        case "draft":
            return "what the answer should have been is open"


def _waiting(now: Status) -> str | None:
    """What the inbox holds, with the way to it."""
    kinds = ", ".join(count(number, kind) for kind, number in now.inbox.items())
    return kinds and f"{kinds} (/review, or 'shammah examples review')"


def _unlearning(now: Status) -> str | None:
    """What the active version should not know any more, and what else knows it."""
    if now.unlearning:
        ids = listed(now.unlearning)
        return f"version {now.active_version} still knows forgotten example {ids} (/train)"
    if now.obsolete:
        numbers = " ".join(map(str, now.obsolete))
        return f"older versions know what is forgotten ('shammah versions delete {numbers}')"
    return None


def _engine(now: Status) -> str:
    engine = now.engine
    parts: list[str] = [engine.state]
    if engine.memory_bytes is not None:
        parts.append(size(engine.memory_bytes))
    if engine.context_tokens is not None:
        parts.append(f"context {engine.context_tokens} tokens")
    if engine.active_requests:
        parts.append(count(engine.active_requests, "request"))
    if engine.problem:
        parts.append(engine.problem)
    return ", ".join(parts)


def _lesson(now: Status) -> str | None:
    """How many examples have come together, and how many wait although a lesson has tried them."""
    if now.missing <= 0 and now.job is not None:
        return None  # what was due has begun
    gathered = now.threshold - now.missing
    tried = now.waiting - gathered
    text = f"{until_next_lesson(now.missing)} ({gathered} of {now.threshold} so far)"
    if now.missing <= 0 or tried <= 0:
        return text
    return f"{text}; {tried} that the last one tried: /train tries again"


def _running(now: Status) -> str | None:
    if now.job is None:
        return None
    if now.waits:
        return f"{now.job.id}, waits: {now.waits} (/train starts it all the same)"
    said = job_state(now.job)
    working = said == now.job.state and progress_short(now.job.progress)
    return f"{now.job.id}, {working or said}"


def _night(now: Status) -> str | None:
    """When the next one is, as the clock on the wall will show it."""
    return now.next_night and f"the next one is {moment(now.next_night)}"


def _disk(taken: DiskView) -> str:
    parts = {
        "versions": taken.versions_bytes,
        "adapters": taken.adapters_bytes,
        "bases": taken.bases_bytes,
        "jobs": taken.jobs_bytes,
        "database": taken.database_bytes,
        "logs": taken.logs_bytes,
    }
    said = ", ".join(f"{name} {size(number)}" for name, number in parts.items())
    return f"{said}; {size(taken.free_bytes)} free"


def _votes(votes: VotesView) -> str:
    """`better 3 times, worse 1 time, tied 0 times`, or nothing before the first vote."""
    said = {"better": votes.won, "worse": votes.lost, "tied": votes.tied}
    if not any(said.values()):
        return ""
    return ", ".join(f"{name} {count(number, 'time')}" for name, number in said.items())


def _taught(example: ExampleView) -> str:
    if example.verdict is not None:
        return example.verdict.replace("_", " ")
    return "yes" if example.taught else "no"


def _fields(**values: Any) -> list[str]:
    """`name: value` lines, aligned, without the empty ones."""
    shown = {
        name.replace("_", " "): value for name, value in values.items() if value not in (None, "")
    }
    width = max((len(name) for name in shown), default=0) + 2
    return [f"{name + ':':<{width}}{value}" for name, value in shown.items()]


def _document(title: str, content: dict[str, Any] | None) -> list[str]:
    if not content:
        return []
    return [f"{title}:", json.dumps(content, indent=2, ensure_ascii=False)]
