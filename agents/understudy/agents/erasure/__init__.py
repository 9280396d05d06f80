"""Erasure: a document, and all that was made from it, out of a workspace."""
