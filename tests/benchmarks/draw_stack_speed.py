"""Draws docs/stacking.png: the time of a step of a run against the number of runs trained as one.

    python tests/benchmarks/draw_stack_speed.py

The networks are trained on MNIST with Adam, every run with its own seed and one of four learning rates.
A point is the best of several samples, so that other work on the machine shows as little as it can. The
dashed line is the floor: the matrix products of a step and Adam's update in a loop of nothing else.
"""

import sys
import timeit
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from runner.command.compose import composing
from runner.training.groups import evenly
from runner.training.plan import built, seconds_a_step
from runner.training.threads import ALL_THREADS

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
WIDTHS = [2**power for power in range(9)]
NETWORKS = {"784-100-10, batch 64": (100, 64), "784-30-10, batch 10": (30, 10)}  # hidden, batch
SAMPLES = 5
FLOOR = "products and update alone"


Series = dict[
    str, tuple[list[int], list[float]]
]  # widths and milliseconds a step and run, by label


def main() -> None:
    draw({name: measured(*sizes) for name, sizes in NETWORKS.items()})


def measured(hidden: int, batch: int) -> Series:
    words = ["data=mnist", f"data.root='{SHARED}'", "optimizer=adam"]
    words += [f"batch_size.size={batch}", f"architecture.hidden=[{hidden}]"]
    sweep = ["optimizer.lr=3e-4,1e-3,3e-3,1e-2", f"seed=range({WIDTHS[-1] // 4})"]
    with composing() as composer:
        configs = [job.config for job in composer.jobs([*words, *sweep], True)]
    most = configs[0].trainer.threads or ALL_THREADS
    series: Series = {}
    for workers in sorted({1, most}):
        widths = [width for width in WIDTHS if width >= workers]
        times = []
        for width in widths:
            modules = [built(stack) for stack in evenly(configs[:width], -(-width // workers))]
            samples = [seconds_a_step(modules, configs) / width for _ in range(SAMPLES)]
            times.append(1e3 * min(samples))
        label = "as one stack" if workers == 1 else f"as {workers} stacks side by side"
        series[label] = widths, times
    floors = [1e3 * floor((784, hidden, 10), batch, width) for width in WIDTHS]
    print(batch, hidden, series, floors, file=sys.stderr)
    return {**series, FLOOR: (WIDTHS, floors)}


def draw(networks: dict[str, Series]) -> None:
    figure, axes = plt.subplots(1, len(networks), figsize=(9, 3.6), constrained_layout=True)
    for ax, (name, series) in zip(axes, networks.items(), strict=True):
        for label, (widths, times) in series.items():
            style = {"color": "black", "linestyle": "--"} if label == FLOOR else {"marker": "o"}
            ax.plot(widths, times, label=label, **style)
        alone = next(iter(series.values()))[1][0]
        ax.axhline(alone, color="grey", linestyle=":", label="one by one")
        ax.set(title=name, xlabel="runs trained together", ylim=(0, None))
        ax.set_xscale("log", base=2)
        ax.set_xticks(WIDTHS, [str(width) for width in WIDTHS])
    axes[0].set_ylabel("ms a step and run")
    axes[-1].legend()  # the same for all
    figure.savefig(ROOT / "docs" / "stacking.png", dpi=150)


def floor(units: Sequence[int], batch: int, runs: int) -> float:
    """Seconds a run of the matrix products of a step and Adam's update, without anything between them."""
    layers = [
        (torch.randn(runs, batch, a), torch.randn(runs, a, b), torch.randn(runs, batch, b))
        for a, b in pairwise(units)
    ]
    weights = [w for _, w, _ in layers]
    adam = torch.optim.Adam(weights, fused=True)
    torch.set_num_threads(ALL_THREADS)

    def step() -> None:
        for number, (x, w, gradient) in enumerate(layers):
            torch.bmm(x, w)
            w.grad = torch.bmm(x.transpose(1, 2), gradient)
            if number:
                torch.bmm(gradient, w.transpose(1, 2))
        adam.step()
        adam.zero_grad()

    return min(timeit.repeat(step, number=20, repeat=SAMPLES)) / 20 / runs


if __name__ == "__main__":
    main()
