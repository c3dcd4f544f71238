"""A document shows foreign text as it was written, in Markdown and in the HTML made of it."""

from types import SimpleNamespace

import pytest
from markdown_it import MarkdownIt
from test_foreign import HOSTILE, Rendered, is_plain

from runner.foreign import visible
from runner.reporting.documents import html, markdown

CELLS = ["table", "thead", *["tr", *["th"] * 4], "tbody", "tr", "td", "td", "td", "strong", "td"]


@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_in_the_lectures_table(text: str) -> None:
    verdict = SimpleNamespace(verdict="confirmed", claim=SimpleNamespace(says=text))
    document = markdown(
        "lecture",
        summary=text,
        verdicts=[(text, verdict)],
        numbers_behind=lambda _: [text, text],
    )
    assert is_plain(document)
    shown = " ".join(visible(text).split())
    body = MarkdownIt("commonmark").enable("table").render(document)
    page = html(text, document, {})
    for found, tags in [
        (Rendered(body), ["h1", "p", *CELLS, "br"]),
        (Rendered(page.partition("<body>")[2]), ["h1", "p", *CELLS, "br"]),
    ]:
        assert found.tags == tags
        assert " ".join(found.text.split()).count(shown) >= 4
    assert 'class="confirmed"' in page


def test_an_image_that_the_report_did_not_draw_is_left_out() -> None:
    page = html(
        "t", "![x](http://evil/x.png)\n\n![y](figures/y.svg)\n", {"figures/y.svg": "<svg/>"}
    )
    assert "evil" not in page
    assert "<svg/>" in page
