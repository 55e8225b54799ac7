"""How the chat and the monitor say figures and progress."""

from __future__ import annotations

from shammah.wording import one_line, progress_details


def test_what_a_model_said_cannot_steer_the_terminal() -> None:
    assert one_line("one\x1b[2J\n two\x07") == "one[2J two"


def test_progress_is_told_as_far_as_it_is_known() -> None:
    progress = {"step": 3, "steps": 60, "loss": 0.4123, "tokens_per_second": 812.3}
    assert progress_details(progress) == "step 3/60 · loss 0.412 · 812 tokens/s"
    assert progress_details({"seconds_left": 125.0}) == "2 min 05 s left"
    assert progress_details({}) == ""
