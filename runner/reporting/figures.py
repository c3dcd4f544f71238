"""The pictures of a study's report, each with a caption."""

import re
from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from runner.config.claims import LAYER, Measure, parse_measure
from runner.config.expectations import Term
from runner.reporting.budget import draw_budget
from runner.reporting.canvas import (
    FOREGROUND,
    Picture,
    add_band,
    add_legend,
    as_picture,
    dash_of,
    drawing,
    empty_panels,
    label,
    log_if_wide,
    set_scale,
    spans_decades,
    style_of,
)
from runner.reporting.mean_curves import mean_curve, metrics_of
from runner.studies.averaging import MissingMember, accuracy_by_size
from runner.studies.evidence import Evidence
from runner.studies.measuring import value_in
from runner.studies.record import Candidate
from runner.studies.statistics import mean_interval


def pictures_of(evidence: Evidence) -> list[Picture]:
    """All figures for which the study has something to show."""
    makers: tuple[Callable[[Evidence], Picture | None], ...] = (
        draw_points, draw_curves, draw_tuning, draw_budget, draw_layers, draw_ensembles,
    )  # fmt: skip
    with drawing():
        return [picture for make in makers if (picture := make(evidence))]


def draw_points(evidence: Evidence) -> Picture | None:
    """One point for each seed, with the mean and its 95% interval, for every measure of a claim."""
    shown = _compared(evidence)
    if not shown:
        return None
    most = max(len(sides) for _, sides, _ in shown)
    figure, axes = empty_panels(len(shown), height=1.1 + 0.36 * most)
    arms = list(evidence.arms)
    for axis, (measure, sides, thresholds) in zip(axes, shown, strict=True):
        axis.set_title(measure.text)
        for number in thresholds:
            axis.axvline(number, color=FOREGROUND, linewidth=1, linestyle=(0, (2, 2)), alpha=0.6)
        for place, side in enumerate(sides):
            try:
                values = list(evidence.values_of(side, measure).values())
            except MissingMember:
                continue
            style = style_of(arms.index(str(side.arm)) if side.arm in arms else place)
            finite = [value for value in values if isfinite(value)]
            axis.plot(finite, [place] * len(finite), linestyle="", alpha=0.45, **style)
            mean, low, high = mean_interval(finite)
            if len(finite) == len(values) > 1:
                axis.plot([low, high], [place + 0.25] * 2, color=style["color"])
                axis.plot([mean], [place + 0.25], marker="|", markersize=9, color=style["color"])
            if lost := len(values) - len(finite):
                told = f"{lost} of {len(values)}: " + ("never" if measure.first.function else "∞")
                axis.annotate(told, (1, place), xycoords=axis.get_yaxis_transform(),
                              xytext=(0, 8), textcoords="offset points", ha="right", va="center",
                              fontsize=9)  # fmt: skip
        axis.set_yticks(range(len(sides)), [str(side) for side in sides])
        axis.set_ylim(len(sides) - 0.4, -0.6)
        set_scale(axis, "x", log=spans_decades(axis.get_lines()))
    caption = "One point for each seed; the bar below it is the mean with its 95% interval."
    if any(thresholds for *_, thresholds in shown):
        caption += " Dashed: the number of the claim."
    return as_picture("points", caption, figure)


def _compared(evidence: Evidence) -> list[tuple[Measure, list[Term], list[float]]]:
    """Each measure of the claims with the arms and ensembles, without factors, and the numbers compared in it."""
    found = []
    for text, measure in {c.measure: c.parsed_measure for c in evidence.study.claims}.items():
        used = [
            side
            for claim in evidence.study.claims
            for comparison in (claim.comparisons if claim.measure == text else ())
            for side in (comparison.left, comparison.right)
        ]
        sides = dict.fromkeys(Term(1.0, t.arm, t.members) for side in used for t in side.arms)
        thresholds = dict.fromkeys(side.constant for side in used if not side.arms)
        found.append((measure, list(sides), list(thresholds)))
    return found


