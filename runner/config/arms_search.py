"""The search node of a study: every arm is searched with the same budget, maybe in its own way."""

from collections.abc import Collection, Mapping

from pydantic import Field, field_validator

from runner.config.search import (
    Domain,
    Sampler,
    Search,
    Space,
    Trials,
    checked,
    group_of,
    option_of,
    path_of,
)
from runner.config.values import Name
from runner.options.option import Option


class ArmSearch(Option):
    """What an arm searches in another way than the others; how much it may try is the same for all.

    Attributes:
        space: Its own, instead of the common one.
        sampler: Its own, instead of the common one.
    """

    space: Space | None = None
    sampler: Sampler | None = None

    @field_validator("space")
    @classmethod
    def _no_reserved_key(cls, space: dict[str, Domain] | None) -> dict[str, Domain] | None:
        return None if space is None else checked(space)


class ArmsSearch(Trials):
    """A search in every arm of a study, each with the same trials, epochs and rungs.

    Attributes:
        arms: By name, those that draw from another space or in another way.
    """

    arms: dict[Name, ArmSearch] = Field(default_factory=dict)

    def space_of(self, arm: str) -> dict[str, Domain]:
        return (self.arms[arm].space if arm in self.arms else None) or self.space

    def sampler_of(self, arm: str) -> Sampler:
        return (self.arms[arm].sampler if arm in self.arms else None) or self.sampler

    def place_of(self, arm: str, key: str) -> str:
        """Where a key of an arm's search stands in the study's node."""
        own = arm in self.arms and getattr(self.arms[arm], key.split(".")[0], None) is not None
        return f"arms.{arm}.{key}" if own else key

    def of(
        self, arm: str, own: Collection[str], options: Mapping[str, str], by: str, seeds: int
    ) -> Search | None:
        """The search of an arm: what it does not set itself, and its options have.

        Args:
            arm: Its name.
            own: The keys that it sets itself.
            options: The option of each group that its runs have, where the search draws no other.
            by: The metric that decides.
            seeds: How many every trial is trained with.

        Returns:
            None if there is nothing to search.
        """
        space = {k: domain for k, domain in self.space_of(arm).items() if path_of(k) not in own}
        kept = {
            key: domain
            for key, domain in space.items()
            if not (option := option_of(key))
            or (group := group_of(key)) in space
            or options.get(group) == option
        }
        if not kept:
            return None
        common = {key: getattr(self, key) for key in Trials.model_fields}
        changed = {"space": kept, "sampler": self.sampler_of(arm)}
        return Search(**(common | changed), by=by, seeds=seeds, audit=0.0)
