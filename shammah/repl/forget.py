"""Forgets an example with the user: asks first, and at the end about versions that know it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shammah.client import Client
from shammah.protocol import ExampleView, ForgetReceipt, JobEvent
from shammah.records import JobState
from shammah.repl import views
from shammah.repl.asker import Asker
from shammah.repl.follow import follow
from shammah.repl.wording import job_view_end, listed

YES = "y"


def forget(
    client: Client,
    example_id: int,
    *,
    asker: Asker | None,
    say: Callable[[str], None],
    show_progress: Callable[[Iterator[JobEvent]], None],
    now: bool,
) -> ForgetReceipt | None:
    """What was done; None when the user changed their mind.

    Args:
        asker: who can be asked; None where nobody is there, or wants to be.
        now: start the lesson that unlearns it, and wait for its end.
    """
    if asker is not None and not _is_sure(asker, client.example(example_id)):
        say("nothing was forgotten")
        return None
    receipt = client.forget(example_id, now=now)
    say(receipt.message)
    if now and receipt.job_id is not None:
        show_progress(follow(client, receipt.job_id))
        job = client.job(receipt.job_id)
        say(job_view_end(job))
        if job.state is not JobState.PROMOTED:
            say(f"what version {receipt.active_version} learned of it is still there")
    return receipt


def delete_obsolete(
    client: Client, *, asker: Asker | None, say: Callable[[str], None], yes: bool
) -> None:
    """Delete, after a question, the versions that know what the active one has forgotten.

    Args:
        yes: without the question.
    """
    numbers = client.status().obsolete
    if not numbers:
        return
    which = f"versions that were taught what is forgotten now: {listed(numbers)}"
    if not yes and asker is None:
        say(f"{which}; 'shammah versions delete {' '.join(map(str, numbers))}' removes them")
        return
    if not yes and asker is not None:
        asker.show(f"{which}. Without them no rollback leads there.")
        if asker.choose({YES: "delete them", "n": "keep them"}) != YES:
            return
    for number in numbers:
        client.delete_version(number)
    say(f"deleted version {listed(numbers)}")


def _is_sure(asker: Asker, example: ExampleView) -> bool:
    asker.show(views.example(example))
    return asker.choose({YES: "forget it for ever", "n": "keep it"}) == YES
