"""The texts that a text may hide: its escapes undone, and what it encodes decoded."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.privacy.protected.folding import BARRIER

__all__ = ["Decoded", "View", "decoded_view", "escapes", "hexadecimal", "tag_characters", "whole"]

Decode = Callable[[str], str]
PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+|%u[0-9A-Fa-f]{4}")
HTML = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});?|<[/!?A-Za-z][^<>]{0,400}>")
JSON = re.compile(
    r"(?:\\u[0-9a-fA-F]{4})+|\\u\{[0-9a-fA-F]{1,6}\}|\\U[0-9a-fA-F]{8}|(?:\\x[0-9a-fA-F]{2})+|\\[\"'\\/bfnrt]"
)
QUOTED = re.compile(r"(?:=[0-9A-Fa-f]{2})+|=[ \t]*\r?\n")
HEX = re.compile(r"(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[\s:,;-]{0,2}){4,}[0-9A-Fa-f]?")
HEX_FILLING = re.compile(r"0x|\\x|[\s:,;-]")
TAGS = re.compile("[\U000e0020-\U000e007e]+")
LEAST = 4
"""Bytes of text among what was decoded, below which they are noise."""
NOISE = 0x80
"""A code point that is no text, for bytes that are none."""
SHORT = {"b": " ", "f": " ", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True)
class View:
    """A text with the places in the original that each of its characters came from.

    Attributes:
        text: of the view.
        starts: first code point of the original for each character.
        ends: the one after the last.
        how: what was undone to get it, innermost last.
        loose: whether words don't end where they seem to, because what stands beside may be noise.
    """

    text: str
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    how: tuple[str, ...] = ()
    loose: bool = False

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Where in the original the characters from `first` to `last` stand."""
        return int(self.starts[first : last + 1].min()), int(self.ends[first : last + 1].max())


def whole(text: str) -> View:
    """A text as it is."""
    places = np.arange(len(text) + 1, dtype=np.int64)
    return View(text, places[:-1], places[1:])


def substituted(view: View, pattern: re.Pattern[str], decode: Decode, how: str) -> View | None:
    """A view with what matches decoded; `None` where that changes nothing."""
    texts: list[str] = []
    starts: list[NDArray[np.int64]] = []
    ends: list[NDArray[np.int64]] = []
    at = 0
    for match in pattern.finditer(view.text):
        new, (first, last) = decode(match[0]).replace(BARRIER, " "), match.span()
        if new == match[0]:
            continue
        texts += [view.text[at:first], new]
        starts += [view.starts[at:first], np.full(len(new), view.starts[first])]
        ends += [view.ends[at:first], np.full(len(new), view.ends[last - 1])]
        at = last
    if not texts:
        return None
    texts.append(view.text[at:])
    starts.append(view.starts[at:])
    ends.append(view.ends[at:])
    done = view.how if view.how[-1:] == (how,) else (*view.how, how)
    return View("".join(texts), np.concatenate(starts), np.concatenate(ends), done, view.loose)


def escapes(view: View) -> Iterator[View]:
    """Views with escapes undone: each sort alone, and all of them until none is left, however they are nested."""
    for sort in (percent, markup, json_escapes, quoted):
        if (alone := sort(view)) is not None:
            yield alone
    current, deep = view, 0
    while deep < 4:
        before = current
        for sort in (json_escapes, markup, percent):
            current = sort(current) or current
        if current is before:
            break
        deep += 1
        yield current
    if current is not view and (last := quoted(current)) is not None:
        yield last


def percent(view: View) -> View | None:
    """%4A, and %u004A of old browsers."""
    return substituted(view, PERCENT, unpercented, "percent") if "%" in view.text else None


def markup(view: View) -> View | None:
    """Character references; tags and comments left out."""
    return substituted(view, HTML, unmarked, "html") if "&" in view.text or "<" in view.text else None


def json_escapes(view: View) -> View | None:
    r"""Escapes of JSON and of most programming languages: \\u004a, \\x4a, \\n."""
    return substituted(view, JSON, unescaped, "json") if "\\" in view.text else None


def quoted(view: View) -> View | None:
    """Quoted-printable, its soft line breaks too."""
    return substituted(view, QUOTED, unquoted, "quoted-printable") if "=" in view.text else None


def tag_characters(view: View) -> Iterator[View]:
    """What invisible tag characters spell."""
    for match in TAGS.finditer(view.text):
        first, last = match.span()
        text = "".join(chr(ord(c) - 0xE0000) for c in match[0])
        yield View(text, view.starts[first:last], view.ends[first:last], (*view.how, "tags"))


