"""What makes a comparison less than fair, or its numbers other than they seem."""

from collections.abc import Iterator

from runner.config.claims import parse_measure
from runner.studies.evidence import Evidence
from runner.studies.measuring import value_over

RUNNING = ("train/loss", "train/accuracy")


def unfairness(evidence: Evidence) -> Iterator[str]:
    """In sentences: tries, seeds and splits that are used twice, ends of a sweep, train/loss under dropout."""
    study = evidence.study
    for arm, record in evidence.arms.items():
        if record.failure:
            yield f"{arm} has no runs: {record.failure}"
    tries = {
        arm: sum(candidate.stage != "refine" for candidate in record.candidates)
        for arm, record in evidence.arms.items()
        if record.candidates
    }
    if len(set(tries.values())) > 1:
        counts = ", ".join(f"{arm} {count}" for arm, count in tries.items())
        yield f"tuning had unequal numbers of tries: {counts}; more tries find better values"
    twice = [seed for seed in study.tuning_seeds if seed in study.seed_list]
    if study.tunes and twice:
        yield f"tuned and judged by the same seeds: {', '.join(map(str, twice))}"
    yield from _ends_of_the_sweep(evidence)
    yield from _under_dropout(evidence)


def _ends_of_the_sweep(evidence: Evidence) -> Iterator[str]:
    """Seeds in which the value found is the first or last one swept: the true one may lie beyond."""
    study = evidence.study
    for measure in {claim.measure: claim.parsed_measure for claim in study.claims}.values():
        if not measure.sweep or not measure.sweep.key:
            continue
        values = study.sweep[measure.sweep.key]
        numbers = sorted(float(str(value)) for value in values)
        for arm, record in evidence.arms.items():
            found = [
                value_over(
                    [(p.values, evidence.folder_of(p.runs[seed])) for p in record.swept], measure
                )
                for seed in study.seed_list
                if record.swept
            ]
            at_end = sum(value in (numbers[0], numbers[-1]) for value in found)
            if at_end:
                yield f"{arm}: {measure.text} lies at an end of the sweep in {at_end} of {len(found)} seeds"


def _under_dropout(evidence: Evidence) -> Iterator[str]:
    """Claims about what the training itself sees: dropout on, and the weights of each step."""
    study = evidence.study
    measures = [claim.parsed_measure for claim in study.claims]
    measures += [parse_measure(study.tune_by)] if study.tunes and study.tune_by else []
    used = {q.metric for measure in measures for q in measure.quantities if q.metric in RUNNING}
    if not used:
        return
    dropped = []
    for arm, record in evidence.arms.items():
        runs = [run for _, run in record.final_runs]
        config = evidence.folder_of(runs[0]).config() if runs else None
        if config and (config.regularizer.dropout or config.regularizer.dropout_input):
            dropped.append(arm)
    if dropped:
        yield (
            f"{', '.join(sorted(used))}: the mean over the steps of an epoch, under dropout in"
            f" {', '.join(dropped)}"
        )
