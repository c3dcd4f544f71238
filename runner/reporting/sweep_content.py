"""What the report of a sweep, or of one run, says."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean

from runner.reporting import documents
from runner.reporting.run_findings import RunFindings, findings_of, first_complete
from runner.reporting.settings import facts_of
from runner.reporting.sweep import Combination, Sweep
from runner.reporting.sweep_figures import pictures_of
from runner.reporting.words import shown

MOST_NAMED = 6
FEW_SEEDS = 5
METHOD = (
    "Combinations are ranked by {by}, mean of the seeds. Seed by seed the best is compared with each other one:"
    " a two-sided paired t test (a sign test where a run diverged or all differences are equal), its p corrected"
    " for {comparisons} (Holm). The test split chooses nothing."
)


def write_sweep_report(sweep: Sweep, commands: Sequence[str]) -> Path:
    """Writes report.html, report.md and figures/ into the sweep's folder; returns the first.

    Args:
        sweep: Its runs.
        commands: What trains it again.
    """
    folder = sweep.folder
    pictures = pictures_of(sweep) if sweep.ranked else []
    of, found = _winner(sweep)
    tests = sum(c.test is not None and c.test.n > 1 for c in sweep.ranked)
    last = (["python", "-m", "runner.report"], ["tensorboard", "--logdir"])
    again = [*commands, *(shlex.join([*words, str(folder)]) for words in last)]
    text = documents.markdown(
        "sweep",
        title=folder.name,
        findings=list(findings(sweep)),
        method=METHOD.format(by=sweep.chosen_by, comparisons=counted(tests)) if tests else "",
        pictures=pictures,
        headings=_headings(sweep),
        rows=[_row(sweep, combination) for combination in sweep.ranked],
        of=of,
        found=found,
        cautions=list(cautions(sweep)),
        facts=facts_of([run.folder for run in sweep.runs]),
        commands="\n".join(again),
    )
    return documents.write(
        folder, "report", folder.name, text, pictures, found.images, sortable=True
    )


def _winner(sweep: Sweep) -> tuple[str, RunFindings]:
    """What the report calls the first run of the best combination, and what it has found."""
    best = sweep.ranked[0] if sweep.ranked else None
    run = first_complete(run.folder for _, run in sorted(best.runs.items())) if best else None
    if not best or not run:
        return "", RunFindings()
    seed = next(seed for seed, swept in best.runs.items() if swept.folder is run)
    several = len(sweep.runs) > 1
    return f"{best}, seed {seed}" if several else "", findings_of(sweep.folder, {"": run})


def counted(comparisons: int) -> str:
    return f"{comparisons} comparison{'s' if comparisons > 1 else ''}"


def findings(sweep: Sweep) -> Iterator[str]:
    """Which combination is best, by how much, and how sure that is: a sentence each."""
    if not sweep.ranked:
        yield "No run has a result yet."
        return
    best, metric = sweep.ranked[0], sweep.metric
    seeds = f" (mean ± sd of {len(best.runs)} seeds)" if len(best.runs) > 1 else ""
    told = ", ".join(f"{s} {best.told(f'{s}/{metric.name}', metric)}" for s in ("val", "test"))
    if len(sweep.ranked) == 1:
        yield f"{metric.name}: {told}{seeds}."
        return
    yield f"Best of {len(sweep.ranked)}: {best}, {metric.name} {told}{seeds}."
    if all(c.test is None or c.test.n < 2 for c in sweep.ranked[1:]):
        yield "One seed cannot say how sure that is; seed=0,1,2,3,4 would."
        return
    equals = sweep.equals
    if not equals:
        yield "It is better than every other one (p < 0.05)."
    elif len(equals) == len(sweep.ranked) - 1:
        yield f"It cannot be told from any other one: {_named(equals)}."
    else:
        others = f"{len(equals)} others" if len(equals) > 1 else "one other"
        yield f"It cannot be told from {others}: {_named(equals)}."
        yield "It is better than the rest (p < 0.05)."
    if equals and len(best.runs) < FEW_SEEDS:
        yield f"With {len(best.runs)} seeds only large differences can be told; more seeds tell more."


def _named(combinations: Sequence[Combination]) -> str:
    named = [f"{c} (p = {c.p:.2g})" for c in combinations[:MOST_NAMED]]
    rest = len(combinations) - MOST_NAMED
    return "; ".join(named) + (f" and {rest} more" if rest > 0 else "")


def _headings(sweep: Sweep) -> list[str]:
    name = sweep.metric.name
    tested = ["p, against the best"] if len(sweep.ranked) > 1 else []
    return [
        *sweep.headings,
        "runs",
        f"val/{name}",
        f"test/{name}",
        "train/loss",
        "seconds",
        *tested,
    ]


def _row(sweep: Sweep, combination: Combination) -> list[str]:
    metric, runs = sweep.metric, list(combination.runs.values())
    settings = [
        shown(combination.values[k]) if k in combination.values else "–" for k in sweep.headings
    ]
    numbers = [combination.told(f"{split}/{metric.name}", metric) for split in ("val", "test")]
    for name in ("train/loss", "train_seconds"):
        values = [value for run in runs if (value := run.value(name)) is not None]
        numbers.append(f"{mean(values):.4g}" if values else "–")
    if combination is sweep.ranked[0]:
        tested = ["best"] if len(sweep.ranked) > 1 else []
    else:
        known = combination.test is not None and combination.test.n > 1
        tested = [f"{combination.p:.2g}" if known else "–"]
    return [*settings, str(len(runs)), *numbers, *tested]


def cautions(sweep: Sweep) -> Iterator[str]:
    """What makes the comparison less than fair."""
    numbers = {len(combination.runs) for combination in sweep.ranked}
    if len(numbers) > 1:
        yield f"some combinations have {min(numbers)}, others {max(numbers)} seeds"
    if diverged := sum(combination.diverged for combination in sweep.ranked):
        yield f"runs that diverged and count as the worst value: {diverged}"
    for run in sweep.unfinished[:MOST_NAMED]:
        yield f"{run.status}, left out: {run.folder.path.name}"
    if (rest := len(sweep.unfinished) - MOST_NAMED) > 0:
        yield f"and {rest} more runs without a result"
    yield from sweep.damaged[:MOST_NAMED]