def hexadecimal(view: View) -> View | None:
    """What runs of hexadecimal digits encode, from either of their first two digits on."""
    parts: list[Decoded] = []
    for match in HEX.finditer(view.text):
        digits = HEX_FILLING.sub("", match[0])
        start, end = int(view.starts[match.start()]), int(view.ends[match.end() - 1])
        for first in (0, 1):
            even = digits[first : first + (len(digits) - first) // 2 * 2]
            data = np.frombuffer(bytes.fromhex(even), dtype=np.uint8)
            parts.append((data, np.full(len(data), start), np.full(len(data), end)))
    return decoded_view(parts, (*view.how, "hex"))


Decoded = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]
"""Bytes, with the first and the last code point of the original that each came from."""


def decoded_view(parts: Sequence[Decoded], how: tuple[str, ...], *, loose: bool = False) -> View | None:
    """The stretches of decoded bytes that may be text, with barriers between; `None` where there are none."""
    if not parts:
        return None
    wall = np.zeros(1, dtype=np.int64)
    data = np.concatenate([array for part in parts for array in (part[0], wall.astype(np.uint8))])
    starts = np.concatenate([array for part in parts for array in (part[1], wall)])
    ends = np.concatenate([array for part in parts for array in (part[2], wall)])
    data[np.cumsum([len(part[0]) + 1 for part in parts]) - 1] = NOISE
    codes, first, sizes = characters(data)
    noise = ((codes < 32) & ((codes < 9) | (codes > 13)) & (codes != 0)) | ((codes >= 0x7F) & (codes < 0xA0))
    edges = np.flatnonzero(np.diff(noise, prepend=True, append=True))
    opening, closing = edges[::2], edges[1::2]
    after = first + sizes
    long = (opening < closing) & (after[closing - 1] - first[opening] >= LEAST)
    if not long.any():
        return None
    mark = np.zeros(len(codes) + 2, dtype=np.int64)
    mark[opening[long]] += 1
    mark[closing[long] + 1] -= 1  # one more: the noise after it becomes a barrier
    chosen = np.cumsum(mark)[: len(codes)] > 0
    codes[codes == ord(BARRIER)] = 32
    kept = np.where(noise, np.uint32(ord(BARRIER)), codes)[chosen]
    text = kept.tobytes().decode("utf-32-le")
    return View(text, starts[first[chosen]], ends[after[chosen] - 1], how, loose)


def characters(data: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    """Bytes as UTF-8: code points, where each begins, and how many bytes it takes. `NOISE` for what is none."""
    wide = np.append(data, [0, 0, 0]).astype(np.uint32)
    lead, *after = (wide[at : at + len(data)] for at in range(4))
    more = [(byte & 0xC0) == 0x80 for byte in after]
    low = [byte & 0x3F for byte in after]
    two = (lead >= 0xC2) & (lead <= 0xDF) & more[0]
    three = (lead & 0xF0 == 0xE0) & more[0] & more[1]
    four = (lead >= 0xF0) & (lead <= 0xF4) & more[0] & more[1] & more[2]
    codes = np.where(lead < 0x80, lead, np.uint32(NOISE))
    codes[two] = ((lead & 0x1F) << 6 | low[0])[two]
    codes[three] = ((lead & 0x0F) << 12 | low[0] << 6 | low[1])[three]
    codes[four] = ((lead & 0x07) << 18 | low[0] << 12 | low[1] << 6 | low[2])[four]
    codes[((codes >= 0xD800) & (codes <= 0xDFFF)) | (codes > 0x10FFFF)] = NOISE
    sizes = 1 + two.astype(np.int64) + 2 * three + 3 * four
    inner = np.zeros(len(data) + 4, dtype=np.bool_)
    for at, lengths in enumerate((two | three | four, three | four, four), 1):
        inner[np.flatnonzero(lengths) + at] = True
    first = np.flatnonzero(~inner[: len(data)])
    return codes[first], first, sizes[first]


def unpercented(found: str) -> str:
    """One run, decoded."""
    return chr(int(found[2:], 16)) if found[1] == "u" else text_of(bytes.fromhex(found.replace("%", "")))


def unmarked(found: str) -> str:
    """One character reference or tag, undone."""
    return "" if found[0] == "<" else html.unescape(found)


def unescaped(found: str) -> str:
    """One run, decoded."""
    kind = found[1]
    if kind == "x":
        return text_of(bytes.fromhex(found.replace("\\x", "")))
    if found.startswith("\\u{"):
        return char(found[3:-1])
    if kind == "u":
        return bytes.fromhex(found.replace("\\u", "")).decode("utf-16-be", "replace")
    return char(found[2:]) if kind == "U" else SHORT.get(kind, kind)


def unquoted(found: str) -> str:
    """One run, decoded; soft line breaks vanish."""
    return "" if found[-1] == "\n" else text_of(bytes.fromhex(found.replace("=", "")))


def char(digits: str) -> str:
    """A character by its number in hexadecimal; nothing where there is none."""
    number = int(digits, 16)
    return chr(number) if number <= 0x10FFFF else ""


def text_of(data: bytes) -> str:
    """Bytes as text: UTF-8, else Latin-1."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
