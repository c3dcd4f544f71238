"""Text that a stranger wrote, in every place that shows it."""

import json
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import Command
from markdown_it import MarkdownIt
from rich.table import Table

from runner.command.sweep_files import as_csv
from runner.command.terminal import out
from runner.foreign import for_csv, for_html, for_markdown, for_markdown_code, visible

HIDDEN = [
    char
    for char in map(chr, [*range(0x3000), *range(0xD7F0, 0x10000, 7), 0xE0001, 0xE0041, 0x10FFFF])
    if char != "\n" and unicodedata.category(char)[0] == "C"
] + ["\u2028", "\u2029"]
HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x1b]52;c;aGVsbG8=\x07",
    "\x9b2J\x90q",
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "abc\u202etxt.exe\u202c \u2066x\u2069",
    "zero\u200bwidth\ufeff \U000e0041tag",
    "back\b\b\bspace\rreturn",
    "<script>alert(1)</script>",
    "<img src=http://evil/x.png onerror=alert(1)>",
    "![pixel](http://evil/pixel.png) [click](javascript:alert(1))",
    "![pixel][x] [x]: http://evil",
    "<http://evil> <!-- comment",
    "&#x202e;reversed &lt;b&gt; &amp;",
    "a | b | c\\| d",
    "```\ncode\n```",
    "`code` ``more``",
    "# heading",
    "- item",
    "1. item",
    "12) item",
    "> quotation",
    "---",
    "+ plus",
    "**bold** *em* _em_ __bold__ ~~gone~~ snake_case",
    "$\\frac{1}{2}$ \\",
    "'\"><svg onload=alert(1)>",
    "[/b] [red]x[/red] :smile:",
    "{{ 7 * 7 }} {% include 'x' %}",
    "p < 0.05 & q > 1 [0.1, 0.2]",
]


def is_plain(text: str) -> bool:
    """Whether nothing in a text is hidden."""
    return not any(
        char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        for char in text
    )


class Rendered(HTMLParser):
    """The tags and the text of an HTML document."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def without_pictures(html: str) -> str:
    """A page without what is drawn in it, and without the PNG files that stand in it."""
    png = r'<img src="data:image/png;base64,[\w+/=]*" alt="[^"<>]*"(?: class="wide")? />'
    return re.sub(rf"<svg.*?</svg>|{png}", "", html, flags=re.DOTALL)


def test_every_hidden_character_is_shown_by_its_number() -> None:
    assert len(HIDDEN) > 500
    for char in HIDDEN:
        shown = visible(f"a{char}b")
        assert shown.isascii() and is_plain(shown)
        assert shown[1:-1].encode().decode("unicode_escape") == char
    assert visible("é 日本 η ≥ 1\nsecond line") == "é 日本 η ≥ 1\nsecond line"


@pytest.mark.parametrize("text", HOSTILE)
def test_the_screen_shows_it_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    out.print(text, style="bold")
    assert capsys.readouterr().out == visible(text) + "\n"
    table = Table(box=None, pad_edge=False)
    table.add_column(text, no_wrap=True)
    table.add_row(text)
    out.print(table, width=200)
    shown = capsys.readouterr().out
    assert is_plain(shown)
    for line in visible(text).splitlines():
        assert shown.count(line) >= 2


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_reads_as_it_was_written(text: str) -> None:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    one_line = " ".join(visible(text).split("\n"))
    safe = for_markdown(text)
    for document, tags in [
        (f"{safe}\n", ["p"]),
        (f"# {safe}\n", ["h1"]),
        (f"- {safe}\n", ["ul", "li"]),
        (f"| {safe} | x |\n| --- | --- |\n", ["table", "thead", "tr", "th", "th"]),
    ]:
        found = Rendered(parser.render(document))
        assert found.tags == tags, document
        assert found.text.split() == [*one_line.split(), *(["x"] if "th" in tags else [])]


@pytest.mark.parametrize("text", [*HOSTILE, "````\n``````\n", "~~~"])
def test_code_stays_in_its_fence(text: str) -> None:
    document = f"before\n\n{for_markdown_code(text)}\n\nafter\n"
    found = Rendered(MarkdownIt("commonmark").render(document))
    assert found.tags == ["p", "pre", "code", "p"]
    assert found.text.strip().removeprefix("before\n").removesuffix("\nafter") == (
        visible(text) + "\n"
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_html_reads_as_it_was_written(text: str) -> None:
    found = Rendered(f'<p title="{for_html(text)}">{for_html(text)}</p>')
    assert found.tags == ["p"]
    assert found.text == visible(text)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        (" =1", "' =1"),
        ("＝1+1", "'＝1+1"),
        ("-0.5", "-0.5"),
        ("+1e-3", "+1e-3"),
        (-0.5, -0.5),
        (None, None),
        ("sgd\x1b[2J", "sgd\\x1b[2J"),
    ],
)
def test_a_cell_is_no_formula(value: object, cell: object) -> None:
    assert for_csv(value) == cell
    assert as_csv(["=k"], [{"=k": value}]).splitlines()[0] == "'=k"


def test_a_run_folder_of_a_stranger_is_shown_as_it_is(command: Command) -> None:
    words = ("epochs=1", "data.train_size=64", "trainer.progress=false", "name=theirs")
    assert command(*words).code == 0
    [path] = Path("outputs/theirs").glob("*-*")
    text = " ".join(HOSTILE)
    result = json.loads((path / "result.json").read_text())
    (path / "result.json").write_text(json.dumps({**result, "device": text}))
    (path / "status.json").write_text(json.dumps({"status": "complete"}))  # as of version 0.1
    ended = command(*words)
    assert ended.code == 0, ended.err
    assert visible(text) in ended.out
    assert is_plain(ended.out)
    (path / "result.json").write_text(json.dumps({**result, "status": "diverged"}))
    (path / "status.json").write_text(json.dumps({"status": "diverged", "reason": text}))
    ended = command(*words)
    assert visible(text) in ended.err
    assert is_plain(ended.err)
