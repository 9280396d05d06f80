"""What all plain data of the project have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Data"]


class Data(BaseModel):
    """Immutable, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
