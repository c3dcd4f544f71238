"""The file beside the runs of a study or a search that says what they were for: its only reader and writer."""

import json
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field

from runner.errors import DataError
from runner.options.option import Option
from runner.runs.files import read_file, write_atomically
from runner.runs.records import parsed

MAX_BYTES = 1 << 26
RunName = Annotated[str, Field(pattern=r"^[^./\\\x00][^/\\\x00]*$", max_length=255)]


class CampaignRecord(Option):
    """What was asked and what came of it.

    Attributes:
        kind: What it is a record of, in a word.
        default_name: The file's name, if no other is asked for.
    """

    kind: ClassVar[str]
    default_name: ClassVar[str]

    @abstractmethod
    def run_names(self) -> Iterator[str]:
        """The folders of all its runs."""

    def write(self, folder: Path, name: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
        write_atomically(folder / (name or self.default_name), text.encode())

    @classmethod
    def read(cls, folder: Path, name: str | None = None) -> Self:
        """Raises:
        DataError: There is none, or it is damaged, or it names runs outside its folder.
        """
        path = folder / (name or cls.default_name)
        data = read_file(path, MAX_BYTES)
        if data is None:
            raise DataError(f"{folder}: no {cls.kind} has been run here")
        record = parsed(cls, data, path)
        home = folder.resolve()
        for run in record.run_names():
            if not (home / run).resolve().is_relative_to(home):
                raise DataError(f"{path}: the run {run} is a link that leaves the folder")
        return record
