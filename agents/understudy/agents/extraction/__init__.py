"""Typed values from answers: a schema's fields are questions, and what documents say becomes their values."""
