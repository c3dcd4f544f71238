"""Documents: each is a Markdown template beside this file, and its HTML is made of the Markdown.

Whatever a template inserts is taken for foreign text, unless one of the filters here has made it.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

from runner.foreign import for_html, for_markdown, for_markdown_code
from runner.reporting.canvas import Picture
from runner.runs.files import make_folder, write_atomically

WIDE = 420  # pixels from which an image is scrolled on a narrow screen instead of made smaller
MARKS = {"confirmed": "✔", "refuted": "✘", "undecided": "?"}


def markdown(template: str, **values: Any) -> str:
    """A document: the template `<template>.md.jinja` with these values."""
    return MARKDOWN.get_template(f"{template}.md.jinja").render(values)


def write(
    folder: Path,
    name: str,
    title: str,
    text: str,
    pictures: Sequence[Picture],
    images: Mapping[str, bytes] | None = None,
    sortable: bool = False,
) -> Path:
    """Writes <name>.md, <name>.html and the pictures; returns the second.

    Args:
        folder, name: Where to.
        title, sortable: As for `html`.
        text: The document in Markdown.
        pictures: Drawn for it.
        images: PNG by the path that the document gives, where they lie already.
    """
    for picture in pictures:
        make_folder((folder / picture.path).parent)
        write_atomically(folder / picture.path, picture.svg.encode())
    write_atomically(folder / f"{name}.md", text.encode())
    shown = {picture.path: picture.svg for picture in pictures}
    page = html(title, text, {**shown, **(images or {})}, sortable)
    write_atomically(folder / f"{name}.html", page.encode())
    return folder / f"{name}.html"


def html(title: str, text: str, pictures: Mapping[str, str | bytes], sortable: bool = False) -> str:
    """A document of this module as one HTML file that loads nothing.

    Args:
        title: The window's.
        text: The document in Markdown.
        pictures: SVG or PNG by the path that the document gives; other images are left out.
        sortable: A click on the heading of a column sorts a table by it.
    """
    text = text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")  # one number, one line
    body = Markup(PARSER.render(text, {"pictures": pictures}))
    return HTML.get_template("page.html.jinja").render(title=title, body=body, sortable=sortable)


def _environment(safe: Callable[[str], str]) -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        finalize=lambda value: value if isinstance(value, Markup) else safe(str(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )


def _code(text: str) -> Markup:
    return Markup(for_markdown_code(text))


def _lines(texts: Sequence[str]) -> Markup:
    """Lines in one cell of a table."""
    return Markup("<br>".join(for_markdown(text) for text in texts))


def _verdict(word: str) -> Markup:
    return Markup(f"{MARKS[word]} **{word}**")


def _picture(
    renderer: RendererHTML,
    tokens: Sequence[Token],
    at: int,
    options: OptionsDict,
    env: EnvType,
) -> str:
    found: str | bytes = env["pictures"].get(tokens[at].attrs["src"], "")
    if isinstance(found, str):
        return found
    tokens[at].attrSet("src", f"data:image/png;base64,{b64encode(found).decode()}")
    if int.from_bytes(found[16:20]) > WIDE:  # of its header
        tokens[at].attrSet("class", "wide")
    return renderer.image(tokens, at, options, env)


def _bold(
    renderer: RendererHTML,
    tokens: Sequence[Token],
    at: int,
    options: OptionsDict,
    env: EnvType,
) -> str:
    """A verdict in bold gets its colour."""
    if (word := tokens[at + 1].content) in MARKS:
        tokens[at].attrSet("class", word)
    return renderer.renderToken(tokens, at, options, env)


MARKDOWN = _environment(for_markdown)
MARKDOWN.filters |= {"code": _code, "lines": _lines, "verdict": _verdict}
HTML = _environment(for_html)
# Its tags can only be a template's own <br>: in foreign text none is left.
PARSER = MarkdownIt("commonmark").enable("table")
PARSER.add_render_rule("image", _picture)
PARSER.add_render_rule("strong_open", _bold)
