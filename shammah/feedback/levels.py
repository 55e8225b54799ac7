"""How much each level of feedback weighs. Knows only the settings."""

from __future__ import annotations

from shammah.config import LearningConfig
from shammah.records import Level


def weight_of(level: Level, learning: LearningConfig) -> int:
    """The weight that an example of this level gets."""
    match level:
        case Level.CRITICAL:
            return learning.weight_critical
        case Level.MEDIUM:
            return learning.weight_medium
        case Level.GOOD:
            return learning.weight_good
