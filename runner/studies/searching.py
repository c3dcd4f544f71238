"""The search of each arm of a study: as many trials, epochs and rungs for each, with the same seeds.

So no arm is better because it was tuned better. The draws are the same, too, where the space and the sampler
are. Each search has a record of its own beside the study's, and goes on from it.
"""

from functools import partial

from runner.command.compose import composing
from runner.command.request import Request
from runner.config.study import Study
from runner.errors import ConfigError
from runner.search.campaign import Campaign
from runner.search.evaluation import Train
from runner.search.findings import at_border
from runner.search.record import Record
from runner.search.space import Draw, Setting, words_of
from runner.search.trials import Arm, TrialRuns, options_of
from runner.studies.combinations import Combination
from runner.studies.record import Candidate
from runner.studies.tuning import Tuning


def searches_of(request: Request, study: Study) -> dict[str, Campaign]:
    """The search of each arm that has something to search, not begun yet.

    Args:
        request: The command line.
        study: Its checked study, of which every arm composes.

    Raises:
        ConfigError: With the mistakes of all searches, each once.
    """
    if not study.search:
        return {}
    found: dict[str, Campaign] = {}
    unused = {
        place_in(study, arm, f"space.{k}") for arm in study.arms for k in study.search.space_of(arm)
    }
    problems: list[str] = []
    for arm, words in study.arms.items():
        search = study.search_of(arm, options_of(request, words))
        if not search:
            continue
        place = partial(place_in, study, arm)
        unused -= {place(f"space.{key}") for key in search.space}
        of_arm = Arm(words, (("arm", arm),), study.splits, place)
        try:
            runs = TrialRuns(request, search, study.tuning_seeds, of_arm)
            found[arm] = Campaign(runs, f"search-{arm}.json", arm)
        except ConfigError as error:
            problems += error.problems
    told = "no arm searches it: each sets it itself or has another option"
    with composing(request.folders) as composer:
        own = request.jobs[0].overrides
        problems += [composer.located(own, key, told) for key in sorted(unused)]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return found


def place_in(study: Study, arm: str, key: str) -> str:
    """The key at which a key of an arm's search stands in the experiment."""
    assert study.search
    return f"study.search.{study.search.place_of(arm, key)}"


def search_arm(arm: str, campaign: Campaign, train: Train, tuning: Tuning) -> None:
    """Carries out the search of an arm and keeps what it has found.

    Args:
        arm: Its name.
        campaign: Its search.
        train: Trains jobs that have not come to a rung.
        tuning: Gets what was tried, and the best of it.
    """
    record = campaign.carry_out(train)
    for number, trial in enumerate(record.trials):
        values = by_path(record.draw(number))
        candidate = Candidate(
            stage="search", values=values, value=record.value(number), runs=trial.runs
        )
        tuning.candidates[arm].append(candidate)
    tried = f"{len(record.trials)} tried"
    best = record.best
    if best is None:
        tuning.failures[arm] = f"none of {tried} came to its end with a number: nothing to choose"
        tuning.note(arm, f"search: {tuning.failures[arm]}")
        return
    draw = record.draw(best)
    tuning.found[arm] = by_path(draw)
    told = " ".join(words_of(draw))
    tuning.note(arm, f"search: chose {told} of {tried}: {record.search.by} {shown(record, best)}")
    for border in at_border(record, draw):
        tuning.note(arm, f"search: best at the border: {border}")


def by_path(draw: Draw) -> Combination:
    """A draw by the keys of the configuration, groups first, for their files set the other keys."""
    ordered = sorted(draw, key=lambda key: not Setting(key).is_group)
    return {Setting(key).path: draw[key] for key in ordered}


def shown(record: Record, number: int) -> str:
    value = record.value(number)
    return "–" if value is None else f"{value:.4g}"
