"""Mail addresses, URLs, host names and network addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import ip_address

from tldextract import TLDExtract

from understudy.privacy.redaction.excerpts import within
from understudy.privacy.redaction.found import Found

__all__ = ["net_addresses"]

LOCAL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}\Z")
DOMAIN = re.compile(r"(?:[\w-]{1,63}\.)+[\w-]*\w")
URL = re.compile(r"""(?<!\w)(?:(?:https?|ftp|ftps|sftp|ssh|file)://|www\.)[^\s<>"“”{}|\\^`]+""", re.IGNORECASE)
HOST = re.compile(
    r"(?<![\w@./-])(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+([a-z]{2,24})(?![\w@]|\.\w)(?:/[^\s<>\"“”]*)?",
    re.IGNORECASE,
)
IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?(?!\w|\.\d)")
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:%\w+)?(?:/\d{1,3})?(?![\w:])", re.IGNORECASE)
MAC = re.compile(r"(?<![\w:-])[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}(?![\w:-])", re.IGNORECASE)
LINKS = re.compile(r"://|[wW]{3}\.")
DOTTED = re.compile(r"[\w-]\.[A-Za-z]{2}")
QUADS = re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d")
COLONS = re.compile(r"[0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-]|[0-9A-Fa-f]*::[0-9A-Fa-f]|[0-9A-Fa-f]:[0-9A-Fa-f]{1,4}:")
FILES = frozenset({"md", "py", "rs", "sh", "zip", "mov", "pl", "ps", "so", "cc", "java", "app", "bar", "id"})
"""Endings of files that are domains of the top level, too."""


def net_addresses(text: str) -> Iterator[Found]:
    """Each kind in turn; a URL may hold a host that is found as well."""
    if "@" in text:
        yield from mails(text)
    yield from within(text, LINKS, 0, 0, urls)
    yield from within(text, DOTTED, 0, 0, hosts)
    yield from within(text, QUADS, 0, 0, ips)
    yield from within(text, COLONS, 0, 0, ips)


def urls(text: str) -> Iterator[Found]:
    """With a scheme, or after `www.`."""
    return (trimmed(m) for m in URL.finditer(text))


def ips(text: str) -> Iterator[Found]:
    """Addresses of both versions, and those of network cards."""
    yield from (Found(*m.span(), "IP", m[0]) for m in IPV4.finditer(text) if is_ip(m[0]))
    yield from (Found(*m.span(), "IP", m[0]) for m in IPV6.finditer(text) if len(m[0]) > 4 and is_ip(m[0]))
    yield from (Found(*m.span(), "OTHER", m[0]) for m in MAC.finditer(text))


def mails(text: str) -> Iterator[Found]:
    """Around each @, whatever its domain: one that doesn't exist yet may exist in house."""
    at = text.find("@")
    while at >= 0:
        local = LOCAL.search(text, max(0, at - 64), at)
        domain = DOMAIN.match(text, at + 1, at + 256)
        if local and domain:
            start = local.start() + len(local[0]) - len(local[0].lstrip("'.`*{|/"))
            if start < at:
                yield Found(start, domain.end(), "EMAIL", text[start : domain.end()])
        at = text.find("@", at + 1)


def trimmed(match: re.Match[str]) -> Found:
    """A URL without the punctuation of its sentence."""
    url = match[0].rstrip(".,;:!?'\")]*_’”»")
    return Found(match.start(), match.start() + len(url), "URL", url)


def hosts(text: str) -> Iterator[Found]:
    """Host names whose ending is a public one."""
    for match in HOST.finditer(text):
        ending = match[1]
        if "/" not in match[0] and ending.lower() in FILES:
            continue
        if not (ending.islower() or match[0].isupper()) or all(len(p) == 1 for p in match[0].split(".")[:-1]):
            continue  # a sentence that begins right after a full stop; initials
        if public_suffix(ending.lower()):
            yield trimmed(match)


@lru_cache(maxsize=1024)
def public_suffix(ending: str) -> bool:
    """Whether the list of public suffixes, as it came with tldextract, has a top-level domain."""
    return bool(suffixes()(f"example.{ending}").suffix)


@lru_cache(maxsize=1)
def suffixes() -> TLDExtract:
    """The list in the package: never fetched."""
    return TLDExtract(suffix_list_urls=(), cache_dir=None)


def is_ip(text: str) -> bool:
    """Whether it is an address, with a network's length or without."""
    try:
        ip_address(text.split("/")[0].split("%")[0])
    except ValueError:
        return False
    return True