def draw_curves(evidence: Evidence) -> Picture | None:
    """The mean of each arm over the training, with a band of one standard deviation."""
    measured_layers = [
        quantity.metric
        for claim in evidence.study.claims
        for quantity in claim.parsed_measure.quantities
        if quantity.metric.split("/")[0] in LAYER
    ]
    metrics = list(
        dict.fromkeys(["train/loss", f"val/{evidence.task.criterion}", *measured_layers])
    )
    found = {
        (metric, arm): mean_curve(evidence, arm, metric)
        for metric in metrics
        for arm in evidence.arms
    }
    found = {key: line for key, line in found.items() if len(line.epochs)}
    if not found:
        return None
    # Arms of different length are compared by their steps.
    by_step = len({int(line.epochs[-1]) for (m, _), line in found.items() if m == metrics[0]}) > 1
    figure, axes = empty_panels(len(metrics))
    for axis, metric in zip(axes, metrics, strict=True):
        axis.set_title(metric)
        positive = True
        for number, arm in enumerate(evidence.arms):
            if (metric, arm) not in found:
                continue
            line = found[metric, arm]
            x = line.steps if by_step else line.epochs
            style = style_of(number)
            axis.plot(x, line.mean, label=arm, color=style["color"], linestyle=dash_of(number))
            log = metric == "train/loss"
            add_band(axis, x, line.mean, line.spread, style["color"], log)
            positive &= bool((line.mean > 0).all())
        axis.set_xlabel("step" if by_step else "epoch")
        if by_step:
            axis.set_xscale("symlog", linthresh=10)
        else:
            axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if metric == "train/loss" and positive:
            set_scale(axis, "y", log=True)
    add_legend(figure, axes)
    return as_picture("curves", "Mean of the seeds; the band is one standard deviation.", figure)


def draw_tuning(evidence: Evidence) -> Picture | None:
    """What was tried for each tuned key, and the value that was chosen."""
    tried = [c for arm in evidence.arms.values() for c in arm.candidates]
    keys = list(dict.fromkeys(key for candidate in tried for key in candidate.values))
    if not keys:
        return None
    measure = parse_measure(evidence.study.tune_by or f"val/{evidence.task.criterion}")
    figure, axes = empty_panels(len(keys))
    for axis, key in zip(axes, keys, strict=True):
        numeric = all(isinstance(c.values.get(key, 1), (int, float)) for c in tried)
        for number, (name, arm) in enumerate(evidence.arms.items()):
            style = style_of(number)
            of_key = [c for c in arm.candidates if key in c.values]
            scored = [(c, _score(evidence, measure, c)) for c in of_key]
            scored = [(c, score) for c, score in scored if isfinite(score)]
            grid = [pair for pair in scored if pair[0].stage == "tune"]
            drawn = [pair for pair in scored if pair[0].stage != "tune"]
            if numeric:
                grid.sort(key=lambda pair: _place(pair[0], key, numeric))
            single = (len({len(c.values) for c, _ in grid}) == 1 and len(keys) == 1) or not drawn
            axis.plot([_place(c, key, numeric) for c, _ in grid], [s for _, s in grid], label=name,
                      linestyle=dash_of(number) if single or grid else "", **style)  # fmt: skip
            axis.plot([_place(c, key, numeric) for c, _ in drawn], [s for _, s in drawn],
                      linestyle="", alpha=0.6, **style)  # fmt: skip
            best = [pair for pair in scored if pair[0].values == arm.chosen]
            axis.plot([_place(c, key, numeric) for c, _ in best], [s for _, s in best], marker="o",
                      linestyle="", markersize=12, fillstyle="none", color=style["color"])  # fmt: skip
        axis.set_xlabel(label(key))
        axis.set_ylabel(measure.text)
        values = [_place(c, key, numeric) for c in tried if key in c.values]
        if numeric and min(values) > 0:
            set_scale(axis, "x", log=True)
        elif numeric and min(values) == 0 and max(values) > 100 * (least := _least(values)):
            axis.set_xscale("symlog", linthresh=least)
        log_if_wide(axis)
    add_legend(figure, axes)
    caption = "What tuning tried. The ring is the value that was chosen; a run that diverged has no point."
    return as_picture("tuning", caption, figure)


