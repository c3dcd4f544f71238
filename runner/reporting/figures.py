"""The pictures of a study's report, as SVG that follows the reader's light or dark background.

Colours are Okabe & Ito's, which colour-blind readers can tell apart, https://jfly.uni-koeln.de/color/;
arms also differ in marker and dash. Text and axes take the page's own colour.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from math import ceil, isfinite
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.config.claims import LAYER, Measure, Term, parse_measure
from runner.reporting.mean_curves import curve, metrics_of
from runner.studies.averaging import Member, MissingMember, accuracy_by_size
from runner.studies.evidence import Candidate, Evidence, measured
from runner.studies.statistics import mean_interval

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


def pictures(evidence: Evidence) -> Iterator[Picture]:
    """All figures for which the study has something to show."""
    makers: tuple[Callable[[Evidence], Picture | None], ...] = (
        points, curves, tuning, layer_statistics, ensembles,
    )  # fmt: skip
    with mpl.rc_context(STYLE):
        for maker in makers:
            if picture := maker(evidence):
                yield picture


def points(evidence: Evidence) -> Picture | None:
    """One point for each seed, with the mean and its 95% interval, for every measure of a claim."""
    measures = {claim.measure: claim.measured for claim in evidence.study.claims}
    panels: list[tuple[Measure, list[Term], list[float]]] = []
    for text, measure in measures.items():
        terms: dict[str, Term] = {}
        numbers: dict[float, None] = {}
        for claim in evidence.study.claims:
            for comparison in claim.comparisons if claim.measure == text else ():
                for term in (comparison.left, comparison.right):
                    if term.arm is None:
                        numbers[term.factor] = None
                    else:
                        plain = Term(1.0, term.arm, term.members)
                        terms[str(plain)] = plain
        panels.append((measure, list(terms.values()), list(numbers)))
    if not panels:
        return None
    most = max(len(terms) for _, terms, _ in panels)
    figure, axes = _grid(len(panels), height=1.1 + 0.36 * most)
    arms = list(evidence.arms)
    for axis, (measure, sides, thresholds) in zip(axes, panels, strict=True):
        axis.set_title(measure.text)
        for number in thresholds:
            axis.axvline(number, color=FOREGROUND, linewidth=1, linestyle=(0, (2, 2)), alpha=0.6)
        for place, term in enumerate(sides):
            try:
                values = list(evidence.values(measure, term).values())
            except MissingMember:
                continue
            style = _style(arms.index(str(term.arm)) if term.arm in arms else place)
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
        axis.set_yticks(range(len(sides)), [str(term) for term in sides])
        axis.set_ylim(len(sides) - 0.4, -0.6)
        _nice(axis, "x", log=_spans_decades(axis.get_lines()))
    caption = "One point for each seed; the bar below it is the mean with its 95% interval."
    if any(numbers for *_, numbers in panels):
        caption += " Dashed: the number of the claim."
    return _picture("points", caption, figure)


def curves(evidence: Evidence) -> Picture | None:
    """The mean of each arm over the training, with a band of one standard deviation."""
    measured_layers = [
        quantity.metric
        for claim in evidence.study.claims
        for quantity in claim.measured.quantities
        if quantity.metric.split("/")[0] in LAYER
    ]
    metrics = list(dict.fromkeys(["train/loss", "val/accuracy", *measured_layers]))
    found = {
        (metric, arm): curve(evidence, arm, metric) for metric in metrics for arm in evidence.arms
    }
    found = {key: line for key, line in found.items() if len(line.epochs)}
    if not found:
        return None
    # Arms of different length are compared by their steps.
    by_step = len({int(line.epochs[-1]) for (m, _), line in found.items() if m == metrics[0]}) > 1
    figure, axes = _grid(len(metrics))
    for axis, metric in zip(axes, metrics, strict=True):
        axis.set_title(metric)
        positive = True
        for number, arm in enumerate(evidence.arms):
            if (metric, arm) not in found:
                continue
            line = found[metric, arm]
            x = line.steps if by_step else line.epochs
            style = _style(number)
            axis.plot(x, line.mean, label=arm, color=style["color"], linestyle=_dash(number))
            low = line.mean - line.spread
            if metric == "train/loss":  # its axis is logarithmic
                low = np.maximum(low, line.mean / 10)
            axis.fill_between(
                x, low, line.mean + line.spread, color=style["color"], alpha=0.18, linewidth=0
            )
            positive &= bool((line.mean > 0).all())
        axis.set_xlabel("step" if by_step else "epoch")
        if by_step:
            axis.set_xscale("symlog", linthresh=10)
        else:
            axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if metric == "train/loss" and positive:
            axis.set_yscale("log")
    _legend(figure, axes)
    return _picture("curves", "Mean of the seeds; the band is one standard deviation.", figure)


def tuning(evidence: Evidence) -> Picture | None:
    """What was tried for each tuned key, and the value that was chosen."""
    tried = [c for arm in evidence.arms.values() for c in arm.candidates]
    keys = list(dict.fromkeys(key for candidate in tried for key in candidate.values))
    if not keys:
        return None
    measure = parse_measure(evidence.study.tune_by)
    figure, axes = _grid(len(keys))
    for axis, key in zip(axes, keys, strict=True):
        numeric = all(isinstance(c.values.get(key, 1), (int, float)) for c in tried)
        for number, (name, arm) in enumerate(evidence.arms.items()):
            style = _style(number)
            of_key = [c for c in arm.candidates if key in c.values]
            scored = [(c, _score(evidence, measure, c)) for c in of_key]
            scored = [(c, score) for c, score in scored if isfinite(score)]
            grid = [pair for pair in scored if pair[0].stage == "tune"]
            drawn = [pair for pair in scored if pair[0].stage != "tune"]
            if numeric:
                grid.sort(key=lambda pair: pair[0].values[key])
            single = (len({len(c.values) for c, _ in grid}) == 1 and len(keys) == 1) or not drawn
            axis.plot([_place(c, key, numeric) for c, _ in grid], [s for _, s in grid], label=name,
                      linestyle=_dash(number) if single or grid else "", **style)  # fmt: skip
            axis.plot([_place(c, key, numeric) for c, _ in drawn], [s for _, s in drawn],
                      linestyle="", alpha=0.6, **style)  # fmt: skip
            best = [pair for pair in scored if pair[0].values == arm.chosen]
            axis.plot([_place(c, key, numeric) for c, _ in best], [s for _, s in best], marker="o",
                      linestyle="", markersize=12, fillstyle="none", color=style["color"])  # fmt: skip
        axis.set_xlabel(key)
        axis.set_ylabel(measure.text)
        values = [c.values[key] for c in tried if key in c.values]
        if numeric and min(values) > 0:
            axis.set_xscale("log")
    _legend(figure, axes)
    caption = "What tuning tried. The ring is the value that was chosen; a run that diverged has no point."
    return _picture("tuning", caption, figure)


def layer_statistics(evidence: Evidence) -> Picture | None:
    """Statistics by layer, before the first step and at the end."""
    families = ("preactivation_std", "activation_std", "gradient_std", "saturation")
    names = {arm: metrics_of(evidence, arm) for arm in evidence.arms}
    if not any(f"{families[0]}/1" in metrics for metrics in names.values()):
        return None
    figure, axes = _grid(len(families))
    for axis, family in zip(axes, families, strict=True):
        axis.set_title(family)
        for number, (arm, metrics) in enumerate(names.items()):
            layers = [m for m in metrics if m.startswith(f"{family}/")]
            lines = [curve(evidence, arm, metric) for metric in layers]
            x = [int(metric.split("/")[1]) for metric in layers]
            style = _style(number)
            for end, dash, label in ((0, "-", arm), (-1, (0, (2, 1.5)), None)):
                present = [
                    (n, line.mean[end]) for n, line in zip(x, lines, strict=True) if len(line.mean)
                ]
                axis.plot([n for n, _ in present], [v for _, v in present], label=label,
                          linestyle=dash, alpha=1 if end == 0 else 0.6, **style)  # fmt: skip
        axis.set_xlabel("layer")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        _nice(axis, "y", log=_spans_decades(axis.get_lines(), vertical=True))
    _legend(figure, axes)
    caption = "Layer by layer: before the first step (solid) and at the end (dashed)."
    return _picture("layers", caption, figure)


def ensembles(evidence: Evidence) -> Picture | None:
    """Test accuracy against the number of averaged members."""
    if not evidence.study.ensembles:
        return None
    figure, axes = _grid(1)
    for number, (name, ensemble) in enumerate(evidence.study.ensembles.items()):
        members = [
            Member(evidence.run(arm, seed).path)
            for seed in evidence.study.seed_list
            for arm in ensemble.of
        ]
        present = [member for member in members if member.complete]
        found = [(size, values) for size, values in accuracy_by_size(present) if len(values) > 2]
        sizes = np.array([size for size, _ in found])
        mean = np.array([np.mean(values) for _, values in found])
        spread = np.array([np.std(values, ddof=1) for _, values in found])
        style = _style(number)
        axes[0].plot(sizes, mean, label=name, **style)
        axes[0].fill_between(
            sizes, mean - spread, mean + spread, color=style["color"], alpha=0.18, linewidth=0
        )
    axes[0].set_xlabel("members")
    axes[0].set_ylabel("test/accuracy")
    axes[0].xaxis.set_major_locator(MaxNLocator(8, integer=True))
    _legend(figure, axes)
    caption = "Accuracy of averaged probabilities; mean and standard deviation of disjoint groups."
    return _picture("ensembles", caption, figure)


def _grid(count: int, height: float = HEIGHT) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, two in a row."""
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


