"""A page of HTML as a reader's program sees it: its structure, its texts and tables, and what it loads."""

from __future__ import annotations

import re
from html.parser import HTMLParser

#: Elements of HTML without an end.
VOID = {"meta", "link", "br", "img", "input", "hr"}
#: Attributes that name something else.
ADDRESSES = {"src", "href", "xlink:href", "srcset", "poster", "data", "action", "background"}


class HtmlPage(HTMLParser):
    """A page; fails if its elements are not nested well."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.structure: list[tuple[str, ...]] = []
        """Each element's name and those of its attributes."""
        self.attributes: list[tuple[str, str, str]] = []
        """Element, attribute, value."""
        self.tables: list[list[list[str]]] = []
        """The texts of the cells."""
        self.texts: dict[str, list[str]] = {}
        """All texts directly in an element, by its name."""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._add(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._add(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data

    def _add(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice"
        self.structure.append((tag, *names))
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    @property
    def text(self) -> str:
        """All that a reader may see, without style and script."""
        return "\n".join(text for tag, texts in self.texts.items() if tag not in {"style", "script"} for text in texts)

    @property
    def ids(self) -> list[str]:
        """Of all elements."""
        return [value for _, name, value in self.attributes if name == "id"]

    @property
    def loaded(self) -> list[str]:
        """Addresses of anything outside the page."""
        named = [value for _, name, value in self.attributes if name in ADDRESSES]
        styles = [value for _, name, value in self.attributes if name == "style"] + self.texts.get("style", [])
        in_styles = [
            match[1] for style in styles for match in re.finditer(r"(?:url\(|@import\s*)[\"']?([^\"');]*)", style)
        ]
        return [address for address in named + in_styles if not address.startswith(("#", "data:"))]
