"""A JSON document read field by field, so that every complaint names its place: file, case and field.

`Part` is one object of the document. Each reading method takes a field out, checks its kind and gives a default when
it is absent; `take_unread` then lists what nobody asked for, which is how a misspelt field is noticed. Numbers become
integers here, for integers decide: GPUs are read as millionths, exactly, from the digits in the file.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NoReturn

from muster_contracts.values import WHOLE_GPU

UNLIMITED = ("unlimited", -1)
MOST = 10**15
"""A petabyte, and more than any cluster has of anything else; beyond it a number is a mistake."""


class Unreadable(ValueError):
    """A file is not a file of scenarios; the text says in one sentence where and why."""


def parse(text: str, file: str) -> "Part":
    """Read a file's text. Raises Unreadable when it is no JSON object."""
    place = Place(file)
    try:
        content = json.loads(text, parse_float=Decimal)
    except RecursionError as error:
        raise Unreadable(f"{file}: This is nested too deeply to be read.") from error
    except ArithmeticError as error:
        raise Unreadable(f"{file}: It has a number too large to be read.") from error
    except ValueError as error:
        raise Unreadable(f"{file}: This is not JSON that can be read: {error}.") from error
    if not isinstance(content, dict):
        place.refuse("The file should be one object with named fields.")
    _check_characters(content, place)
    return Part(content, place)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a document we are; `path` is like `jobs[2].tasks[0]`."""

    file: str
    case: str = ""
    path: str = ""

    def below(self, name: str) -> "Place":
        """Return the place of a field."""
        return replace(self, path=f"{self.path}.{name}" if self.path else name)

    def at(self, index: int) -> "Place":
        """Return the place of an element."""
        return replace(self, path=f"{self.path}[{index}]")

    def refuse(self, complaint: str) -> NoReturn:
        """Raise Unreadable with this place in front."""
        parts = [self.file, f"case {self.case}" if self.case else "", f"field {self.path}" if self.path else ""]
        raise Unreadable(f"{', '.join(part for part in parts if part)}: {complaint}")


@dataclass(slots=True)
class Part:
    """One object of a document, and which of its fields were read."""

    content: Mapping[str, Any]
    place: Place
    read: set[str] = field(default_factory=set)
    below: dict[str, "Part"] = field(default_factory=dict)  # by path, so that a part read twice is one

    def take_unread(self) -> list[str]:
        """Return the paths of the fields, here and below, that were not read; they count as read then."""
        mine = [self.place.below(name).path for name in self.content if name not in self.read]
        self.read.update(self.content)
        return mine + [path for part in self.below.values() for path in part.take_unread()]

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.content.get(name) is not None

    def skip(self, *names: str) -> None:
        """Pass over fields that say something to people alone."""
        self.read.update(names)

    def refuse(self, name: str, complaint: str) -> NoReturn:
        """Raise Unreadable for one field."""
        self.place.below(name).refuse(complaint)

    def text(self, name: str, default: str | None = None) -> str:
        """Read text. Without a default the field is required."""
        value = self._take(name, default)
        if not isinstance(value, str):
            self.refuse(name, f"It should be text, not {_shown(value)}.")
        _check_characters([value], self.place.below(name))
        return value

    def name(self, field: str = "name", default: str | None = None) -> str:
        """Read what a thing is called, which is never empty."""
        return self.text(field, default) or self.refuse(field, "It is empty.")

    def one_of(self, name: str, choices: Sequence[str], default: str | None = None) -> str:
        """Read a word out of a few."""
        value = self.text(name, default)
        if value not in choices:
            self.refuse(name, f"It should be one of {', '.join(choices)}, not {_shown(value)}.")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Read true or false."""
        value = self._take(name, default)
        if not isinstance(value, bool):
            self.refuse(name, f"It should be true or false, not {_shown(value)}.")
        return value

    def whole(self, name: str, default: int | None = None, *, least: int = 0, most: int = MOST) -> int:
        """Read a whole number."""
        return self._scaled(name, self._take(name, default), 1, least, most)

    def amount(self, name: str, default: int | None = None, *, unit: int = 1, most: int = MOST) -> int:
        """Read an amount that may have decimals, in whole `unit`-th parts of one, as `default` is."""
        if not self.has(name) and default is not None:
            self.read.add(name)
            return default
        return self._scaled(name, self._take(name, None), unit, 0, most)

    def gpus(self, name: str, default: int | None = None) -> int:
        """Read an amount of GPUs, as millionths."""
        return self.amount(name, default, unit=WHOLE_GPU)

    def limit(self, name: str, *, unit: int = 1, default: int | None = None) -> int | None:
        """Read an amount, or the word "unlimited" (or -1), which is None."""
        if self.content.get(name) in UNLIMITED:
            self.read.add(name)
            return None
        if not self.has(name):
            self.read.add(name)
            return default
        return self.amount(name, unit=unit)

    def texts(self, name: str) -> tuple[str, ...]:
        """Read a list of texts; absent is empty."""
        values = self._list(name)
        if not all(isinstance(value, str) for value in values):
            self.refuse(name, "It should be a list of texts.")
        _check_characters(values, self.place.below(name))
        return tuple(values)

    def labels(self, name: str) -> dict[str, str]:
        """Read an object of texts; absent is empty."""
        values = self._object(name)
        if not all(isinstance(value, str) for value in values.values()):
            self.refuse(name, "It should be an object of texts.")
        _check_characters([*values, *values.values()], self.place.below(name))
        return dict(values)

    def part(self, name: str) -> "Part":
        """Read an object; absent is empty."""
        return self._part(self._object(name), self.place.below(name))

    def parts(self, name: str) -> list["Part"]:
        """Read a list of objects; absent is empty."""
        place = self.place.below(name)
        return [self._part(value, place.at(index)) for index, value in enumerate(self._list(name))]

    def named_parts(self, name: str) -> dict[str, "Part"]:
        """Read an object of objects; absent is empty."""
        return self.part(name).objects()

    def objects(self) -> dict[str, "Part"]:
        """Read every field of this object as an object."""
        self.skip(*self.content)
        return {key: self._part(value, self.place.below(key)) for key, value in self.content.items()}

    def _part(self, value: Any, place: Place) -> "Part":
        if not isinstance(value, dict):
            place.refuse(f"It should be an object, not {_shown(value)}.")
        _check_characters(value, place)
        return self.below.setdefault(place.path, Part(value, place))

    def _take(self, name: str, default: Any) -> Any:
        self.read.add(name)
        value = self.content.get(name)
        if value is None:
            value = default
        if value is None:
            self.refuse(name, "It is missing.")
        return value

    def _gather(self, name: str, empty: Any) -> Any:
        """Take a list or an object. Null is neither: what it should have named would be missed elsewhere."""
        self.read.add(name)
        return self.content.get(name, empty)

    def _object(self, name: str) -> Mapping[str, Any]:
        value = self._gather(name, {})
        if not isinstance(value, dict):
            self.refuse(name, f"It should be an object, not {_shown(value)}.")
        return value

    def _list(self, name: str) -> list[Any]:
        value = self._gather(name, [])
        if not isinstance(value, list):
            self.refuse(name, f"It should be a list, not {_shown(value)}.")
        return value

    def _scaled(self, name: str, value: Any, unit: int, least: int, most: int) -> int:
        if not isinstance(value, int | Decimal) or isinstance(value, bool):
            self.refuse(name, f"It should be a number, not {_shown(value)}.")
        if not least <= value <= most:
            self.refuse(name, f"It should be from {least} to {most}, not {_shown(value)}.")
        if unit == 1 and value != int(value):
            self.refuse(name, f"It should be a whole number, not {_shown(value)}.")
        return int(value * unit)


def _check_characters(texts: Iterable[str], place: Place) -> None:
    """Refuse half of a character: JSON can spell one as an escape, but it can be neither written nor printed."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            place.refuse(f"{_shown(text)} has half of a character (a surrogate without the other).")


def _shown(value: Any) -> str:
    text = str(value) if isinstance(value, Decimal) else json.dumps(value, default=float)
    return text if len(text) <= 40 else f"{text[:40]}…"
