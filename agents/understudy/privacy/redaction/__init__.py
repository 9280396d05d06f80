"""Redaction that can be taken back: identifiers go out as typed placeholders, and come home as they were."""

from understudy.privacy.redaction.dictionary import Named
from understudy.privacy.redaction.found import TYPES, Found, Recogniser
from understudy.privacy.redaction.patterns import OwnPatterns
from understudy.privacy.redaction.redactor import Redacted, Redactor
from understudy.privacy.redaction.vault import Vault, Vaults

__all__ = ["TYPES", "Found", "Named", "OwnPatterns", "Recogniser", "Redacted", "Redactor", "Vault", "Vaults"]
