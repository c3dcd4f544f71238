"""A study from its declaration to finished runs: check all arms, tune each, train each with every seed.

Each stage is a sweep of runs, and finished runs are found again: the grid of `tune` with the first seed
or seeds, the random draws of `refine`, or a search in each arm, and the chosen values of every arm with every
seed.
"""

from collections.abc import Callable, Sequence

from runner.command.request import Request
from runner.config.defaults import option_defaults
from runner.config.schema import Config
from runner.config.study import Study
from runner.errors import ConfigError
from runner.runs.folder import OUTPUTS
from runner.runs.job import Job
from runner.runs.rung import Rung
from runner.studies.combinations import Combination, StudyRuns, Wanted, differing
from runner.studies.evidence import Evidence
from runner.studies.record import Arm, Point, Record, name_for
from runner.studies.searching import search_arm, searches_of
from runner.studies.tuning import EXTENSIONS, Tuning, combinations, corners, grid

Train = Callable[[list[Job], Rung | None], object]


class Campaign:
    """The runs of one study.

    Args:
        request: A command line that selects an experiment with a study.

    Raises:
        ConfigError: An arm or a tuned value does not compose, or a claim measures what does not exist.
    """

    def __init__(self, request: Request) -> None:
        config = request.jobs[0].config
        assert config.study
        self.request = request
        criterion = f"val/{config.task.criterion}"
        tune_by = config.study.tune_by or criterion
        self.study: Study = config.study.model_copy(update={"tune_by": tune_by})
        self.runs = StudyRuns(request, self.study)
        self.folder = OUTPUTS / config.name
        self.trained: set[str] = set()  # hashes; what resume=false has trained afresh already
        self.stage = ""  # what is being trained for
        if problems := list(dict.fromkeys(self._problems(config))):
            raise ConfigError(problems)
        self.searches = searches_of(request, self.study)
        self.tuning = Tuning(self.study, self.folder, self._is_valid)

    @property
    def configs(self) -> list[Config]:
        """One run of every arm, as it is before tuning."""
        seed = self.study.seed_list[0]
        return [self.runs.job(Wanted(arm, {}, seed)).config for arm in self.study.arms]

    @property
    def tuned(self) -> int:
        """How many runs choose values, without those beyond the borders."""
        study = self.study
        tried = sum(len(grid(study, arm)) for arm in study.arms)
        tried += sum(search.plan.trials for search in self.searches.values())
        drawn = len(study.refine.of) * study.refine.draws if study.refine else 0
        return (tried + drawn) * len(study.tuning_seeds)

    @property
    def planned(self) -> int:
        """How many runs there will be, without those beyond the borders."""
        study = self.study
        points = len(combinations(study.sweep))
        return self.tuned + len(study.arms) * len(study.seed_list) * points

    @property
    def plan(self) -> str:
        """What will be trained: 2 arms × 3 optimizer.lr, then 5 seeds: 16 runs."""
        study, arms = self.study, len(self.study.arms)
        seeds = len(study.seed_list)
        steps = [f"{arms} arm{'s' * (arms > 1)}"]
        sizes = {len(grid(study, arm)) for arm in study.arms}
        if len(sizes) == 1:
            steps[0] += "".join(f" × {len(values)} {key}" for key, values in study.tune.items())
        elif study.tune:
            steps[0] += f", {sum(len(grid(study, arm)) for arm in study.arms)} tries"
        if self.searches:
            trials = dict.fromkeys(search.plan.trials for search in self.searches.values())
            steps.append(f"a search of {' and '.join(map(str, trials))} trials in each")
        if study.refine:
            steps.append(f"{study.refine.draws} draws for {', '.join(study.refine.of)}")
        told = f"{seeds} seed{'s' * (seeds > 1)}"
        told += "".join(f" × {len(values)} {key}" for key, values in study.sweep.items())
        plan = ", then ".join([*steps, told]) if self.tuned else f"{steps[0]} × {told}"
        return f"{plan}: {self.planned} runs"

    def _problems(self, config: Config) -> list[str]:
        """All mistakes of all arms, told before anything is trained."""
        study, seed = self.study, self.study.seed_list[0]
        found = []
        if self.request.multirun:
            found.append("a study is a sweep by itself: leave out -m and run one study at a time")
        if config.seed != 0:
            found.append(f"seed={config.seed}: a study has seeds; study.seeds=[{config.seed}]")
        own = option_defaults("data", config.data.name).get("split_seed")
        if study.splits and config.data.split_seed != own:
            found.append("data.split_seed: with study.splits each seed draws its own")
        wanted = [
            Wanted(arm, values, seed)
            for arm in study.arms
            for values in [{}, *grid(study, arm), *corners(study, arm), *combinations(study.sweep)]
        ]
        invalid = self.runs.problems(wanted)
        for run in wanted:
            if run.key in invalid:
                tuned = "".join(f" {key}={value}" for key, value in run.values.items())
                found += [f"arm '{run.arm}'{tuned}: {text}" for text in invalid[run.key]]
            else:
                found += study.problems_in(run.arm, self.runs.job(run).config)
        return found

    def _is_valid(self, arm: str, values: Combination) -> bool:
        return not self.runs.problems([Wanted(arm, values, self.study.seed_list[0])])

    def carry_out(self, train: Train) -> Evidence:
        """Trains what is not trained yet, stage by stage, and keeps the record of it.

        Args:
            train: Trains jobs that are not finished, or have not come to a rung.
        """
        study, tuning = self.study, self.tuning
        for arm, search in self.searches.items():
            search_arm(arm, search, train, tuning)
        if study.tune:
            self._try(train, "tune", [(arm, v) for arm in study.arms for v in grid(study, arm)])
            for extension in range(EXTENSIONS + 1):
                wanted = tuning.beyond_borders(extension)
                if not wanted:
                    break
                self._try(train, "tune", wanted)
            for arm in study.arms:
                tuning.note_choice(arm, "tune")
        if study.refine:
            self._try(train, "refine", tuning.draws())
            for arm in study.refine.of:
                tuning.note_choice(arm, "refine")
        chosen = {arm: tuning.best(arm) for arm in study.arms if not tuning.failure(arm)}
        points = combinations(study.sweep)
        runs = [
            Wanted(arm, values | point, seed)
            for seed in study.seed_list
            for arm, values in chosen.items()
            for point in points
        ]
        self.stage = "seeds"
        jobs = {run.key: job for run, job in zip(runs, self._train(train, runs), strict=True)}
        record = self._recorded(chosen, jobs)
        name = name_for(self.folder, record.command, self.request.plain)
        record.write(self.folder, name)
        return Evidence(self.folder, record, name)

    def _try(self, train: Train, stage: str, wanted: Sequence[tuple[str, Combination]]) -> None:
        """Trains combinations of values with the tuning seeds and keeps them as candidates."""
        seeds = self.study.tuning_seeds
        self.stage = stage
        runs = [Wanted(arm, values, seed) for arm, values in wanted for seed in seeds]
        names = [job.folder.name for job in self._train(train, runs)]
        for number, (arm, values) in enumerate(wanted):
            first = number * len(seeds)
            self.tuning.add(stage, arm, values, names[first : first + len(seeds)])

    def _train(self, train: Train, runs: Sequence[Wanted]) -> list[Job]:
        jobs = self.runs.jobs(runs)
        new = {job.config.hash: job for job in jobs if job.config.hash not in self.trained}
        train(list(new.values()), None)
        self.trained |= set(new)
        return jobs

    def _recorded(
        self, chosen: dict[str, Combination], jobs: dict[tuple[str, str, int], Job]
    ) -> Record:
        study, seeds, points = self.study, self.study.seed_list, combinations(self.study.sweep)
        settings = differing(
            {
                arm: self.runs.job(Wanted(arm, chosen.get(arm, {}), seeds[0])).config
                for arm in study.arms
            }
        )

        def runs_of(arm: str, point: Combination) -> dict[int, str]:
            wanted = {seed: Wanted(arm, chosen[arm] | point, seed) for seed in seeds}
            return {seed: jobs[run.key].folder.name for seed, run in wanted.items()}

        arms = {}
        for arm, words in study.arms.items():
            swept = points if study.sweep and arm in chosen else []
            arms[arm] = Arm(
                overrides=list(words),
                settings=settings[arm],
                chosen=chosen.get(arm, {}),
                candidates=self.tuning.candidates[arm],
                notes=self.tuning.notes[arm],
                runs={} if study.sweep or arm not in chosen else runs_of(arm, {}),
                swept=[Point(values=point, runs=runs_of(arm, point)) for point in swept],
                failure=self.tuning.failure(arm),
            )
        return Record(command=self.request.command, study=study, arms=arms)
