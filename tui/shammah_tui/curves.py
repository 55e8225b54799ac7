"""Curves over time, drawn by plotext: of a lesson's losses, of the machine. Know no daemon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textual.color import Color
from textual_plotext import PlotextPlot


@dataclass(frozen=True)
class Curve:
    """Points of one line."""

    x: Sequence[float]
    y: Sequence[float]
    colour: str  # the name of a variable of the theme
    marks: bool = False  # single points, not a line


class Curves(PlotextPlot):
    """Lines with one axis, in the colours of the theme; drawn again only when they are others."""

    can_focus = False

    def __init__(self, id: str, title: str) -> None:
        super().__init__(id=id)
        self.border_title = title
        self._curves: Mapping[str, Curve] = {}
        self._ticks: Mapping[float, str] = {}
        self._limits: tuple[float | None, float | None] = (None, None)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._draw())

    def show(
        self,
        curves: Mapping[str, Curve],
        *,
        ticks: Mapping[float, str] | None = None,
        limits: tuple[float | None, float | None] = (None, None),
    ) -> None:
        """`curves` by their names; `ticks`: labels of the x axis; `limits` of the y axis."""
        if curves == self._curves and (ticks or {}) == self._ticks:
            return
        self._curves, self._ticks, self._limits = curves, ticks or {}, limits
        self._draw()

    def _draw(self) -> None:
        plot = self.plt
        plot.clear_data()
        variables = self.app.theme_variables
        drawn = {name: one for name, one in self._curves.items() if len(one.x)}
        for name, one in drawn.items():
            colour = Color.parse(variables[one.colour]).rgb
            label = name if len(self._curves) > 1 else None
            if one.marks or len(one.x) == 1:
                plot.scatter(one.x, one.y, color=colour, label=label, marker="●")
            else:
                plot.plot(one.x, one.y, color=colour, label=label, marker="braille")
        if self._ticks:
            plot.xticks(list(self._ticks), list(self._ticks.values()))
        elif steps := [x for one in drawn.values() for x in one.x]:
            plot.xticks(_whole(min(steps), max(steps)))
        plot.ylim(*self._limits)
        self.refresh()


def _whole(first: float, last: float, number: int = 5) -> list[float]:
    """Whole numbers from first to last: there is no half step."""
    return sorted({round(first + (last - first) * index / (number - 1)) for index in range(number)})
