"""Made-up values for suite `egress`, and all the disguises that they are planted in."""

from __future__ import annotations

import base64
import html
import json
import quopri
import random
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["DISGUISES", "FIELDS", "Plant", "made_up"]

FIELDS = ("patient", "account", "record", "email", "phone")
"""Labels of the planted values: what the owner marks."""
ALIKE = str.maketrans("aceiopsxyABEHKMOPTX", "асеіорѕхуАВЕНКМОРТХ")
HIDDEN = ("\u200b", "\u200d", "\u2060", "\u00ad", "\u202e")


@dataclass(frozen=True)
class Plant:
    """A value as it was planted."""

    value: str
    written: str
    """In its disguise: what must not be in the bytes that leave."""
    disguise: str
    place: str
    """`document` or `question`."""


def made_up(rng: random.Random) -> Iterator[tuple[str, str]]:
    """A value for each of `FIELDS`, different each time."""
    first, last = (word(rng).title() for _ in range(2))
    yield "patient", f"{first} {last}"
    yield "account", f"{rng.randrange(10**4):04}-{rng.randrange(10**6):06}-{rng.randrange(100):02}"
    yield "record", f"{rng.choice('KQWX')}{rng.choice('JVZ')}-{rng.randrange(10**7, 10**8)}"
    yield "email", f"{word(rng)}.{word(rng)}@{word(rng)}.example"
    yield "phone", f"+{rng.randrange(30, 99)} {rng.randrange(100, 999)} {rng.randrange(10**6, 10**7)}"


def word(rng: random.Random) -> str:
    """A word of three syllables that no language has."""
    return "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(3)) + rng.choice("bdfgkmnpvz")


def split(text: str, rng: random.Random) -> str:
    """Broken at three places, by spaces, line breaks or punctuation."""
    for _ in range(3):
        at = rng.randrange(1, len(text))
        text = text[:at] + rng.choice((" ", "\n", ".", "-", "_", " / ")) + text[at:]
    return text


def hidden(text: str, rng: random.Random) -> str:
    """With an invisible character after each."""
    return "".join(char + rng.choice(HIDDEN) for char in text)


def inside_base64(text: str, rng: random.Random) -> str:
    """In longer base64, at any of its three offsets, unpadded."""
    around = "".join(rng.choice("abcdefgh ") for _ in range(rng.randrange(8)))
    return base64.b64encode(f"{around} {text} and so on".encode()).decode().rstrip("=")


def lines_of_base64(text: str, rng: random.Random) -> str:
    """In base64 that is broken into short lines."""
    data = base64.b64encode(f"about {text}, in confidence".encode()).decode()
    width = rng.randrange(8, 20)
    return "\n".join(data[at : at + width] for at in range(0, len(data), width))


def escaped_json(text: str, _: random.Random) -> str:
    r"""Every character as \\u0000."""
    return "".join(f"\\u{ord(char):04x}" for char in text)


def quoted(text: str, _: random.Random) -> str:
    """Quoted-printable of every second byte."""
    return "".join(f"={ord(char):02X}" if at % 2 else char for at, char in enumerate(text))


DISGUISES: dict[str, Callable[[str, random.Random], str]] = {
    "plain": lambda text, _: text,
    "capitals": lambda text, _: text.upper(),
    "small letters": lambda text, _: text.lower(),
    "full width": lambda text, _: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "look-alikes": lambda text, _: text.translate(ALIKE),
    "invisible characters": hidden,
    "combining marks": lambda text, _: unicodedata.normalize("NFC", "".join(f"{c}\u0301" for c in text)),
    "letter by letter": lambda text, _: " ".join(text),
    "split": split,
    "without spaces": lambda text, _: "".join(c for c in text if c.isalnum()),
    "backwards": lambda text, _: text[::-1],
    "percent": lambda text, _: "".join(f"%{b:02X}" for b in text.encode()),
    "percent twice": lambda text, _: urllib.parse.quote("".join(f"%{b:02X}" for b in text.encode())),
    "HTML": lambda text, _: "".join(f"&#{ord(c)};" for c in text),
    "HTML tags": lambda text, _: "<i>" + "</i><i>".join(html.escape(text)) + "</i>",
    "JSON": escaped_json,
    "quoted-printable": quoted,
    "soft line breaks": lambda text, _: quopri.encodestring("=\n".join(text).encode()).decode().replace("=3D\n", "=\n"),
    "hexadecimal": lambda text, _: text.encode().hex(),
    "hexadecimal with colons": lambda text, _: text.encode().hex(":"),
    "base64": lambda text, _: base64.b64encode(text.encode()).decode(),
    "base64 of capitals": lambda text, _: base64.b64encode(text.upper().encode()).decode(),
    "URL-safe base64": lambda text, _: base64.urlsafe_b64encode(f"?>{text}?>".encode()).decode().rstrip("="),
    "inside longer base64": inside_base64,
    "base64 in lines": lines_of_base64,
    "base64 of base64": lambda text, _: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base64 of JSON": lambda text, rng: base64.b64encode(json.dumps(escaped_json(text, rng)).encode()).decode(),
    "tag characters": lambda text, _: "".join(chr(0xE0000 + ord(c)) for c in text),
}
