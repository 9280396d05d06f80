"""What a collection may be called: everything that speaks of one, paths of the API among it, must be able to say it."""

from __future__ import annotations

from understudy.core.errors import UserError

__all__ = ["LONGEST", "check_name"]

LONGEST = 100


def check_name(collection: str) -> None:
    """Raise `UserError` unless a new collection may be called so."""
    if not 0 < len(collection) <= LONGEST or not collection.isprintable() or collection.strip() != collection:
        raise UserError(
            f"a collection's name takes 1 to {LONGEST} letters, with no space around them; {collection[:40]!r} won't do"
        )
    if "/" in collection or "\\" in collection or collection in (".", ".."):
        raise UserError(f"a collection's name has no slash; {collection!r} won't do")
