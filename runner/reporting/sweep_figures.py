"""The figures of a sweep: a map for each pair of settings, and learning curves."""

from collections.abc import Sequence
from itertools import combinations
from math import isfinite
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from runner.reporting.canvas import (
    FOREGROUND,
    HEIGHT,
    Picture,
    add_band,
    add_legend,
    as_picture,
    dash_of,
    drawing,
    empty_panels,
    label,
    set_scale,
    spans_decades,
    style_of,
)
from runner.reporting.mean_curves import mean_of
from runner.reporting.sweep import Combination, Sweep
from runner.reporting.words import shown

MOST_MAPS = 10
MOST_CURVES = 7  # there are no more colours


def pictures_of(sweep: Sweep) -> list[Picture]:
    """All figures for which the sweep has something to show."""
    with drawing():
        keys = [key for key in sweep.headings if len(_values(sweep, key)) > 1]
        pairs = list(combinations(keys, 2))[:MOST_MAPS]
        maps = [draw_map(sweep, *pair, number) for number, pair in enumerate(pairs, start=1)]
        lines = [draw_setting(sweep, keys[0])] if len(keys) == 1 else []
        return [*maps, *lines, draw_curves(sweep)]


def _values(sweep: Sweep, key: str) -> list[Any]:
    """The values of a setting in rising order; words as they come."""
    found = {shown(c.values[key]): c.values[key] for c in sweep.ranked if key in c.values}
    values = list(found.values())
    numbers = _are_numbers(values)
    if all(isinstance(value, list) for value in values):
        return sorted(values, key=lambda value: (len(value), shown(value)))
    return sorted(values, key=lambda value: (value if numbers else 0, shown(value)))


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)


def _best(sweep: Sweep, **values: Any) -> Combination | None:
    """The best of the combinations with these values."""
    return next(
        (c for c in sweep.ranked if all(k in c.values and c.values[k] == v for k, v in values.items())),
        None,
    )  # fmt: skip


def draw_map(sweep: Sweep, down: str, across: str, number: int) -> Picture:
    """A cell for each pair of values, with the mean over the seeds."""
    rows, columns = _values(sweep, down), _values(sweep, across)
    cells = [[_best(sweep, **{down: y, across: x}) for x in columns] for y in rows]
    worst = sweep.metric.worst
    means = np.array(
        [[c.mean(sweep.chosen_by, worst) if c else np.nan for c in row] for row in cells]
    )
    drawn = np.where(np.isfinite(means), means, np.nan)
    figure, (axis,) = empty_panels(1, height=1.2 + 0.42 * len(rows))
    figure.set_figwidth(max(4.4, 2.4 + 0.75 * len(columns)))
    axis.grid(visible=False)
    colors = "cividis" if sweep.metric.higher_is_better else "cividis_r"
    mesh = axis.pcolormesh(drawn, cmap=colors, edgecolors="none")
    for y, row in enumerate(cells):
        for x, combination in enumerate(row):
            if combination:
                best = combination is sweep.ranked[0]
                axis.text(x + 0.5, y + 0.5, _in_cell(sweep, means[y, x]), ha="center", va="center",
                          fontsize=9, fontweight="bold" if best else "normal",
                          color=_readable_on(mesh.to_rgba(drawn[y, x])))  # fmt: skip
    axis.set_xticks(np.arange(len(columns)) + 0.5, [label(shown(v)) for v in columns])
    axis.set_yticks(np.arange(len(rows)) + 0.5, [label(shown(v)) for v in rows])
    axis.tick_params(length=0)
    axis.invert_yaxis()
    axis.set_xlabel(label(across))
    axis.set_ylabel(label(down))
    unit = " in %" if sweep.metric.percent else ""
    axis.set_title(f"{sweep.chosen_by}{unit}")
    rest = len(sweep.headings) > 2
    caption = f"{down} by {across}: {sweep.chosen_by}{unit}, mean of the seeds"
    caption += ", with the best values of the other settings." if rest else "."
    caption += " Bold: the best."
    if (~np.isfinite(means)).any():
        caption += " ∞: diverged; empty: not in the sweep."
    return as_picture(f"map{number}", caption, figure)


def _in_cell(sweep: Sweep, value: float) -> str:
    return sweep.metric.shown(value).removesuffix("%") if isfinite(value) else "∞"


def _readable_on(color: Any) -> str:
    """Black or white, whichever differs more from a colour; the text's own colour on none."""
    red, green, blue, opacity = color
    light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
    return FOREGROUND if not opacity else "#000000" if light else "#ffffff"


def draw_setting(sweep: Sweep, key: str) -> Picture:
    """The only setting that varies: a point for each seed, and the mean."""
    values = _values(sweep, key)
    numeric = _are_numbers(values)
    figure, (axis,) = empty_panels(1)
    style = style_of(0)
    means: list[float] = []
    for place, value in enumerate(values):
        combination = _best(sweep, **{key: value})
        found = (
            combination.by_seed(sweep.chosen_by, sweep.metric.worst).values() if combination else ()
        )
        finite = [v for v in found if isfinite(v)]
        x = float(value) if numeric else float(place)
        axis.plot([x] * len(finite), finite, linestyle="", alpha=0.45, **style)
        means.append(float(np.mean(finite)) if finite and len(finite) == len(found) else np.nan)
    x_values = [float(v) if numeric else float(n) for n, v in enumerate(values)]
    axis.plot(x_values, means, color=style["color"], linestyle="-" if numeric else "", marker="_",
              markersize=14)  # fmt: skip
    if numeric:
        set_scale(axis, "x", log=spans_decades(axis.get_lines()))
    else:
        axis.set_xticks(range(len(values)), [label(shown(v)) for v in values])
    axis.set_xlabel(label(key))
    axis.set_title(sweep.chosen_by)
    caption = f"{sweep.chosen_by} by {key}: a point for each seed, the bar is their mean."
    return as_picture("setting", caption, figure)


def draw_curves(sweep: Sweep) -> Picture:
    """The mean of the best combinations over the training, with a band of one standard deviation."""
    best = sweep.ranked[:MOST_CURVES]
    splits = ("train", "val") if len(best) == 1 else (None,)
    figure, axes = empty_panels(2, height=HEIGHT + 0.1 * len(best))
    for axis, metric in zip(axes, ("train/loss", sweep.chosen_by), strict=True):
        lines = [(c, split) for c in best for split in splits]
        axis.set_title(metric if len(best) > 1 else metric.split("/")[1])
        for number, (combination, split) in enumerate(lines):
            shown = f"{split}/{metric.split('/')[1]}" if split else metric
            line = mean_of([run.folder for run in combination.runs.values()], shown)
            color = style_of(number)["color"]
            axis.plot(line.epochs, line.mean, label=split or label(combination.brief), color=color,
                      linestyle=dash_of(number))  # fmt: skip
            log = metric == "train/loss"
            add_band(axis, line.epochs, line.mean, line.spread, color, log)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if metric == "train/loss" and _positive(axis.get_lines()):
            set_scale(axis, "y", log=True)
    add_legend(figure, axes)
    caption = "Learning curves"
    if len(sweep.ranked) > 1:
        caption += f" of the best {len(best)} of {len(sweep.ranked)}" * (
            len(sweep.ranked) > len(best)
        )
    several = any(len(c.runs) > 1 for c in best)
    caption += ": mean of the seeds; the band is one standard deviation." if several else "."
    return as_picture("curves", caption, figure)


def _positive(lines: Sequence[Any]) -> bool:
    return all((np.asarray(line.get_ydata()) > 0).all() for line in lines)
