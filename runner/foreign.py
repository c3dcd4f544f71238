"""Text that others wrote, made safe for wherever it is shown.

A study, a run folder or an experiment may come from a stranger. Its words must not move the terminal's cursor,
fill the clipboard, reverse the reading order, become a tag or a formula, or hide anything. So a character that
cannot be seen is shown by its number, and whatever the place would read as its own language is quoted.
"""

import re
import unicodedata
from html import escape

# Control, format (bidirectional, zero-width), surrogate, private and unassigned characters; separators of lines.
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# What Markdown, or GitHub's, reads as its own; `_` only at the border of a word, where it begins emphasis.
MARKS = re.compile(r"[\\`*|~$]|(?<![^\W_])_|_(?![^\W_])")
LINK = re.compile(r"\] ?[(\[:]|!\[")  # without one of these, brackets are only brackets
BEGINS = re.compile(r"(?=[-+](?: |-|$)|[#>])|[0-9]+(?=[.)](?: |$))")  # a list, heading, quotation
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def visible(text: str) -> str:
    """The text with every hidden character, except a line's end, written as \\x1b, \\u202e or the like."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape", "surrogatepass").decode()
        if char != "\n" and unicodedata.category(char) in HIDDEN
        else char
        for char in text
    )


for_terminal = visible


def for_html(text: str) -> str:
    """For an element's content or a quoted attribute."""
    return escape(visible(text))


def for_markdown(text: str) -> str:
    """For a paragraph, a list's item or a table's cell, in one line; it reads as it was written."""
    text = MARKS.sub(r"\\\g<0>", visible(" ".join(text.split("\n")).strip()))
    if LINK.search(text):
        text = re.sub(r"[\[\]]", r"\\\g<0>", text)
    text = re.sub(r"<(?! )", "&lt;", re.sub(r"&(?=[#\w])", "&amp;", text))
    begins = BEGINS.match(text)
    return f"{text[: begins.end()]}\\{text[begins.end() :]}" if begins else text


def for_markdown_code(text: str) -> str:
    """A block of code, in a fence longer than any in the text."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{visible(text)}\n{fence}"


def for_csv(value: object) -> object:
    """For a cell: a spreadsheet takes it for no formula. A number stays one."""
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
