"""The paper that pictures are drawn on: SVG that follows the reader's light or dark background.

Colours are Okabe & Ito's, which colour-blind readers can tell apart, https://jfly.uni-koeln.de/color/;
arms also differ in marker and dash. Text and axes take the page's own colour.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from io import StringIO
from math import ceil
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation

from runner.foreign import visible

FOREGROUND = "#1b2c3d"  # stands for the page's text colour and is replaced by it
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", FOREGROUND)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
STYLE: Any = {
    "svg.fonttype": "path",
    "axes.formatter.limits": (-3, 5),
    "svg.hashsalt": "runner",  # the same picture gives the same file
    "font.size": 10,
    "axes.titlesize": 10,
    "text.color": FOREGROUND,
    "axes.labelcolor": FOREGROUND,
    "axes.edgecolor": FOREGROUND,
    "xtick.color": FOREGROUND,
    "ytick.color": FOREGROUND,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
}
THEME = "<style>svg{color:#1f2328}@media (prefers-color-scheme:dark){svg{color:#e6edf3}}</style>"
WIDTH, HEIGHT = 4.4, 3.1  # of a panel, in inches


@dataclass(frozen=True)
class Picture:
    """A figure with what it shows in words."""

    name: str
    caption: str
    svg: str
    folder: str = "figures"

    @property
    def path(self) -> str:
        """Where it is kept, from the folder of the report."""
        return f"{self.folder}/{self.name}.svg"


class PlainNumbers(LogFormatterSciNotation):
    """0.3 instead of 3 × 10⁻¹, where no number on the axis is long."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        told: str = super().__call__(x, pos)
        low, high = sorted(self.axis.get_view_interval())  # type: ignore[union-attr]
        return f"{x:g}" if told and low >= 5e-4 and high <= 1e5 else told


@contextmanager
def drawing() -> Iterator[None]:
    """In this block figures have the style of the reports."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a sign that the font lacks, or a huge number, is seen
        yield


def empty_panels(count: int, height: float = HEIGHT) -> tuple[Figure, list[Axes]]:
    """A figure with this number of empty panels, two in a row."""
    columns = min(count, 2)
    rows = ceil(count / columns)
    figure = Figure(figsize=(WIDTH * columns, height * rows), layout="constrained")
    if engine := figure.get_layout_engine():
        engine.set(h_pad=0.1, w_pad=0.08)  # type: ignore[call-arg]
    axes = [figure.add_subplot(rows, columns, n + 1) for n in range(count)]
    for axis in axes:
        axis.grid(color=FOREGROUND, alpha=0.12, linewidth=0.8)
        axis.set_axisbelow(True)
    return figure, axes


def label(text: str) -> str:
    """Foreign text for an axis, in which a $ begins no formula."""
    return visible(text).replace("$", r"\$")


def style_of(number: int) -> dict[str, Any]:
    return {
        "color": COLORS[number % len(COLORS)],
        "marker": MARKERS[number % len(MARKERS)],
        "markeredgewidth": 0,
    }


def dash_of(number: int) -> Any:
    return DASHES[number % len(DASHES)]


def add_band(
    axis: Axes, x: np.ndarray, mean: np.ndarray, spread: np.ndarray, color: str, log: bool = False
) -> None:
    """A band of one spread around a mean; on a logarithmic axis it does not reach 0."""
    low = np.maximum(mean - spread, mean / 10) if log else mean - spread
    axis.fill_between(x, low, mean + spread, color=color, alpha=0.18, linewidth=0)


def add_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, below them."""
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(str(label), handle)
    longest = max((len(label) for label in handles), default=1)
    columns = max(1, min(len(handles), int(figure.get_figwidth() * 11 / (longest + 6))))
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns)


def set_scale(axis: Axes, which: str, log: bool) -> None:
    """A logarithmic axis, or a few round numbers on a linear one."""
    if log:
        axis.set_xscale("log") if which == "x" else axis.set_yscale("log")
        along = axis.xaxis if which == "x" else axis.yaxis
        along.set_major_formatter(PlainNumbers())
        along.set_minor_formatter(PlainNumbers())
    else:
        axis.locator_params(axis=which, nbins=5)  # type: ignore[arg-type]


def spans_decades(lines: Sequence[Any], vertical: bool = False, factor: float = 100) -> bool:
    """Whether all values are positive and the largest is over a hundred times the smallest."""
    data = [line.get_ydata() if vertical else line.get_xdata() for line in lines]
    values = np.concatenate([np.asarray(d, dtype=float) for d in data]) if data else np.array([])
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() > 0 and values.max() > factor * values.min())


def log_if_wide(axis: Axes) -> None:
    """A logarithmic y axis where the largest value would leave no room for the others."""
    if spans_decades(axis.get_lines(), vertical=True, factor=20):
        set_scale(axis, "y", log=True)


def as_picture(name: str, caption: str, figure: Figure) -> Picture:
    """The figure as SVG without size limits, in the reader's colours."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(FOREGROUND, "currentColor")
    # Names inside one picture must not meet those of another on the same page.
    svg = re.sub(r'(id="|xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
    head, rest = svg.split(">", 1)
    # Two panels side by side are not made smaller than can be read; a narrow page scrolls them.
    wide = ' class="wide"' if figure.get_figwidth() > 1.5 * WIDTH else ""
    svg = f'{head}{wide} role="img" aria-label="{escape(caption)}">{THEME}{rest}'
    return Picture(name, caption, svg)
