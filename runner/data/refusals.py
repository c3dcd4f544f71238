"""What is said of a file that is not what its name says."""

from pathlib import Path

from runner.errors import DataError

LONGEST_PATH = 200  # in a message


def unexpected(path: Path | str, found: str, expected: str) -> DataError:
    """An error of three lines: the file or folder, what was found, and what should have been."""
    text = str(path)
    if len(text) > LONGEST_PATH:
        text = f"{text[: LONGEST_PATH // 2]}...{text[-LONGEST_PATH // 2 :]}"
    shown = text if text.isprintable() else repr(text)
    return DataError(f"{shown}\n  found: {found}\n  expected: {expected}")


def start_of(content: bytes) -> str:
    """How the content begins, which gives away a saved web page at once."""
    start = content[:20]
    try:
        text = start.decode("ascii").splitlines()[0]
    except (UnicodeDecodeError, IndexError):
        text = ""
    if text.isprintable() and text:
        return f"starts with {text!r}"
    return f"starts with the bytes {start[:8].hex(' ')}" if start else "empty"
