"""Tables in Markdown, of text that means itself: what is in a stack or an account can't become markup of a report."""

import html
import re
from collections.abc import Iterable, Iterator


def escaped(text: str) -> str:
    """A text that means itself, on one line."""
    marked = re.sub(r"([\\|*_\[\]`#~])", r"\\\1", html.escape(text, quote=False))
    return marked.replace("\r", "").replace("\n", "<br>").replace("@", "@\u200b")


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """The lines of a table; the cells are taken as they are."""
    names = list(heads)
    yield f"| {' | '.join(names)} |"
    yield f"|{' --- |' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
