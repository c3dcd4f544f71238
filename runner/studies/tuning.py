"""Which values are tried next in each arm, and which of those tried are best.

The grid of `tune` first, extended where its border is best; then the random draws of `refine` around the
best. The test split chooses nothing. Values of which a run has no result are left out, and that is noted;
values that diverge are a result, the worst one. An arm in which all values diverge has failed: there is
nothing to choose.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from math import exp, inf, log
from pathlib import Path
from typing import Any

from runner.command.terminal import out
from runner.config.claims import parse_measure
from runner.config.study import Study, key_of
from runner.errors import Stopped
from runner.runs.folder import FINISHED, RunFolder
from runner.studies.combinations import Combination
from runner.studies.measuring import formatted, value_in
from runner.studies.record import Candidate

EXTENSIONS = 2
LEFT_OUT = "left out"


class Tuning:
    """What was tried in each arm of a study, and what was learnt from it.

    Args:
        study: Its `tune`, `tune_by` and `refine` say what is tried and what chooses.
        folder: outputs/<name>, in which the runs lie.
        is_valid: Whether an arm composes with a combination of values.
    """

    def __init__(
        self, study: Study, folder: Path, is_valid: Callable[[str, Combination], bool]
    ) -> None:
        self.study = study
        self.folder = folder
        self.is_valid = is_valid
        self.candidates: dict[str, list[Candidate]] = {arm: [] for arm in study.arms}
        self.notes: dict[str, list[str]] = {arm: [] for arm in study.arms}
        self.found: dict[str, Combination] = {}  # the best of an arm's search
        self.failures: dict[str, str] = {}  # why a search has found nothing

    # What is tried next

    def beyond_borders(self, extension: int) -> list[tuple[str, Combination]]:
        """Values beyond those that are the first or last tried and the best, with all other keys'.

        Args:
            extension: How often the ranges were extended already; after the second time it is only noted.
        """
        wanted: list[tuple[str, Combination]] = []
        for arm in self.study.arms:
            if self.failure(arm):
                continue
            for key, beyond in self._borders(arm):
                border = f"best at the border {key}={self.best(arm)[key]}"
                if beyond is None:
                    self.note(arm, f"{border}; the range has no value beyond")
                elif extension == EXTENSIONS:
                    self.note(arm, f"{border} after the range was extended twice")
                else:
                    self.note(arm, f"{border}: extended to {beyond:g}")
                    tried = [candidate.values for candidate in self.candidates[arm]]
                    new = [values | {key: beyond} for values in tried]
                    wanted += [
                        (arm, values)
                        for i, values in enumerate(new)
                        if values not in [*tried, *new[:i]]
                    ]
        return wanted

    def _borders(self, arm: str) -> list[tuple[str, float | None]]:
        """The keys whose best value is the first or last, each with the next one beyond, if valid."""
        found = []
        best = self.best(arm)
        for key in tuned_keys(self.study, arm):
            tried = sorted({c.values[key] for c in self.candidates[arm]}, key=_order)
            if len(tried) < 2 or best[key] not in (tried[0], tried[-1]):
                continue
            last, before = (tried[0], tried[1]) if best[key] == tried[0] else (tried[-1], tried[-2])
            beyond = _geometric(last, before)
            if beyond is not None and not self.is_valid(arm, best | {key: beyond}):
                beyond = None
            if all(isinstance(value, (int, float)) for value in tried) and last != 0:
                found.append((key, beyond))
        return found

    def draws(self) -> list[tuple[str, Combination]]:
        """The random combinations of `refine`: the same ones whenever a study is repeated."""
        refine = self.study.refine
        assert refine
        wanted = []
        for arm in refine.of:
            if self.failure(arm):
                continue
            center = self.best(arm)
            around = {
                key: (float(center[key]) / given, float(center[key]) * given)
                if isinstance(given, float)
                else given
                for key, given in refine.ranges.items()
            }
            ranges = ", ".join(f"{k} in [{a:.3g}, {b:.3g}]" for k, (a, b) in around.items())
            self.note(arm, f"drawn from {ranges}")
            draw = random.Random(f"{arm} {sorted(around.items())}")
            for _ in range(refine.draws):
                drawn = {
                    key: float(f"{exp(draw.uniform(log(low), log(high))):.3g}")
                    for key, (low, high) in around.items()
                }
                wanted.append((arm, center | drawn))
        return wanted

    def add(self, stage: str, arm: str, values: Combination, runs: Sequence[str]) -> None:
        """Keeps a combination that was trained, with the names of its runs."""
        candidate = Candidate.model_validate({"stage": stage, "values": values, "runs": list(runs)})
        self.candidates[arm].append(candidate)

    # Which is best

    def failure(self, arm: str) -> str:
        """Why there is nothing to choose in an arm: each of its candidates diverged; else ""."""
        candidates = self.candidates[arm]
        if arm in self.failures or arm in self.found:
            return self.failures.get(arm, "")
        if not candidates or any(self._lacking(candidate) for candidate in candidates):
            return ""
        statuses = [[RunFolder(self.folder / run).status for run in c.runs] for c in candidates]
        if not all("diverged" in found for found in statuses):
            return ""
        tried = "; ".join(_in_words(candidate) for candidate in candidates[:6])
        more = ", ..." if len(candidates) > 6 else ""
        return f"all {len(candidates)} values tried diverged ({tried}{more}): nothing to choose"

    def best(self, arm: str) -> Combination:
        """The values of the best candidate, of the first among equals; {} where nothing was tuned.

        Raises:
            Stopped: Values were tried, but none of them has a result.
        """
        if arm in self.found or not self.candidates[arm]:
            return dict(self.found.get(arm, {}))
        ranked = self._ranked(arm)
        if not ranked:
            tried = len(self.candidates[arm])
            raise Stopped(
                f"{arm}: none of {tried} values tried has a result; nothing to choose from"
            )
        return dict(ranked[0].values)

    def _ranked(self, arm: str) -> list[Candidate]:
        """The candidates that have a result, the best first."""
        return sorted((c for c in self.candidates[arm] if not self._lacking(c)), key=self._score)

    def _lacking(self, candidate: Candidate) -> list[RunFolder]:
        """Its runs that neither completed nor diverged."""
        folders = [RunFolder(self.folder / run) for run in candidate.runs]
        return [folder for folder in folders if folder.status not in FINISHED]

    def _score(self, candidate: Candidate) -> tuple[float, float]:
        """The mean of `tune_by` over the tuning seeds, then of val/loss; lower is better."""
        sign = -parse_measure(self.study.tune_by).direction
        return sign * self._mean(candidate, self.study.tune_by), self._mean(candidate, "val/loss")

    def _mean(self, candidate: Candidate, text: str) -> float:
        measure = parse_measure(text)
        values = [value_in(RunFolder(self.folder / run), measure) for run in candidate.runs]
        worst = -inf * measure.direction
        return sum(worst if value is None else value for value in values) / len(values)

    # What is noted

    def note(self, arm: str, text: str) -> None:
        self.notes[arm].append(text)
        out.print(f"{arm}: {text}")

    def note_choice(self, arm: str, stage: str) -> None:
        """Notes what is best after a stage, by how much, and what the stage had to leave out."""
        if not self.candidates[arm]:
            return
        for candidate in (c for c in self.candidates[arm] if c.stage == stage):
            for folder in self._lacking(candidate)[:1]:
                status = folder.status or "not trained"
                self.note(arm, f"{stage}: {LEFT_OUT} {_in_words(candidate)}: {folder} {status}")
        if failure := self.failure(arm):
            self.note(arm, f"{stage}: {failure}")
            return
        self.best(arm)
        found = self._ranked(arm)
        measure = parse_measure(self.study.tune_by)
        values = [
            formatted(measure, self._mean(candidate, measure.text)) for candidate in found[:2]
        ]
        text = f"{_in_words(found[0])} of {len(found)} tried: {measure.text} {values[0]}"
        if len(found) > 1:
            tie = ", the lower val/loss" if values[0] == values[1] else ""
            text += f"; next {_in_words(found[1])} with {values[1]}{tie}"
        self.note(arm, f"{stage}: chose {text}")


def tuned_keys(study: Study, arm: str) -> list[str]:
    """The keys that are tuned in an arm: those that it does not set itself."""
    own = {key_of(word) for word in study.arms[arm]}
    return [key for key in study.tune if key not in own]


def grid(study: Study, arm: str) -> list[Combination]:
    """All combinations of the values to choose from; none where nothing is tuned."""
    keys = tuned_keys(study, arm)
    return combinations({key: study.tune[key] for key in keys}) if keys else []


def combinations(values: Mapping[str, Sequence[Any]]) -> list[Combination]:
    """All combinations of values by key; without a key, the one of nothing."""
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


def corners(study: Study, arm: str) -> list[Combination]:
    """Combinations at the ends of the fixed ranges of `refine`, to be checked before training."""
    if not study.refine or arm not in study.refine.of:
        return []
    fixed = {key: given for key, given in study.refine.ranges.items() if isinstance(given, tuple)}
    return [{key: ends[side] for key, ends in fixed.items()} for side in (0, 1)] if fixed else []


def _order(value: Any) -> tuple[bool, Any]:
    number = isinstance(value, (int, float))
    return not number, value if number else str(value)


def _geometric(last: Any, before: Any) -> float | int | None:
    """The value beyond `last` in the geometric sequence before, last, ...; None if there is none."""
    numbers = (last, before)
    if not all(type(value) in (int, float) and value > 0 for value in numbers):
        return None
    beyond = last * last / before
    if isinstance(last, int):
        return round(beyond) if round(beyond) >= 1 and round(beyond) != last else None
    return float(f"{beyond:.6g}")


def _in_words(candidate: Candidate) -> str:
    return " ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in candidate.values.items()
    )
