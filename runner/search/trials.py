"""The runs of a search: a draw and a seed, composed into a checked run; and what is wrong with a space."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from runner.command.compose import Composer, composing
from runner.command.request import Request
from runner.config.search import Search
from runner.config.study import key_of
from runner.errors import ConfigError
from runner.runs.job import Job
from runner.search.brackets import fewest_trials, rungs_of
from runner.search.samplers import LR, decades
from runner.search.space import Draw, Setting, corners, finest_grid, words_of

MOST_CHECKED = 256  # draws that are composed before anything is trained
ALONE = ("study=null", "search=null")  # a trial is a run like any other


def in_search(key: str) -> str:
    return f"search.{key}"


class Arm(NamedTuple):
    """What an arm of a study gives to all runs of its search.

    Attributes:
        words: Its overrides.
        named: What tells its runs from those of other arms.
        splits: Whether a seed draws the split, too.
        place: The key at which a key of the search's node stands in the experiment.
    """

    words: Sequence[str] = ()
    named: tuple[tuple[str, str], ...] = ()
    splits: bool = False
    place: Callable[[str], str] = in_search


class TrialRuns:
    """Composes the runs of one search.

    Args:
        request: The command line; its settings hold for every trial that does not draw them.
        search: The checked node that says what is searched.
        seeds: Every trial is trained with each of them.
        arm: Of a study: what all runs of this search have besides; None for a search by itself.
    """

    def __init__(
        self, request: Request, search: Search, seeds: Sequence[int], arm: Arm | None = None
    ) -> None:
        self.request = request
        self.command = request.command
        self.search = search
        self.seeds = seeds
        self.arm = arm or Arm()
        self.config = request.jobs[0].config
        self.composed: dict[tuple[str, ...], Job] = {}
        self.own = list(request.jobs[0].overrides)
        words = [w for w in self.own if key_of(w).split(".")[0] not in ("search", "study", "seed")]
        self.words = [*words, *self.arm.words]
        self.given = options_of(request, self.arm.words)

    def job(self, draw: Draw, seed: int) -> Job:
        """The run of a draw with a seed.

        Raises:
            ConfigError: The draw does not compose.
        """
        split = [f"data.split_seed={seed}"] if self.arm.splits else []
        words = (*self.words, *words_of(draw), f"seed={seed}", *split, *ALONE)
        if words in self.composed:
            return self.composed[words]
        with composing(self.request.folders) as composer:
            composer.problems.clear()
            config = composer.config(words)
            if config is None:
                where = self.arm.place("space")
                raise ConfigError([f"{where}: {text}" for text in composer.problems])
        named = {Setting(key).path: str(value) for key, value in draw.items()}
        job = Job(words, config, (*self.arm.named, *named.items(), ("seed", str(seed))))
        return self.composed.setdefault(words, job)

    @property
    def plain(self) -> Job:
        """The experiment without the search."""
        return self.job({}, self.seeds[0])

    def check(self) -> None:
        """Raises:
        ConfigError: With all mistakes of the search that its model cannot know, each with its place.
        """
        with composing(self.request.folders) as composer:
            composer.problems.clear()
            found = [
                composer.located(self.own, self.arm.place(key), message)
                for key, message in [*self._of_settings(composer), *self._of_numbers()]
            ]
        if found:
            raise ConfigError(list(dict.fromkeys(found)))

    def _of_numbers(self) -> list[tuple[str, str]]:
        """Mistakes in how many trials and epochs there are, by key of the node."""
        search, epochs = self.search, self.config.epochs
        rungs = rungs_of(search, epochs)
        if search.stop != "none" and len(rungs) == 1:
            return [
                (
                    "first_rung",
                    f"no rung before the end: {search.first_rung} × eta={search.eta} epochs are more"
                    f" than epochs={epochs}; epochs={search.first_rung * search.eta} or stop=none",
                )
            ]
        trials, drawn = search.trials, "trials"
        if search.sampler == "grid":
            trials = len(finest_grid(search, self.given))
            if not trials:
                return [
                    (drawn, f"{search.trials} are too few for a grid with two values of each range")
                ]
        if search.sampler == "lecture":
            domain = search.space.get(LR)
            if domain is None or domain.log is None:
                told = f"sampler=lecture tries decades of η: {LR}: {{log: [1e-4, 1.0]}} is missing"
                return [("space", told)]
            if not decades(search):
                return [(f"space.{LR}", "no power of ten lies in it, for sampler=lecture")]
            trials -= len(decades(search))
        fewest = fewest_trials(search, epochs)
        if trials < fewest:
            at = ", ".join(map(str, rungs[:-1]))
            why = f"one of eta={search.eta} is kept after epoch {at}" if at else "none is left"
            besides = (
                f" after {len(decades(search))} decades of η" if search.sampler == "lecture" else ""
            )
            of = f" (a grid of {trials})" if search.sampler == "grid" else ""
            more = search.trials + fewest - trials
            return [
                (
                    drawn,
                    f"{search.trials}{of} are too few: {search.stop} needs {fewest}{besides}, for"
                    f" {why}; trials={more} or a larger first_rung",
                )
            ]
        return []

    def _of_settings(self, composer: Composer) -> list[tuple[str, str]]:
        """Mistakes in the keys and values of the space, by key."""
        found: list[tuple[str, str]] = []
        space, known = self.search.space, composer.loader.groups
        for key, domain in space.items():
            setting, where = Setting(key), f"space.{key}"
            if setting.is_group and setting.group in known:
                if domain.choice is None:
                    found.append((where, "a group has options; write {choice: [...]}"))
                elif odd := [value for value in domain.choice if not isinstance(value, str)]:
                    found.append((where, f"an option of a group is a word, found {odd[0]!r}"))
            elif setting.option:
                chosen = space.get(setting.group)
                options = [self.given.get(setting.group)] if chosen is None else chosen.choice or ()
                if setting.option not in options:
                    told = ", ".join(map(str, options))
                    found.append(
                        (
                            where,
                            f"{setting.group}={setting.option} is never chosen here, only {told};"
                            f" {setting.group}: {{choice: [...]}} names the options",
                        )
                    )
        return found or self._of_draws(composer)

    def _of_draws(self, composer: Composer) -> list[tuple[str, str]]:
        """Mistakes that are seen when the ends of the space are composed."""
        found: dict[tuple[str, str], None] = {}
        draws = corners(self.search, self.given, MOST_CHECKED)
        draws += decades(self.search) if self._is_lecture else []
        fine: list[Draw] = []
        failed: list[tuple[Draw, list[str]]] = []
        for draw in draws:
            composer.problems.clear()
            words = [*self.words, *words_of(draw), *ALONE]
            if composer.config(words) is None:
                failed.append((draw, list(composer.problems)))
            else:
                fine.append(draw)
        for draw, problems in failed:
            for problem in problems:
                found[self._of_problem(draw, problem, fine)] = None
        return list(found)

    @property
    def _is_lecture(self) -> bool:
        domain = self.search.space.get(LR)
        return self.search.sampler == "lecture" and domain is not None and domain.log is not None

    def _of_problem(self, draw: Draw, problem: str, fine: Sequence[Draw]) -> tuple[str, str]:
        """The key of the space that a problem comes from, and the problem in its terms."""
        for key, word in zip(_ordered(draw), words_of(draw), strict=True):
            if not problem.startswith(f"{word}: "):
                continue
            message, setting = problem.removeprefix(f"{word}: "), Setting(key)
            group = setting.group
            with_it = dict.fromkeys(str(d[group]) for d in fine if group in d)
            if not setting.is_group and "unknown key" in message and with_it:
                one = next(iter(with_it))
                rest = setting.path.removeprefix(f"{group}.")
                message = f"{draw[group]} has no such setting; {group}@{one}.{rest} asks for it only with {one}"
            elif not setting.is_group and "unknown key" not in message:
                message = f"{draw[key]}: {message}"
            return f"space.{key}", message
        drawn = ", ".join(words_of(draw))
        return "space", f"with {drawn}: {problem}"


def options_of(request: Request, words: Sequence[str] = ()) -> dict[str, str]:
    """The option that is chosen in each group, by a command line and these words after it."""
    with composing(request.folders) as composer:
        composed = composer.composed([*request.jobs[0].overrides, *words])
    return {str(group): str(option) for group, option in composed.hydra.runtime.choices.items()}


def runs_of(request: Request) -> TrialRuns:
    """The runs of a command line that selects an experiment with a search.

    Raises:
        ConfigError: It asks for several searches at once.
    """
    config = request.jobs[0].config
    assert config.search
    if request.multirun:
        raise ConfigError(["a search is a sweep by itself: leave out -m, one search at a time"])
    seeds = range(config.seed, config.seed + config.search.seeds)
    return TrialRuns(request, config.search, seeds)


def _ordered(draw: Draw) -> list[str]:
    """The keys in the order of their words."""
    return sorted(draw, key=lambda key: not Setting(key).is_group)
