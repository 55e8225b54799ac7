"""The report's plots as SVG texts. Knows numbers and names; knows no job and no page.

matplotlib is loaded when a plot is drawn: nothing else needs it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: From the palette of Okabe and Ito, which colour-blind readers tell apart.
_BLUE, _ORANGE, _GREEN, _GREY = "#0072b2", "#d55e00", "#009e73", "#888888"

_KL_BINS = 24


def loss_curve(nll: Sequence[float], kl: Sequence[float]) -> str:
    """Both parts of the loss, step by step."""

    def draw(axes: Axes) -> None:
        steps = range(1, len(nll) + 1)
        axes.plot(steps, nll, color=_BLUE, label="NLL of the targets")
        axes.plot(steps, kl, color=_ORANGE, label="KL on general prompts")
        axes.set_xlabel("step")
        axes.set_ylabel("nats a token")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)

    return _svg(draw, height_inches=2.8)


def nll_pairs(names: Sequence[str], before: Sequence[float], after: Sequence[float]) -> str:
    """One line an example, from its target's NLL before to that after."""

    def draw(axes: Axes) -> None:
        rows = range(len(names))
        axes.hlines(rows, before, after, color=_GREY, linewidth=1)
        axes.scatter(before, rows, color=_ORANGE, label="before", zorder=2, s=24)
        axes.scatter(after, rows, color=_GREEN, label="after", zorder=2, s=24)
        axes.set_yticks(rows, names)
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_xlabel("NLL of the target in wordings that were not trained, nats a token")
        axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))

    return _svg(draw, height_inches=1.3 + 0.24 * len(names))


def kl_histogram(kl: Sequence[float], limit: float | None) -> str:
    """How far the model moved on each general question."""

    def draw(axes: Axes) -> None:
        axes.hist(kl, bins=_KL_BINS, color=_BLUE)
        mean = sum(kl) / len(kl)
        axes.axvline(mean, color=_ORANGE, label=f"mean {mean:.3f}")
        if limit is not None:
            axes.axvline(limit, color=_GREY, linestyle="--", label=f"limit of the mean {limit:g}")
        axes.set_xlabel("KL to the base, nats a token")
        axes.set_ylabel("general questions")
        axes.legend(frameon=False)

    return _svg(draw, height_inches=2.8)


def _svg(draw: Callable[[Axes], None], height_inches: float) -> str:
    """What `draw` puts on one pair of axes, as an SVG element that fits its column."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # Text stays text, a dollar begins no formula, and the same numbers give the same bytes.
    with matplotlib.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "shammah",
            "text.parse_math": False,
            "font.size": 9,
        }
    ):
        figure = Figure(figsize=(7.2, height_inches), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        buffer = io.StringIO()
        canvas = FigureCanvasSVG(figure)
        canvas.print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    text = buffer.getvalue()
    return text[text.index("<svg") :]