def draw_layers(evidence: Evidence) -> Picture | None:
    """Statistics by layer, before the first step and at the end."""
    families = ("preactivation_std", "activation_std", "gradient_std", "saturation")
    names = {arm: metrics_of(evidence, arm) for arm in evidence.arms}
    if not any(f"{families[0]}/1" in metrics for metrics in names.values()):
        return None
    figure, axes = empty_panels(len(families))
    for axis, family in zip(axes, families, strict=True):
        axis.set_title(family)
        for number, (arm, metrics) in enumerate(names.items()):
            layers = [m for m in metrics if re.fullmatch(rf"{family}/[0-9]{{1,4}}", m)]
            lines = [mean_curve(evidence, arm, metric) for metric in layers]
            x = [int(metric.split("/")[1]) for metric in layers]
            style = style_of(number)
            for end, dash, name in ((0, "-", arm), (-1, (0, (2, 1.5)), None)):
                present = [
                    (n, line.mean[end]) for n, line in zip(x, lines, strict=True) if len(line.mean)
                ]
                axis.plot([n for n, _ in present], [v for _, v in present], label=name,
                          linestyle=dash, alpha=1 if end == 0 else 0.6, **style)  # fmt: skip
        axis.set_xlabel("layer")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        set_scale(axis, "y", log=spans_decades(axis.get_lines(), vertical=True))
    add_legend(figure, axes)
    caption = "Layer by layer: before the first step (solid) and at the end (dashed)."
    return as_picture("layers", caption, figure)


def draw_ensembles(evidence: Evidence) -> Picture | None:
    """Test accuracy against the number of averaged members."""
    if not evidence.study.ensembles:
        return None
    figure, axes = empty_panels(1)
    for number, (name, ensemble) in enumerate(evidence.study.ensembles.items()):
        if any(evidence.arms[arm].failure for arm in ensemble.of):
            continue
        present = [member for member in evidence.members(name) if member.complete]
        found = [(size, values) for size, values in accuracy_by_size(present) if len(values) > 2]
        sizes = np.array([size for size, _ in found])
        mean = np.array([np.mean(values) for _, values in found])
        spread = np.array([np.std(values, ddof=1) for _, values in found])
        style = style_of(number)
        axes[0].plot(sizes, mean, label=name, **style)
        add_band(axes[0], sizes, mean, spread, style["color"])
    axes[0].set_xlabel("members")
    axes[0].set_ylabel("test/accuracy")
    axes[0].xaxis.set_major_locator(MaxNLocator(8, integer=True))
    add_legend(figure, axes)
    caption = "Accuracy of averaged probabilities; mean and standard deviation of disjoint groups."
    return as_picture("ensembles", caption, figure)


def _least(values: list[Any]) -> float:
    """The smallest number above 0; ∞ if there is none."""
    return min((value for value in values if value > 0), default=np.inf)


def _place(candidate: Candidate, key: str, numeric: bool) -> Any:
    return candidate.values[key] if numeric else label(str(candidate.values[key]))


def _score(evidence: Evidence, measure: Measure, candidate: Candidate) -> float:
    """The mean of the measure over the tuning seeds; of a search, where the trial stopped."""
    if candidate.stage == "search":
        return np.inf if candidate.value is None else candidate.value
    values = [value_in(evidence.folder_of(run), measure) for run in candidate.runs]
    return float(np.mean([np.inf if value is None else value for value in values]))
