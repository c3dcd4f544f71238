"""The words and signs of a measure or an expectation, read from left to right."""

import re
from collections.abc import Iterator
from math import isfinite

TOKEN = re.compile(
    r" ?(?P<number>\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w/.]))"
    r"| ?(?P<name>[A-Za-z_]\w*(?:[/.]\w+)*)"
    r"| ?(?P<sign><=|>=|[<>~*/()@+-])",
    re.ASCII,
)


class Tokens:
    """The tokens of an expression, read from left to right.

    Raises:
        ValueError: A character belongs to neither language.
    """

    def __init__(self, text: str) -> None:
        self.text = " ".join(text.split())
        self.tokens = list(self._split())
        self.place = 0

    def _split(self) -> Iterator[tuple[str, str]]:
        place = 0
        while rest := self.text[place:].strip():
            match = TOKEN.match(self.text, place)
            if not match:
                raise ValueError(f"'{self.text}': cannot read '{rest}'")
            kind = str(match.lastgroup)
            yield kind, match[kind]
            place = match.end()

    @property
    def kind(self) -> str:
        """The kind of the next token: number, name, sign, or "" at the end."""
        return self.tokens[self.place][0] if self.place < len(self.tokens) else ""

    def peek(self) -> str:
        return self.tokens[self.place][1] if self.kind else ""

    def take(self, kind: str, *allowed: str) -> str:
        """The next word, if it is of that kind and one of those allowed."""
        found = self.peek()
        if self.kind != kind or (allowed and found not in allowed):
            wanted = " or ".join(allowed) if allowed else f"a {kind}"
            raise ValueError(f"'{self.text}': expected {wanted}, found '{found or 'the end'}'")
        if kind == "number" and not isfinite(float(found)):
            raise ValueError(f"'{self.text}': {found} is too large a number")
        self.place += 1
        return found

    def number(self) -> float:
        """The next number, which may have a minus sign."""
        sign = -1.0 if self.peek() == "-" and self.take("sign") else 1.0
        return sign * float(self.take("number"))

    def end(self) -> None:
        if self.peek():
            raise ValueError(f"'{self.text}': expected nothing after that, found '{self.peek()}'")
