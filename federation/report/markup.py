"""HTML that is safe by construction: text is escaped unless it is already `Html`."""

from __future__ import annotations

import html
from collections.abc import Iterable

_VOID = frozenset({"br", "meta"})


class Html(str):
    """A piece of finished HTML; any other str is text and is escaped when it is placed."""

    __slots__ = ()


def place(*children: str) -> Html:
    """Children one after another: `Html` as it is, other text escaped."""
    return Html(
        "".join(
            child if isinstance(child, Html) else html.escape(_printable(child), quote=True)
            for child in children
        )
    )


def element(tag: str, *children: str, **attributes: str) -> Html:
    """An element; attribute values are escaped, `class_` is class and `_` in names is `-`."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(_printable(value), quote=True)}"'
        for name, value in attributes.items()
    )
    if tag in _VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{place(*children)}</{tag}>")


def bullets(sentences: Iterable[str]) -> Html:
    """An unordered list."""
    return element("ul", *(element("li", sentence) for sentence in sentences))


def table(
    header: Iterable[str],
    rows: Iterable[Html],
    numeric: Iterable[int] = (),
    caption: str = "",
    class_: str = "",
) -> Html:
    """A table in a box that scrolls sideways on a narrow screen.

    Args:
        header: column titles.
        rows: finished rows, see `row`.
        numeric: positions of right-aligned number columns.
        caption: text above the table.
        class_: CSS class of the table.
    """
    aligned = set(numeric)
    titles = (
        element("th", title, scope="col", class_="number" if i in aligned else "text")
        for i, title in enumerate(header)
    )
    parts = [element("caption", caption)] if caption else []
    parts += [element("thead", element("tr", *titles)), element("tbody", *rows)]
    return element("div", element("table", *parts, class_=class_), class_="wide")


def row(cells: Iterable[str], numeric: Iterable[int] = (), class_: str = "") -> Html:
    """A table row whose first cell names it."""
    aligned = set(numeric)
    written = []
    for i, cell in enumerate(cells):
        kind = "number" if i in aligned else "text"
        if i == 0:
            written.append(element("th", cell, scope="row", class_=kind))
        else:
            written.append(element("td", cell, class_=kind))
    return element("tr", *written, class_=class_) if class_ else element("tr", *written)


def _printable(text: str) -> str:
    """Text without control characters and lone surrogates, which no HTML file may hold."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if (ord(c) < 32 and c not in "\t\n") or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000
        else c
        for c in text
    )
