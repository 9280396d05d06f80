"""What base64 inside a text encodes, wherever it begins: standard and URL-safe, padded or not, in one line or many.

Every four neighbouring characters of the alphabet are decoded, from each of four places on, so that neither the start
of a run nor what stands before a value inside the encoded text matters.
"""

from __future__ import annotations

import string
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from understudy.privacy.protected.folding import code_points
from understudy.privacy.protected.views import Decoded, View, decoded_view

__all__ = ["base64_views"]

NONE = 64
"""Stands for characters that are not of the alphabet."""
SIXES = np.full(128, NONE, dtype=np.uint8)
for place, letter in enumerate(string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"):
    SIXES[ord(letter)] = place
SIXES[ord("-")], SIXES[ord("_")] = 62, 63
LEAST = 6
"""Characters that four bytes take, unpadded: shorter runs encode nothing that blocks a call."""


def base64_views(view: View) -> Iterator[View]:
    """What a text may encode: runs as they stand, and read on across white space."""
    codes = code_points(view.text)
    sixes = np.where(codes < 128, SIXES[np.minimum(codes, 127)], NONE).astype(np.uint8)
    how = (*view.how, "base64")
    runs = decoded_view(list(decoded(view, *long_runs(sixes, np.arange(len(codes))))), how)
    if runs is not None:
        yield runs
    blank = (codes == 32) | ((codes >= 9) & (codes <= 13))
    if blank.any():
        held = np.flatnonzero(~blank)
        across = decoded_view(list(decoded(view, *long_runs(sixes[held], held))), how, loose=True)
        if across is not None:
            yield across


def long_runs(sixes: NDArray[np.uint8], at: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The runs of the alphabet that are long enough, with one character of none after each."""
    inside = np.concatenate(([False], sixes != NONE, [False]))
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[::2], edges[1::2]
    kept = ends - starts >= LEAST
    mark = np.zeros(len(sixes) + 2, dtype=np.int64)
    mark[starts[kept]] += 1
    mark[ends[kept] + 1] -= 1
    chosen = np.cumsum(mark)[: len(sixes)] > 0
    return sixes[chosen], at[chosen]


def decoded(view: View, sixes: NDArray[np.uint8], at: NDArray[np.int64]) -> Iterator[Decoded]:
    """The bytes from each of four places on; a space for what can't be decoded."""
    if len(sixes) < LEAST:
        return
    for first in range(4):
        quads = -(-(len(sixes) - first) // 4)
        padded = np.full((quads, 4), NONE, dtype=np.uint8)
        padded.reshape(-1)[: len(sixes) - first] = sixes[first:]
        places = np.full(quads * 4, at[-1], dtype=np.int64)
        places[: len(sixes) - first] = at[first:]
        held = padded != NONE
        known = held[:, :3] & held[:, 1:]
        wide = padded.astype(np.uint16)
        data = np.stack(
            [wide[:, 0] << 2 | wide[:, 1] >> 4, wide[:, 1] << 4 | wide[:, 2] >> 2, wide[:, 2] << 6 | wide[:, 3]], axis=1
        ).astype(np.uint8)
        data[~known] = 32
        origin = places.reshape(-1, 4)
        starts, ends = view.starts[origin[:, :3].reshape(-1)], view.ends[origin[:, 1:].reshape(-1)]
        yield data.reshape(-1), starts, ends