def _style(number: int) -> dict[str, Any]:
    return {
        "color": COLORS[number % len(COLORS)],
        "marker": MARKERS[number % len(MARKERS)],
        "markeredgewidth": 0,
    }


def _dash(number: int) -> Any:
    return DASHES[number % len(DASHES)]


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, below them."""
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(str(label), handle)
    longest = max((len(label) for label in handles), default=1)
    columns = max(1, min(len(handles), int(figure.get_figwidth() * 11 / (longest + 6))))
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns)


def _nice(axis: Axes, which: str, log: bool) -> None:
    """A logarithmic axis, or a few round numbers on a linear one."""
    if log:
        axis.set_xscale("log") if which == "x" else axis.set_yscale("log")
    else:
        axis.locator_params(axis=which, nbins=5)  # type: ignore[arg-type]


def _spans_decades(lines: Sequence[Any], vertical: bool = False) -> bool:
    """Whether all values are positive and the largest is a hundred times the smallest."""
    data = [line.get_ydata() if vertical else line.get_xdata() for line in lines]
    values = np.concatenate([np.asarray(d, dtype=float) for d in data]) if data else np.array([])
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() > 0 and values.max() > 100 * values.min())


def _place(candidate: Candidate, key: str, numeric: bool) -> Any:
    return candidate.values[key] if numeric else str(candidate.values[key])


def _score(evidence: Evidence, measure: Measure, candidate: Candidate) -> float:
    """The mean of the measure over the tuning seeds."""
    values = [measured(measure, evidence.folder_of(run)) for run in candidate.runs]
    return float(np.mean([np.inf if value is None else value for value in values]))


def _picture(name: str, caption: str, figure: Figure) -> Picture:
    """The figure as SVG without size limits, in the reader's colours."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(FOREGROUND, "currentColor")
    # Names inside one picture must not meet those of another on the same page.
    svg = re.sub(r'(id="|xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
    head, rest = svg.split(">", 1)
    return Picture(name, caption, f'{head} role="img" aria-label="{caption}">{THEME}{rest}')
