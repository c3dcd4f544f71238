"""A report as blocks, and the two forms in which it is written: Markdown and self-contained HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from runner.reporting.figures import Picture


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Bullets:
    items: Sequence[str]


@dataclass(frozen=True)
class Code:
    text: str


@dataclass(frozen=True)
class Table:
    """Rows of plain text; a cell that is a verdict is marked as one."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = Heading | Paragraph | Bullets | Code | Table | Picture
VERDICTS = {"confirmed": "✔", "refuted": "✘", "undecided": "?"}

CSS = """
:root { color-scheme: light dark; --line: #d0d7de; --soft: #f6f8fa; --text: #1f2328; --back: #fff;
  --confirmed: #116b3a; --refuted: #a8320a; --undecided: #59636e; }
@media (prefers-color-scheme: dark) { :root { --line: #3d444d; --soft: #151b23; --text: #e6edf3;
  --back: #0d1117; --confirmed: #3fb984; --refuted: #ff9160; --undecided: #9198a1; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid var(--line); padding: .4rem .9rem .4rem 0; text-align: left;
  vertical-align: top; }
pre { background: var(--soft); padding: .7rem 1rem; overflow-x: auto; border-radius: 6px; }
figure { margin: 1.2rem 0 2rem; } figcaption { color: var(--undecided); font-size: .9rem; }
svg { max-width: 100%; height: auto; }
.confirmed, .refuted, .undecided { font-weight: 600; white-space: nowrap; }
.confirmed { color: var(--confirmed); } .refuted { color: var(--refuted); }
.undecided { color: var(--undecided); }
"""


def markdown(blocks: Sequence[Block], pictures: str) -> str:
    """The blocks as Markdown.

    Args:
        blocks: In order.
        pictures: The folder that the pictures lie in, relative to the file.
    """
    return "\n\n".join(_markdown(block, pictures) for block in blocks) + "\n"


def _markdown(block: Block, pictures: str) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Bullets(items):
            return "\n".join(f"- {item}" for item in items)
        case Code(text):
            return f"```\n{text}\n```"
        case Table(columns, rows):
            lines = [columns, ["---"] * len(columns), *rows]
            return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)
        case Picture(name, caption, _):
            return f"![{caption}]({pictures}/{name}.svg)\n\n*{caption}*"


def _cell(text: str) -> str:
    escaped = text.replace("|", "\\|").replace("~", "\\~").replace("\n", "<br>")
    return f"{VERDICTS[text]} **{text}**" if text in VERDICTS else escaped


def html(title: str, blocks: Sequence[Block]) -> str:
    """The blocks as one HTML file that loads nothing."""
    body = "\n".join(_html(block) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{escape(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"
        case Code(text):
            return f"<pre>{escape(text)}</pre>"
        case Table(columns, rows):
            head = "".join(f"<th>{escape(column)}</th>" for column in columns)
            lines = ("".join(_html_cell(cell) for cell in row) for row in rows)
            return f"<table><tr>{head}</tr>" + "".join(f"<tr>{x}</tr>" for x in lines) + "</table>"
        case Picture(_, caption, svg):
            return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _html_cell(text: str) -> str:
    if text in VERDICTS:
        return f'<td class="{text}">{VERDICTS[text]} {text}</td>'
    return f"<td>{escape(text).replace(chr(10), '<br>')}</td>"
