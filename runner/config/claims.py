"""What a claim measures: one number of every run, or of all the runs of an arm that differ in a swept setting.

    measure:   quantity, or quantity / quantity, or quantity - quantity, or swept
    quantity:  metric                              at the end of the run
               metric@epoch, metric@last           0 is before the first step
               epochs_to(metric >= number)         also steps_to, seconds_to; with >= or <=
               range(metric), range(metric@epoch)  largest minus smallest value (since that epoch)
    swept:     largest(key where quantity >= number)   also smallest; with >= or <=
               best(quantity), best(quantity by quantity), best(key by quantity)

A metric is a name such as test/error, train_seconds or saturation/1 (the first layer's); a key is one of
the study's `sweep`. Everything is parsed and checked before anything is trained; nothing is ever evaluated
as Python.
"""

from dataclasses import dataclass
from difflib import get_close_matches

from runner.config.tokens import Tokens
from runner.options.task import Metric, all_metrics, names_in

RESULTS = ("train_seconds", "samples_per_second", "updates_per_second", "steps", "parameters")
LAYER = (
    "preactivation_std", "preactivation_p15", "preactivation_p50", "preactivation_p85",
    "activation_std", "saturation", "gradient_std", "weight_norm", "weight_zeros", "update_ratio",
)  # fmt: skip
TIMED = ("train_seconds", "samples_per_second", "updates_per_second")
TARGETS = {"epochs_to": "epoch", "steps_to": "step", "seconds_to": "seconds"}
RANGE = "range"
LARGEST, SMALLEST, BEST = "largest", "smallest", "best"  # over a swept setting
LAST = -1  # the epoch of metric@last
HIGHER_IS_BETTER = ("samples_per_second", "updates_per_second")
LOWER_IS_BETTER = ("train_seconds",)
FROM_FIRST_EPOCH = ("lr", "update_ratio")  # not measured before the first step


def learning() -> list[str]:
    """The metrics, of any task, that runs have after each epoch and at epoch 0."""
    return [*names_in("train"), *names_in("val")]


def tested() -> list[str]:
    """The metrics, of any task, that runs have at their end."""
    return names_in("test")


def measured_metric(name: str) -> Metric | None:
    """The metric of a task that val/accuracy or the like names; None for lr, steps and other numbers."""
    return all_metrics()[name.split("/")[1]] if name in (*learning(), *tested()) else None


def direction(metric: str) -> int:
    """1 where more of a metric is better, −1 where less is, 0 where neither is, as for a layer's statistics."""
    if known := measured_metric(metric):
        return 1 if known.higher_is_better else -1
    return 1 if metric in HIGHER_IS_BETTER else -1 if metric in LOWER_IS_BETTER else 0


@dataclass(frozen=True)
class Quantity:
    """One number of a run.

    Attributes:
        metric: Its name in metrics.jsonl or result.json.
        epoch: The epoch at which it is read, or LAST; None for the end of the run.
        function: "", range, epochs_to, steps_to or seconds_to.
        target: What the metric has to reach, for the latter three.
        rising: Whether it is reached from below.
    """

    metric: str
    epoch: int | None = None
    function: str = ""
    target: float = 0.0
    rising: bool = True

    @property
    def direction(self) -> int:
        """1 where more is better, −1 where less is (a target is better reached sooner), 0 where neither is."""
        if self.function:
            return -1 if self.function in TARGETS else 0
        return direction(self.metric)

    @property
    def is_timed(self) -> bool:
        """Whether it depends on what else the machine does."""
        return self.metric in TIMED or self.function == "seconds_to"

    @property
    def layer(self) -> int | None:
        """The layer whose diagnostics this is, numbered from 1."""
        family, _, number = self.metric.partition("/")
        return int(number) if family in LAYER and number.isdigit() else None

    def holds(self, value: float) -> bool:
        """Whether a value has reached the target."""
        return value >= self.target if self.rising else value <= self.target


@dataclass(frozen=True)
class Sweep:
    """How a measure looks over the runs of an arm that differ in a swept setting.

    Attributes:
        function: largest, smallest or best.
        key: The setting whose value is the measure; "" where it is the value of a quantity.
        by: What is reached there, or what chooses the best.
    """

    function: str
    key: str
    by: Quantity


@dataclass(frozen=True)
class Measure:
    """A quantity, or the ratio or difference of two, or a value found over a sweep.

    `first` of a swept measure is the quantity that is read off at the value found, or the one that finds it.
    """

    text: str
    first: Quantity
    operator: str = ""
    second: Quantity | None = None
    sweep: Sweep | None = None

    @property
    def quantities(self) -> list[Quantity]:
        swept = [self.sweep.by] if self.sweep and self.sweep.by != self.first else []
        return [self.first, *([self.second] if self.second else []), *swept]

    @property
    def direction(self) -> int:
        """1 where more is better, −1 where less is, 0 where neither is."""
        if self.sweep and self.sweep.key:
            return {LARGEST: 1, SMALLEST: -1, BEST: 0}[self.sweep.function]
        return self.first.direction

    @property
    def is_share(self) -> bool:
        """Whether it lies in [−1, 1] and is read as a percentage."""
        shown = [self.first, *([self.second] if self.second else [])]
        metrics = [None if q.function else measured_metric(q.metric) for q in shown]
        return (
            self.operator != "/"
            and not (self.sweep and self.sweep.key)
            and all(metric is not None and metric.percent for metric in metrics)
        )


