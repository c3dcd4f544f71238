"""The metrics of a run by name, from the numbers that its task measures."""

from collections.abc import Sequence

from runner.options.task import Task


def named(split: str, task: Task, numbers: Sequence[float]) -> dict[str, float]:
    """`<split>/loss`, `<split>/accuracy` or whatever the task measures, in the order of its metrics."""
    # float32 has seven decimals: 0.98 should not be reported as 0.9800000190734863.
    metrics = {
        metric.name: round(number, 7) if metric.percent else number
        for metric, number in zip(task.metrics, numbers, strict=True)
    }
    if split == "test":
        metrics |= task.also_tested(metrics)
    return {f"{split}/{name}": number for name, number in metrics.items()}
