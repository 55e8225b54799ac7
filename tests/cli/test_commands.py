"""Every command against the stand-in: what goes to stdout, what to stderr, which exit code."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from shammah.paths import Paths
from shammah.protocol import (
    BaseView,
    ExampleView,
    FeedbackReceipt,
    ForgetReceipt,
    InboxItem,
    JobEvent,
    JobView,
    PruneReceipt,
    Status,
    StepView,
    VersionView,
    WhyView,
)
from shammah.records import Job, JobState
from shammah_daemon.outcome import summary_of
from tests.cli.fake.shammah_daemon.app import NOW, STAGES, State

if TYPE_CHECKING:
    from tests.cli.conftest import Shammah

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    ("arguments", "stdout"),
    [
        (("ask", "why?"), "answer 0 to why?\n"),
        (("feedback", "critical"), "recorded as critical, weight 10; 10 missing\n"),
        (("train",), "job 1 is queued\n"),
        (("model", "use", "fake", "--now"), "fake serves now\n"),
        (("config", "get", "training.rank"), "32\n"),
    ],
)
def test_the_real_command_does_what_it_does_here(
    shammah: Shammah, process: Shammah, arguments: tuple[str, ...], stdout: str
) -> None:
    shammah("ask", "what?")
    done = process(*arguments)
    assert (done.stdout, done.stderr, done.returncode) == (stdout, "", 0)


@pytest.mark.parametrize("outcome", [JobState.PROMOTED, JobState.REJECTED, JobState.CANCELLED])
def test_the_stand_in_says_the_daemons_sentences(
    shammah: Shammah, stand_in: State, outcome: JobState
) -> None:
    stand_in.outcome = outcome
    found = json.loads(shammah("train", "--wait", "--json").stdout)
    known = {field.name: found[field.name] for field in fields(Job) if field.name in found}
    assert found["summary"] == summary_of(Job(**known)) != ""


def test_ask_starts_the_daemon_and_prints_the_answer_alone(process: Shammah) -> None:
    done = process("ask", "why?")
    assert done.stdout == "answer 0 to why?\n"
    assert done.returncode == 0


def test_ask_adds_piped_input_to_the_question(shammah: Shammah) -> None:
    assert shammah("ask", "sum up:", stdin="a text\n").stdout == "answer 0 to sum up:\n\na text\n"


def test_ask_dash_reads_the_question(shammah: Shammah) -> None:
    assert shammah("ask", "-", stdin="why?\n").stdout == "answer 0 to why?\n"


def test_ask_without_a_question_is_a_usage_error(shammah: Shammah) -> None:
    done = shammah("ask")
    assert done.returncode == 2
    assert done.stderr == "error: there is no question\nhint: shammah ask TEXT, or pipe it in\n"


def test_ask_json_has_the_four_fields(shammah: Shammah) -> None:
    answer = json.loads(shammah("ask", "--json", "why?").stdout)
    assert answer == {
        "id": "chatcmpl-1",
        "answer": "answer 0 to why?",
        "version": 0,
        "tokens_per_second": 98.0,
    }


def test_ask_says_that_a_correction_helped_and_why_shows_it(shammah: Shammah) -> None:
    shammah("ask", "what?")
    shammah("feedback", "critical", "--correction", "that")
    done = shammah("ask", "helped")
    assert done.stdout == "answer 0 to helped\n"
    assert "your correction helped: example 1" in done.stderr
    shown = shammah("why").stdout
    assert "0 of fake (the base itself)" in shown
    assert "what?" in shown
    assert "that" in shown
    found = WhyView.model_validate_json(shammah("why", "--json").stdout)
    assert (found.question, [one.id for one in found.injected]) == ("helped", [1])
    assert "none was put into the context" in shammah("why", "chatcmpl-1").stdout


def test_why_names_an_unknown_answer(shammah: Shammah) -> None:
    shammah("ask", "what?")
    done = shammah("why", "chatcmpl-none")
    assert done.returncode == 1
    assert "'chatcmpl-none'" in done.stderr


def test_ask_says_that_messages_were_left_out(shammah: Shammah) -> None:
    done = shammah("ask", "long")
    assert done.stdout == "answer 0 to long\n"
    assert "2 oldest messages left out" in done.stderr


def test_ask_keeps_the_part_before_an_engine_crash_and_fails(shammah: Shammah) -> None:
    done = shammah("ask", "crash")
    assert done.stdout == "answer 0\n"
    assert done.stderr == "error: the engine ended while it answered\nhint: again\n"
    assert done.returncode == 1


def test_feedback_before_any_answer_fails_with_the_daemons_error(shammah: Shammah) -> None:
    done = shammah("feedback", "critical")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no answer with the id")


def test_feedback_on_an_id_with_a_correction_makes_a_ready_example(shammah: Shammah) -> None:
    shammah("ask", "one")
    shammah("ask", "two")
    done = shammah(
        "feedback", "medium", "--id", "chatcmpl-1", "--correction", "right", "--note", "n", "--json"
    )
    receipt = FeedbackReceipt.model_validate_json(done.stdout)
    assert (receipt.inference_id, receipt.target, receipt.status) == (
        "chatcmpl-1",
        "right",
        "ready",
    )


def test_feedback_takes_no_other_level(shammah: Shammah) -> None:
    assert shammah("feedback", "awful").returncode == 2


def test_examples_are_listed_shown_edited_and_forgotten(shammah: Shammah) -> None:
    shammah("ask", "why?")
    shammah("feedback", "critical")
    assert "draft" in shammah("examples", "list").stdout
    assert shammah("examples", "edit", "1", "--target", "because").returncode == 0
    assert "target:   because" in shammah("examples", "show", "1").stdout
    assert shammah("examples", "forget", "1").returncode == 0
    done = shammah("examples", "list")
    assert done.stdout == ""
    assert "no examples yet" in done.stderr


def test_edit_without_a_target_opens_the_editor_on_the_present_one(
    shammah: Shammah, monkeypatch: pytest.MonkeyPatch
) -> None:
    shammah("ask", "why?")
    shammah("feedback", "critical", "--correction", "because")
    monkeypatch.setenv("EDITOR", "sed -i s/because/why.not/")
    assert shammah("examples", "edit", "1").returncode == 0
    assert "target:   why.not" in shammah("examples", "show", "1").stdout


def test_an_editor_that_fails_changes_nothing(
    shammah: Shammah, monkeypatch: pytest.MonkeyPatch
) -> None:
    shammah("ask", "why?")
    shammah("feedback", "critical", "--correction", "because")
    monkeypatch.setenv("EDITOR", "false")
    done = shammah("examples", "edit", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the editor 'false' ended with exit code 1")
    assert "target:   because" in shammah("examples", "show", "1").stdout


def test_review_without_a_terminal_lists_what_waits(shammah: Shammah, process: Shammah) -> None:
    shammah("ask", "why?")
    assert "nothing waits for you" in shammah("examples", "review").stderr
    shammah("feedback", "critical")
    assert shammah("examples", "review").stdout.splitlines()[1].split()[:3] == [
        "draft",
        "1",
        "why?",
    ]
    assert "1 draft (/review" in shammah("status").stdout
    assert "draft" in process(stdin="/review\n").stdout


def teach(shammah: Shammah) -> None:
    shammah("ask", "why?")
    shammah("feedback", "good")
    shammah("train", "--wait")


def test_forget_now_waits_and_keeps_the_older_versions_unless_told(shammah: Shammah) -> None:
    teach(shammah)
    done = shammah("examples", "forget", "1", "--now")
    assert done.stdout.splitlines() == [
        "example 1 is forgotten",
        "job 2: learned 9 of 10; 1 still wrong. Version 2 answers now.",
    ]
    assert "'shammah versions delete 1' removes them" in done.stderr
    assert shammah("versions", "show", "1").returncode == 0
    assert shammah("versions", "delete", "1").stderr == "version 1 is deleted\n"
    assert shammah("versions", "show", "1").returncode == 1


def test_forget_yes_deletes_the_versions_that_know_it(shammah: Shammah) -> None:
    teach(shammah)
    done = shammah("examples", "forget", "1", "--now", "--yes", "--json")
    assert ForgetReceipt.model_validate_json(done.stdout).versions == [1]
    assert "deleted version 1" in done.stderr
    assert "version 1" not in shammah("versions", "list").stdout


def test_a_table_in_a_pipe_is_not_cropped(shammah: Shammah) -> None:
    question = "why " * 100
    shammah("ask", question)
    shammah("feedback", "good")
    assert question.strip() in shammah("examples", "list").stdout


def test_train_wait_says_progress_on_stderr_and_the_result_on_stdout(shammah: Shammah) -> None:
    done = shammah("train", "--wait")
    assert done.stdout == "job 1: learned 9 of 10; 1 still wrong. Version 1 answers now.\n"
    assert done.stderr.splitlines() == [
        "job 1: training",
        "job 1: merging",
        "job 1: quantizing",
        "job 1: judging",
    ]
    assert done.returncode == 0


def test_train_wait_fails_when_the_gate_rejects(shammah: Shammah, stand_in: State) -> None:
    stand_in.outcome = JobState.REJECTED
    done = shammah("train", "--wait", "--json")
    assert JobView.model_validate_json(done.stdout).state == "rejected"
    assert "error: job 1 has not promoted a version: rejected" in done.stderr
    assert done.returncode == 1


def test_a_dry_run_says_how_a_lesson_would_compute_and_begins_none(shammah: Shammah) -> None:
    done = shammah("train", "--dry-run", "--mode", "quick")
    assert done.stdout.splitlines() == [
        "device: cpu: the stand-in computes nothing, quick or not",
        "estimate: none, there is nothing to teach yet",
    ]
    assert json.loads(shammah("train", "--dry-run", "--json").stdout)["device"] == "cpu"
    assert "no jobs yet" in shammah("jobs", "list").stderr


def test_train_takes_a_mode(shammah: Shammah) -> None:
    assert json.loads(shammah("train", "--mode", "quick", "--json").stdout)["mode"] == "quick"
    assert shammah("train", "--mode", "move").returncode == 2


def test_two_versions_answer_side_by_side(shammah: Shammah) -> None:
    shammah("ask", "why?")
    done = shammah("versions", "compare", "1", "2", "why?")
    assert "answer 1 to why?" in done.stdout
    assert "answer 2 to why?" in done.stdout
    found = json.loads(shammah("versions", "compare", "--json", "why?").stdout)
    assert [found["first"]["version"], found["second"]["version"]] == [0, 1]


def test_a_blind_comparison_needs_somebody_who_looks(shammah: Shammah) -> None:
    done = shammah("versions", "compare", "--blind", "why?")
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr


def test_a_base_that_has_to_learn_first_is_said_to(shammah: Shammah) -> None:
    shammah("ask", "why?")
    assert "job 7 teaches fake what was taught" in shammah("model", "use", "fake").stdout
    assert shammah("model", "use", "fake", "--now").stdout == "fake serves now\n"


def test_train_without_wait_returns_at_once(shammah: Shammah) -> None:
    assert shammah("train").stdout == "job 1 is queued\n"


def test_a_version_is_shown_as_a_page(shammah: Shammah, tmp_path: Path) -> None:
    shammah("ask", "<b>why</b> & where?")
    shammah("feedback", "good")
    shammah("train", "--wait")
    file = tmp_path / "report.html"
    done = shammah("versions", "show", "1", "--html", str(file))
    assert (done.returncode, done.stdout) == (0, f"{file}\n")
    text = file.read_text(encoding="utf-8")
    assert "&lt;b&gt;why&lt;/b&gt; &amp; where?" in text
    assert "<b>why" not in text
    assert text.count("<svg") == 3


def test_a_rejected_job_is_shown_as_a_page(
    shammah: Shammah, stand_in: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.outcome = JobState.REJECTED
    shammah("train", "--wait")
    monkeypatch.chdir(tmp_path)
    assert shammah("jobs", "show", "1", "--html").stdout == "shammah-job-1.html\n"
    assert "Job 1: rejected" in Path("shammah-job-1.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("versions", "show", "0", "--html"), "version 0 is the base itself"),
        (("versions", "show", "1", "report.html"), "report.html is not written without --html"),
        (("versions", "show", "1", "--html", "--json"), "two forms"),
        (("versions", "show", "1", "--html", "/nowhere/x.html"), "cannot write /nowhere/x.html"),
    ],
)
def test_a_page_that_cannot_be_is_refused(
    shammah: Shammah, arguments: tuple[str, ...], problem: str
) -> None:
    shammah("train", "--wait")
    done = shammah(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr


def test_a_job_without_a_report_has_no_page(shammah: Shammah, stand_in: State) -> None:
    stand_in.stage_seconds = 30
    shammah("train")
    done = shammah("jobs", "show", "1", "--html")
    assert (done.returncode, done.stdout) == (2, "")
    assert "job 1 has no report" in done.stderr


def test_a_job_is_cancelled(shammah: Shammah, stand_in: State) -> None:
    stand_in.stage_seconds = 30
    shammah("train")
    assert shammah("jobs", "cancel", "1").stdout == "job 1: The lesson was cancelled.\n"


def test_the_log_of_a_job_has_its_states_with_their_times_and_its_steps(shammah: Shammah) -> None:
    shammah("train", "--wait")
    at = f"{datetime.fromisoformat(NOW).astimezone():%Y-%m-%d %H:%M:%S}"
    assert shammah("jobs", "logs", "1").stdout.splitlines() == [
        f"{at} training",
        f"{'':19} step 1 · loss 1 · nll 1 · kl 0",
        f"{'':19} step 2 · loss 0.5 · nll 0.5 · kl 0",
        f"{at} merging",
        f"{at} quantizing",
        f"{at} judging",
        f"{at} promoted: learned 9 of 10; 1 still wrong. Version 1 answers now.",
    ]


def test_the_log_of_a_job_is_followed_to_its_end(shammah: Shammah, stand_in: State) -> None:
    stand_in.stage_seconds = 0.3
    shammah("train")
    stopped = shammah("jobs", "logs", "1", "--json").stdout.splitlines()
    lines = shammah("jobs", "logs", "1", "--follow", "--json").stdout.splitlines()
    events = [JobEvent.model_validate_json(line) for line in lines if '"kind"' in line]
    steps = [StepView.model_validate_json(line) for line in lines if '"step"' in line]
    assert [event.data["state"] for event in events] == [*STAGES, "promoted"]
    assert [step.step for step in steps] == [1, 2]
    assert lines[: len(stopped)] == stopped
    assert len(stopped) < len(lines) == len(events) + len(steps)


def test_rollback_serves_the_version_before(shammah: Shammah) -> None:
    shammah("train", "--wait")
    assert shammah("ask", "why?").stdout == "answer 1 to why?\n"
    assert shammah("versions", "rollback").stdout == "version 0 of fake serves now\n"
    assert shammah("ask", "why?").stdout == "answer 0 to why?\n"


def test_a_push_says_who_will_be_able_to_read_it_and_waits_for_a_word(shammah: Shammah) -> None:
    shammah("train", "--wait")
    for option, readers in ((), "only you"), (("--public",), "EVERYBODY"):
        refused = shammah("versions", "push", "1", "hf:me/it", *option)
        assert refused.returncode == 2
        assert readers in refused.stderr
        assert "hf:me/it" in refused.stderr
        assert "nothing is pushed without a word" in refused.stderr


def test_a_base_is_shown_with_what_is_known_of_it(shammah: Shammah) -> None:
    shown = shammah("model", "show", "fake").stdout
    assert "fake (serves)" in shown
    assert "/fake.gguf" in shown
    assert BaseView.model_validate_json(shammah("model", "show", "fake", "--json").stdout)
    assert shammah("model", "show", "other").returncode == 1


def test_versions_are_pruned_after_a_word(shammah: Shammah) -> None:
    for _ in range(2):
        shammah("train", "--wait")
    assert "version 1 is pruned" in shammah("versions", "prune", "--keep", "1", "--dry-run").stdout
    refused = shammah("versions", "prune", "--keep", "1")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "nothing is pruned without a word" in refused.stderr
    done = shammah("versions", "prune", "--keep", "1", "--yes")
    assert done.stdout.splitlines() == [
        "version 2 stays: newest",
        "version 1 was pruned",
        "1 MB freed",
    ]
    again = shammah("versions", "prune", "--keep", "1", "--yes", "--json")
    assert PruneReceipt.model_validate_json(again.stdout).pruned == []


def test_an_unknown_record_fails_with_its_id(shammah: Shammah) -> None:
    for noun in ("examples", "jobs", "versions"):
        done = shammah(noun, "show", "7")
        assert (done.returncode, done.stdout) == (1, "")
        assert "7" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "model"),
    [
        (("status",), Status),
        (("examples", "list"), ExampleView),
        (("examples", "show", "1"), ExampleView),
        (("examples", "review"), InboxItem),
        (("jobs", "list"), JobView),
        (("jobs", "show", "1"), JobView),
        (("versions", "list"), VersionView),
        (("versions", "show", "0"), VersionView),
        (("model", "list"), BaseView),
    ],
)
def test_json_is_exactly_the_protocols_models(
    shammah: Shammah, arguments: tuple[str, ...], model: type[BaseModel]
) -> None:
    for question, level in (("how?", "critical"), ("why?", "good")):
        shammah("ask", question)
        shammah("feedback", level)
    shammah("train")
    data = json.loads(shammah(*arguments, "--json").stdout)
    for item in data if isinstance(data, list) else [data]:
        assert model.model_validate(item).model_dump(mode="json") == item


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("jobs", "list"),
        ("versions", "list"),
        ("examples", "list"),
        ("sessions", "list"),
        ("daemon", "stop"),
    ],
)
def test_without_a_daemon_a_look_fails_with_3(
    process: Shammah, paths: Paths, arguments: tuple[str, ...]
) -> None:
    done = process(*arguments)
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: no daemon answers on {paths.socket}\nhint: start it")


def test_a_negative_number_is_a_value_and_no_option(shammah: Shammah) -> None:
    assert shammah("config", "set", "engine.gpu_layers", "-1").returncode == 0
    refused = shammah("config", "set", "training.patience", "-1")
    assert refused.returncode == 2
    assert "training.patience = -1" in refused.stderr


def test_config_is_set_and_got_without_a_daemon(shammah: Shammah) -> None:
    assert shammah("config", "set", "training.rank", "8").returncode == 0
    assert shammah("config", "get", "training.rank").stdout == "8\n"
    assert json.loads(shammah("config", "list", "--json").stdout)["training.rank"] == 8


def test_values_are_printed_as_they_are_set(shammah: Shammah) -> None:
    ladder = '["Q5_K_M", "Q8_0"]'
    assert shammah("config", "set", "gate.quantizations", ladder).returncode == 0
    assert shammah("config", "get", "gate.quantizations").stdout == f"{ladder}\n"
    assert f"  {ladder}  " in shammah("config", "list").stdout
    assert shammah("config", "get", "learning.inject").stdout == "true\n"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("chat.keys", "vi", "chat.keys = vi; the next chat uses it\n"),
        (
            "chat.max_tokens",
            "9",
            "chat.max_tokens = 9; 'shammah daemon restart' makes it take effect\n",
        ),
    ],
)
def test_it_is_said_when_a_setting_takes_effect(
    shammah: Shammah, key: str, value: str, said: str
) -> None:
    assert shammah("config", "set", key, value).stderr == said


@pytest.mark.parametrize(
    ("more", "what"), [((), "everything"), (("--no-models",), "everything but the versions")]
)
def test_what_a_backup_holds_is_said(
    shammah: Shammah, tmp_path: Path, more: tuple[str, ...], what: str
) -> None:
    file = tmp_path / "backup"
    done = shammah("backup", str(file), *more)
    assert done.stderr.endswith(f"{file} holds {what} (0.0 MB): keep it to yourself\n")


@pytest.mark.parametrize("arguments", [("get", "no.key"), ("set", "training.rank", "0")])
def test_a_bad_key_or_value_is_a_configuration_error(
    shammah: Shammah, arguments: tuple[str, ...]
) -> None:
    done = shammah("config", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


def test_an_unwritable_home_is_named(
    shammah: Shammah, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SHAMMAH_HOME", str(tmp_path / "file" / "home"))
    done = shammah("ask", "why?")
    assert done.returncode == 1
    assert str(tmp_path / "file" / "home") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_job_is_paused_and_resumed(shammah: Shammah, stand_in: State) -> None:
    stand_in.stage_seconds = 30
    shammah("train")
    assert "shammah jobs resume 1" in shammah("jobs", "pause", "1").stdout
    assert "paused" in shammah("status").stdout
    assert shammah("jobs", "resume", "1").stdout == "job 1 is queued\n"
