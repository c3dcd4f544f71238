"""search.json: what was asked, in order, what the rungs have decided, and what came of it.

With the run folders it is all that a search needs to go on, and all that the report needs. It holds nothing
that would differ the next time, such as seconds or a date.
"""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, model_validator

from runner.config.search import Search
from runner.config.values import Value
from runner.options.option import Option
from runner.runs.campaign_record import CampaignRecord, RunName
from runner.search.space import Draw
from runner.search.task import Tried

RECORD = "search.json"
Number = Annotated[int, Field(ge=0, lt=2**63)]


class Trial(Option):
    """One draw.

    Attributes:
        bracket: Its number, from 0.
        draw: The values by key of the space.
        runs: The names of their folders, one for each seed.
    """

    bracket: Number
    draw: dict[str, Value]
    runs: Annotated[list[RunName], Field(min_length=1)]


class Decision(Option):
    """What a rung has decided.

    Attributes:
        bracket: Its number.
        epoch: Where its trials were compared.
        values: The metric that decides, by trial; null for one that had ended by itself.
        kept: The trials that go on, the best first; none at the end.
    """

    bracket: Number
    epoch: Annotated[int, Field(ge=1)]
    values: dict[Number, float | None]
    kept: list[Number]


class Again(Option):
    """One of the best trials, trained with fresh seeds.

    Attributes:
        trial: Its number.
        value: The mean of the metric that decides over these seeds, or null.
        runs: The names of their folders.
    """

    trial: Number
    value: float | None
    runs: list[RunName]


class Record(CampaignRecord):
    """A search as far as it was carried out.

    Attributes:
        command: Carries it out again.
        search: The checked search node.
        seed: The search's; its draws and its runs' seeds follow from it.
        epochs: Of a trial that comes to its end.
        experiment: The digest of all other settings.
        given: The options that the experiment itself chooses, by group.
        optuna: The version that has sampled, or null.
        trials: In the order in which they were asked.
        decisions: In the order in which they were made.
        audited: Dropped trials that were trained on to the end, each with its value there; null until then.
        final: The best trials with fresh seeds; null until then.
        best: The number of the best trial; null if there is none, or not yet.
        complete: Whether nothing is left to do.
    """

    kind = "search"
    default_name = RECORD

    command: str
    search: Search
    seed: Number
    epochs: Number
    experiment: str
    given: dict[str, str]
    optuna: str | None
    trials: list[Trial] = Field(default_factory=list)
    decisions: list[Decision] = Field(default_factory=list)
    audited: dict[Number, float | None] | None = None
    final: list[Again] | None = None
    best: Number | None = None
    complete: bool = False

    @model_validator(mode="after")
    def _belongs_together(self) -> "Record":
        if problem := next(self._problems(), None):
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        named = [number for d in self.decisions for number in (*d.values, *d.kept)]
        named += [*(self.audited or {}), *(again.trial for again in self.final or [])]
        named += [] if self.best is None else [self.best]
        if unknown := [number for number in named if number >= len(self.trials)]:
            yield f"trial {unknown[0]}: there are only {len(self.trials)}"
        for decision in self.decisions:
            if not set(decision.kept) <= {n for n, v in decision.values.items() if v is not None}:
                yield f"a rung at epoch {decision.epoch} keeps a trial without a value"
        for number, trial in enumerate(self.trials):
            if not trial.draw.keys() <= self.search.space.keys():
                yield f"trial {number}: a setting that is not in the space"
            for key, value in trial.draw.items():
                domain = self.search.space[key]
                known = domain.choice or ()
                if not (value in known if known else type(value) in (int, float)):
                    yield f"trial {number}: {key}: no value of its domain"

    # What was found

    def members(self, bracket: int) -> list[int]:
        """The numbers of its trials."""
        return [number for number, trial in enumerate(self.trials) if trial.bracket == bracket]

    def decision(self, bracket: int, epoch: int) -> Decision | None:
        found = (d for d in self.decisions if (d.bracket, d.epoch) == (bracket, epoch))
        return next(found, None)

    def tried(self, number: int) -> Tried:
        """A trial as a sampler sees it."""
        mine = [d for d in self.decisions if number in d.values]
        values = {d.epoch: d.values[number] for d in mine}
        return Tried(self.trials[number].draw, values, self.epochs in values)

    def ended(self) -> list[int]:
        """The trials that were trained to their end and have a value there, the best first."""
        values = {
            number: value
            for decision in self.decisions
            if decision.epoch == self.epochs
            for number, value in decision.values.items()
        }
        return ranked(values, self.search.higher_is_better)

    def value(self, number: int) -> float | None:
        """The metric that decides, at the last rung that a trial has come to."""
        values = self.tried(number).values
        return values[max(values)] if values else None

    def draw(self, number: int) -> Draw:
        return dict(self.trials[number].draw)

    def best_trial(self) -> int | None:
        """The best one: by fresh seeds where there are some, else of those that came to the end."""
        if self.final:
            values = {again.trial: again.value for again in self.final}
            return next(iter(ranked(values, self.search.higher_is_better)), None)
        return next(iter(self.ended()), None)

    def dropped(self) -> dict[int, int]:
        """The trials that had a value and were not kept, each with the epoch of the rung."""
        return {
            number: decision.epoch
            for decision in self.decisions
            if decision.epoch < self.epochs
            for number, value in decision.values.items()
            if value is not None and number not in decision.kept
        }

    def run_names(self) -> Iterator[str]:
        for of in (*self.trials, *(self.final or ())):
            yield from of.runs

    def with_(self, **changed: Any) -> "Record":
        return self.model_copy(update=changed)


def ranked(values: dict[int, float | None], higher_is_better: bool) -> list[int]:
    """The trials that have a value, the best first; equal ones by their number."""
    sign = -1 if higher_is_better else 1
    there = {number: value for number, value in values.items() if value is not None}
    return sorted(there, key=lambda number: (sign * there[number], number))
