"""The colours of the monitor in the dark and in the light; Textual's others can be chosen too."""

from __future__ import annotations

from textual.theme import Theme

#: Textual's own dark one: it can be read.
DARK = "textual-dark"

#: Textual's light one has an accent that is pale on white.
LIGHT = Theme(
    name="shammah-light",
    primary="#00518f",
    secondary="#0178d4",
    accent="#8f3d00",
    warning="#8a5a00",
    error="#a3123f",
    success="#1e6b2e",
    foreground="#1c1c1c",
    background="#f4f4f4",
    surface="#ffffff",
    panel="#e4e8ec",
    dark=False,
)
