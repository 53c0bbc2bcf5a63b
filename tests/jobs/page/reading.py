"""The page as a browser without scripts has it: elements with their texts, by the standard library's parser."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_EMPTY = {"meta", "input", "br", "img", "line", "link"}


@dataclass
class Element:
    """One element; `text` is all of its own and of what is in it."""

    tag: str
    attributes: dict[str, str]
    parts: list["str | Element"] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(part if isinstance(part, str) else f" {part.text} " for part in self.parts).split())

    def all(self, tag: str, **attributes: str) -> list["Element"]:
        """Elements below with these attributes; of `cls` one of the classes."""
        found = []
        for part in self.parts:
            if isinstance(part, Element):
                found += [part] if part.meets(tag, attributes) else []
                found += part.all(tag, **attributes)
        return found

    def one(self, tag: str, **attributes: str) -> "Element":
        (found,) = self.all(tag, **attributes)
        return found

    def meets(self, tag: str, attributes: dict[str, str]) -> bool:
        return tag in {self.tag, "*"} and all(
            value in self.attributes.get("class", "").split() if name == "cls" else self.attributes.get(name) == value
            for name, value in attributes.items()
        )

    def facts(self) -> dict[str, str]:
        """The terms of its first list of facts."""
        facts = self.all("dl")[0]
        return {term.text: said.text for term, said in zip(facts.all("dt"), facts.all("dd"), strict=True)}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("page", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].parts.append(made)
        if tag not in _EMPTY:
            self.open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].parts.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)


def read(text: str) -> Element:
    """The whole page; fails where elements are not closed as they were opened."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert len(reader.open) == 1, reader.open[-1].tag
    return reader.open[0]
