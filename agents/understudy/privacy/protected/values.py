"""A protected value, and where it was found."""

from __future__ import annotations

from dataclasses import dataclass, field

from understudy.privacy.protected.folding import spaceless, squeeze

__all__ = ["ORDINARY", "Hit", "Value", "telling"]

ORDINARY = frozenset(
    """a about after all also am an and any are as be been but by can could did do does down each even for from get
    at go good had has have he her here him his how i if in into is it its just like made make man many may me men more
    most much must my new no nor not now of off old on one only or other our out over own per put said same say see set
    she so some such take than that the their them then there these they this those time to too two under up upon
    us use very was way we well were what when where which who will with would year you your""".split()  # noqa: SIM905
)
"""Words so common that neither they nor pieces that are all of this kind give anyone away."""


def telling(text: str, letters: str) -> bool:
    """Whether a value tells enough for a call to be refused because of it.

    Four letters or more that are no ordinary word do, five where letters and digits mix, two characters of a script
    without spaces, and numbers of six digits or more, three of them different. Years, amounts such as 100,000,
    initials and names such as "Ann" are replaced where they stand alone, and never block.

    Args:
        text: as it is written.
        letters: its letters and digits, squeezed.
    """
    if letters.isdigit():
        return len(letters) >= 6 and len(set(letters)) >= 3
    if text.strip().casefold() in ORDINARY:
        return False
    if letters and all(map(spaceless, letters)):
        return len(letters) >= 2
    return len(letters) >= (4 if letters.isalpha() else 5)


@dataclass(frozen=True, slots=True)
class Value:
    """Something that a collection doesn't give away.

    Its text is kept out of `repr`, so that no log shows it.
    """

    text: str = field(repr=False)
    type: str
    """In capitals, as placeholders show it: PERSON, RECORD_NUMBER, …"""
    origin: str
    """Where it comes from, such as "field patient"."""
    common: bool = False
    """Whether the collection uses it as an ordinary word too."""

    @property
    def blocks(self) -> bool:
        """Whether a call that holds it is refused; see `telling`. If not, it is only replaced."""
        return not self.common and telling(self.text, squeeze(self.text).text)


@dataclass(frozen=True, slots=True)
class Hit:
    """A value found in a text: `text[start:end]` is what holds it, in code points."""

    value: Value
    start: int
    end: int
    disguise: str
    """How it was hidden: "plain", or one or more of "case", "letters", "spacing", "reversed", "percent", "html",
    "json", "quoted-printable", "hex", "base64", "tags"; joined by " in "."""
