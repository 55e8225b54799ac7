"""Which passes decide how much memory a job takes."""

from __future__ import annotations

from shammah.training import passes
from shammah.training.attention_sizes import weights_kept
from shammah.training.schedule import Step, Turn
from shammah.training.spec import Row

LONG = Row(list(range(190)), list(range(10)))
WORDY = Row(list(range(10)), list(range(60)))
MAX_TOKENS = 210


def test_the_longest_pass_is_among_them_and_the_one_with_the_most_targets() -> None:
    taught, replayed = [[Turn(0, False)]], [[Turn(0, True)], [Turn(0, True)]]
    steps = [Step(taught, 1e-3, 1.0)] * 20 + [Step(taught + replayed, 1e-3, 1.0)]
    found = passes.largest(steps, [LONG], [WORDY], MAX_TOKENS, 1, "cpu")
    assert max(one.tokens for one in found) == len(LONG.prompt) + len(LONG.target) - 1
    assert max(one.targets for one in found) == 2 * len(WORDY.target)


def test_only_a_processor_keeps_the_weights_of_one_sequence_alone() -> None:
    steps = [Step([[Turn(0, False)]], 1e-3, 1.0)]
    on_cpu, on_gpu = (
        passes.largest(steps, [LONG], [], MAX_TOKENS, 1, device) for device in ("cpu", "cuda")
    )
    assert [one.scores for one in on_cpu] == [weights_kept(199)]
    assert [one.scores for one in on_gpu] == [0]
