"""The pictures of a search's report, each with a caption."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.reporting.canvas import (
    COLORS,
    FOREGROUND,
    HEIGHT,
    WIDTH,
    Picture,
    as_picture,
    drawing,
    empty_panels,
    label,
    log_if_wide,
)
from runner.runs.folder import RunFolder
from runner.search.findings import progress_of
from runner.search.record import Record
from runner.search.samplers import LAMBDAS, LR
from runner.search.space import Setting, place_of

# From worse to better; seen on light and dark paper, and by the colour-blind.
MAP = LinearSegmentedColormap.from_list("values", [COLORS[1], "#999999", COLORS[0]])


def pictures_of_search(record: Record, folder: Path) -> list[Picture]:
    """All figures for which the search has something to show."""
    makers: tuple[Callable[[Record, Path], Picture | None], ...] = (
        draw_progress, draw_scatter, draw_parallel, draw_importance, draw_curves,
    )  # fmt: skip
    with drawing():
        return [picture for make in makers if (picture := make(record, folder))]


def draw_progress(record: Record, folder: Path) -> Picture | None:
    """The best value so far against what it took."""
    found = [p for p in progress_of(record, folder) if p.best is not None]
    if not found:
        return None
    figure, axes = empty_panels(2)
    best = [p.best for p in found if p.best is not None]
    for axis, x, name in (
        (axes[0], [p.run_epochs for p in found], "epochs of all runs"),
        (axes[1], [p.seconds for p in found], "seconds of training"),
    ):
        axis.step(x, best, where="post", color=COLORS[0], marker="o", markeredgewidth=0)
        axis.set_xlim(left=0)
        axis.set_xlabel(name)
        axis.set_ylabel(f"best {record.search.by} so far")
    return as_picture("progress", "The best value so far, at each rung that was decided.", figure)


def draw_scatter(record: Record, _: Path) -> Picture | None:
    """η against λ, or the first two settings that are numbers."""
    numeric = [k for k, d in record.search.space.items() if d.choice is None]
    first = [key for key in numeric if Setting(key).path in (LR, *LAMBDAS)]
    keys = [*first, *(key for key in numeric if key not in first)][:2]
    values = _values(record)
    shown = [n for n in values if all(record.draw(n).get(key, 0) > 0 for key in keys)]
    if len(keys) < 2 or not shown:
        return None
    figure, (axis,) = empty_panels(1, height=HEIGHT * 1.2)
    ended = set(record.ended())
    norm = _norm([values[n] for n in shown])
    for to_end, marker, size in ((False, "o", 22), (True, "D", 44)):
        some = [n for n in shown if (n in ended) == to_end]
        points = axis.scatter(
            [record.draw(n)[keys[0]] for n in some],
            [record.draw(n)[keys[1]] for n in some],
            c=[values[n] for n in some],
            norm=norm,
            cmap=_map(record),
            marker=marker,
            s=size,
            label="trained to the end" if to_end else "dropped",
        )
    if record.best in shown and record.best is not None:
        best = record.draw(record.best)
        axis.scatter([best[keys[0]]], [best[keys[1]]], s=190, facecolors="none", edgecolors=COLORS[4], label="best")  # fmt: skip
    for which, key in zip("xy", keys, strict=True):
        getattr(axis, f"set_{which}label")(label(key))
        if record.search.space[key].is_log:
            getattr(axis, f"set_{which}scale")("log")
    figure.colorbar(points, ax=axis, label=record.search.by)
    figure.legend(loc="outside lower center", ncols=3)
    return as_picture(
        "scatter", "Each trial by its value at the last rung that it came to.", figure
    )


def draw_parallel(record: Record, _: Path) -> Picture | None:
    """A line for each trial through all its settings."""
    keys, values = list(record.search.space), _values(record)
    if len(keys) < 2 or not values:
        return None
    figure = Figure(figsize=(max(2 * WIDTH, 1.5 * len(keys)), HEIGHT), layout="constrained")
    axis = figure.add_subplot()
    norm, colors, ended = _norm(list(values.values())), _map(record), set(record.ended())
    worst_first = sorted(
        values, key=lambda n: values[n], reverse=not record.search.higher_is_better
    )
    for number in worst_first:
        to_end = number in ended
        axis.plot(
            *_line(record, number),
            color=colors(norm(values[number])),
            linewidth=1.8 if to_end else 0.7,
            alpha=1 if to_end else 0.5,
        )
    if record.best is not None:
        x, y = _line(record, record.best)
        axis.plot(x, y, color=COLORS[4], linewidth=2.4, marker="o", label="best")
        figure.legend(loc="outside lower center")
    axis.set_xticks(range(len(keys)), [label(key.replace(".", ".\n")) for key in keys])
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    for place, key in enumerate(keys):
        axis.axvline(place, color=FOREGROUND, alpha=0.3, linewidth=0.8)
        for height, text in _marks(record, key):
            axis.annotate(
                label(text), (place, height), (3, 0), textcoords="offset points", fontsize=7
            )
    figure.colorbar(mpl.cm.ScalarMappable(norm, _map(record)), ax=axis, label=record.search.by)
    caption = "A line for each trial; thin where it was dropped. Ranges on the scale on which they are drawn."
    return as_picture("parallel", caption, figure)


def draw_importance(record: Record, _: Path) -> Picture | None:
    """How much each setting decides (PED-ANOVA), where Optuna is installed."""
    try:
        from runner.search.optuna_samplers import importances
    except ModuleNotFoundError:
        return None
    found = importances(record.search, [record.tried(n) for n in range(len(record.trials))])
    if not found:
        return None
    figure, (axis,) = empty_panels(1, height=0.9 + 0.34 * len(found))
    keys = sorted(found, key=lambda key: found[key])
    axis.barh([label(key) for key in keys], [found[key] for key in keys], color=COLORS[0])
    axis.set_xlabel("share")
    caption = (
        "How much each setting decides whether a trial is among the better ones (PED-ANOVA of Optuna,"
        " Watanabe et al. 2023), by the last rung that each trial came to."
    )
    return as_picture("importance", caption, figure)


def draw_curves(record: Record, folder: Path) -> Picture | None:
    """The metric that decides over the epochs of every trial."""
    figure, (axis,) = empty_panels(1, height=HEIGHT * 1.2)
    ended = set(record.ended())
    order = sorted(range(len(record.trials)), key=lambda n: (n == record.best, n in ended))
    for number in order:
        lines = RunFolder(folder / record.trials[number].runs[0]).metrics()
        last = max(record.tried(number).values, default=0)
        there = (line.get(record.search.by) for line in lines[: last + 1])
        y = np.array([np.nan if value is None else value for value in there], dtype=float)
        if not np.isfinite(y).any():
            continue
        best, to_end = number == record.best, number in ended
        axis.plot(
            range(len(y)),
            y,
            color=COLORS[4] if best else COLORS[0] if to_end else FOREGROUND,
            alpha=1 if best or to_end else 0.35,
            linewidth=2.2 if best else 1.2 if to_end else 0.7,
            marker="" if to_end else "x",
            markevery=[len(y) - 1],
            markersize=4,
        )
    if not axis.get_lines():
        return None
    log_if_wide(axis)
    axis.set_xlabel("epoch")
    axis.set_ylabel(record.search.by)
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    caption = (
        "Every trial until it was dropped (×). Thick: the best; coloured: trained to the end. The first"
        " seed of each."
    )
    return as_picture("curves", caption, figure)


def _values(record: Record) -> dict[int, float]:
    """The value of each trial that has one, at the last rung that it came to."""
    found = {n: record.value(n) for n in range(len(record.trials))}
    return {n: value for n, value in found.items() if value is not None}


def _norm(values: list[float]) -> Normalize:
    """Logarithmic where a few bad trials would take all the colours."""
    low, high = min(values), max(values)
    if low > 0 and high > 20 * low:
        return LogNorm(low, high)
    return Normalize(low, high)


def _map(record: Record) -> Colormap:
    return MAP if record.search.higher_is_better else MAP.reversed()


def _line(record: Record, number: int) -> tuple[list[int], list[float]]:
    """A trial through the axes of the settings that it has."""
    draw = record.draw(number)
    there = [place for place, key in enumerate(record.search.space) if key in draw]
    keys = list(record.search.space)
    return there, [_height(record, keys[place], draw[keys[place]]) for place in there]


def _height(record: Record, key: str, value: Any) -> float:
    return min(1.0, max(0.0, place_of(record.search.space[key], value)))


def _marks(record: Record, key: str) -> list[tuple[float, str]]:
    """What stands beside the axis of a setting."""
    domain = record.search.space[key]
    if domain.choice is not None:
        return [(_height(record, key, value), str(value)) for value in domain.choice]
    low, high = domain.ends
    return [(0.0, f"{low:g}"), (1.0, f"{high:g}")]