def parse_measure(text: str) -> Measure:
    """Reads a measure.

    Raises:
        ValueError: It is not in the grammar, or there is no such metric.
    """
    tokens = Tokens(text)
    if tokens.peek() in (LARGEST, SMALLEST, BEST):
        measure = _swept(tokens)
    else:
        first = _quantity(tokens)
        operator, second = "", None
        if tokens.peek() in ("/", "-"):
            operator = tokens.take("sign")
            second = _quantity(tokens)
        measure = Measure(tokens.text, first, operator, second)
    tokens.end()
    return measure


def _swept(tokens: Tokens) -> Measure:
    function = tokens.take("name")
    tokens.take("sign", "(")
    named = tokens.peek()
    if function != BEST:
        key = tokens.take("name")
        tokens.take("name", "where")
        quantity = _quantity(tokens)
        rising = tokens.take("sign", ">=", "<=") == ">="
        by = Quantity(quantity.metric, quantity.epoch, quantity.function, tokens.number(), rising)
        measure = Measure(tokens.text, by, sweep=Sweep(function, key, by))
        if by.function in TARGETS:
            raise ValueError(f"'{tokens.text}': {by.function}() stands alone; name a metric here")
    elif "/" not in named and not _is_metric(named) and named not in (*TARGETS, RANGE):
        key = tokens.take("name")
        tokens.take("name", "by")
        by = _quantity(tokens)
        measure = Measure(tokens.text, by, sweep=Sweep(function, key, by))
    else:
        first = by = _quantity(tokens)
        if tokens.peek() == "by":
            tokens.take("name", "by")
            by = _quantity(tokens)
        measure = Measure(tokens.text, first, sweep=Sweep(function, "", by))
    if function == BEST:
        if by.metric in tested():
            remedy = f"best({measure.first.metric} by val/loss)"
            raise ValueError(f"'{tokens.text}': the test split is not for choosing; {remedy}")
        if not by.direction:
            raise ValueError(f"'{tokens.text}': of {by.metric} neither more nor less is better")
    tokens.take("sign", ")")
    return measure


def _quantity(tokens: Tokens) -> Quantity:
    name = tokens.take("name")
    if tokens.peek() != "(":
        return _metric(tokens, name)
    if name not in (*TARGETS, RANGE):
        known = ", ".join((*TARGETS, RANGE, LARGEST, SMALLEST, BEST))
        raise ValueError(f"'{tokens.text}': unknown function '{name}'. Known: {known}")
    tokens.take("sign", "(")
    quantity = _metric(tokens, tokens.take("name"))
    rising, target = True, 0.0
    if name in TARGETS:
        rising = tokens.take("sign", ">=", "<=") == ">="
        target = tokens.number()
    tokens.take("sign", ")")
    if _at_the_end(quantity.metric) or (name in TARGETS and quantity.epoch is not None):
        raise ValueError(f"'{tokens.text}': {name}() needs a metric of every epoch")
    return Quantity(quantity.metric, quantity.epoch, name, target, rising)


def _per_epoch(name: str) -> bool:
    family, _, layer = name.partition("/")
    of_layer = family in LAYER and layer.isdigit() and int(layer) > 0
    return of_layer or name in (*learning(), "lr")


def _at_the_end(name: str) -> bool:
    return name in (*tested(), *RESULTS)


def _is_metric(name: str) -> bool:
    return _per_epoch(name) or _at_the_end(name)


def _metric(tokens: Tokens, name: str) -> Quantity:
    if not _is_metric(name):
        known = [*learning(), *tested(), "lr", *RESULTS, *(f"{family}/1" for family in LAYER)]
        close = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"; did you mean '{close[0]}'?" if close else f". Known: {', '.join(known)}"
        raise ValueError(f"'{tokens.text}': unknown metric '{name}'{hint}")
    if tokens.peek() != "@":
        return Quantity(name)
    tokens.take("sign", "@")
    last = tokens.peek() == "last"
    epoch = tokens.take("name") if last else tokens.take("number")
    if not _per_epoch(name):
        raise ValueError(f"'{tokens.text}': {name}@{epoch} is known only at the end of a run")
    if not last and not epoch.isdigit():
        raise ValueError(f"'{tokens.text}': {name}@{epoch} needs a whole epoch")
    if not last and int(epoch) == 0 and name.startswith(FROM_FIRST_EPOCH):
        raise ValueError(f"'{tokens.text}': {name} is known from epoch 1 on")
    return Quantity(name, LAST if last else int(epoch))
