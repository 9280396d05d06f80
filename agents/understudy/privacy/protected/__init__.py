"""The values that a collection doesn't give away, and where they stand in a text however they are written."""

from understudy.privacy.protected.dictionary import Dictionaries, dictionary_of
from understudy.privacy.protected.matcher import ProtectedValues
from understudy.privacy.protected.values import Hit, Value

__all__ = ["Dictionaries", "Hit", "ProtectedValues", "Value", "dictionary_of"]
