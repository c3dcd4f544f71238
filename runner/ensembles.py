"""Ensembles of finished runs: the mean of their class probabilities on the test split.

Nothing is trained again: every run keeps its probabilities in predictions.npz. Runs that differ in their
seed alone make one ensemble. From the command line on any folder of runs:

    python -m runner.ensembles outputs/ensemble
    python -m runner.ensembles outputs/runs --size 5 --missing 1
    python -m runner.ensembles outputs/runs --pool                # of all runs, whatever their settings
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from runner.command.streams import lasting_streams
from runner.command.terminal import out, tell_problems
from runner.errors import MISTAKES, ConfigError
from runner.runs.folder import RunFolder
from runner.runs.listing import settings_in
from runner.studies.averaging import Member, MissingMember, accuracy_by_size, ensemble_metrics
from runner.studies.evidence import Evidence
from runner.studies.record import RECORD

ANY = ("seed", "name", "trainer")  # settings in which the members of an ensemble may differ


@lasting_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0; 2 a member is missing, damaged or does not fit."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.ensembles", description="Averages the predictions of finished runs."
    )
    parser.add_argument("folders", nargs="+", type=Path, help="runs, or folders of runs")
    parser.add_argument("--size", type=int, help="only ensembles of this size")
    parser.add_argument("--missing", type=int, default=0, help="how many members may be missing")
    parser.add_argument("--pool", action="store_true", help="one ensemble, whatever the settings")
    options = parser.parse_args(arguments)
    try:
        members = present(members_in(options.folders), options.missing)
        ensembles = {"": members} if options.pool else by_settings(members)
        largest = max(map(len, ensembles.values()))
        if options.size is not None and not 1 <= options.size <= largest:
            raise ConfigError([f"--size {options.size}: there are {largest} members"])
        for settings, members in ensembles.items():
            if settings:
                out.print(f"\n{settings}", style="bold")
            tell_accuracies(members, options.size)
    except (MissingMember, *MISTAKES, OSError) as error:
        tell_problems(error)
        return 2
    return 0


def members_in(paths: Iterable[Path]) -> list[Member]:
    """The runs in these folders; of a study its final runs, not those of its tuning.

    Raises:
        MissingMember: A folder holds no run.
    """
    members: list[Member] = []
    for path in paths:
        if (path / "status.json").exists():
            members.append(Member(path))
        elif (path / RECORD).exists():
            evidence = Evidence.read(path)
            final = [pair for arm in evidence.arms.values() for pair in arm.final_runs]
            final.sort(key=lambda pair: evidence.study.seed_list.index(pair[0]))
            members += [Member(path / run) for run in dict.fromkeys(run for _, run in final)]
        else:
            found = sorted(status.parent for status in path.glob("*/status.json"))
            if not found:
                what = "no run in this folder" if path.is_dir() else "no such folder"
                raise MissingMember(f"{path}: {what}")
            members += [Member(run) for run in found]
    return members


def present(members: Sequence[Member], may_miss: int) -> list[Member]:
    """The members that completed.

    Raises:
        MissingMember: More than `may_miss` did not.
    """
    missing = [member for member in members if not member.complete]
    if len(missing) > may_miss:
        lines = [f"{m.path}: {RunFolder(m.path).status or 'not trained'}" for m in missing[:4]]
        more = f" (--missing {len(missing)} goes on without)"
        raise MissingMember("\n".join([*lines, f"{len(missing)} of {len(members)} missing{more}"]))
    return [member for member in members if member.complete]


def by_settings(members: Sequence[Member]) -> dict[str, list[Member]]:
    """The members of each configuration: they differ in their seed alone.

    Each stands under those of its settings that are not the same in all; one configuration stands under "".
    """
    found: dict[tuple[tuple[str, object], ...], list[Member]] = {}
    for member in members:
        config = RunFolder(member.path).config()
        settings = settings_in(config.model_dump(mode="json")) if config else {}
        deciding = {k: v for k, v in settings.items() if k.split(".")[0] not in ANY}
        found.setdefault(tuple(deciding.items()), []).append(member)
    common = set.intersection(*(set(settings) for settings in found))
    return {
        " ".join(f"{key}={value}" for key, value in settings if (key, value) not in common): group
        for settings, group in found.items()
    }


def tell_accuracies(members: Sequence[Member], size: int | None) -> None:
    """Prints the members' own accuracies, then accuracy against size."""
    from statistics import mean, stdev

    for member in members:
        out.print(f"{ensemble_metrics([member])['test/accuracy']:8.2%}  {member.path.name}")
    out.print("\nsize  groups  test accuracy")
    if size and size > len(members):
        out.print(f"{size:4}  only {len(members)} members")
    for count, accuracies in accuracy_by_size(members):
        if size in (None, count):
            spread = f" ± {stdev(accuracies):.2%}" if len(accuracies) > 1 else ""
            out.print(f"{count:4}  {len(accuracies):6}  {mean(accuracies):.2%}{spread}")


if __name__ == "__main__":
    sys.exit(main())
