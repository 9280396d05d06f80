"""What an answer took, from the records of the audit log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from understudy.agents.recorded import BYTES_PER_TOKEN, NOWHERE, cost, sent_bytes
from understudy.core.conversation import Receipt
from understudy.core.protocols import Payload
from understudy.core.settings import ExpertSettings
from understudy.core.usage import ExpertTokens

__all__ = ["estimate", "receipt_of"]

REPLY_TOKENS = 80
"""Of a short answer with a quote."""


def receipt_of(records: Sequence[dict[str, Any]], always_usd: float | None) -> Receipt:
    """The receipt of one question.

    Args:
        records: what the audit log holds of it.
        always_usd: about what an expert would have cost.
    """
    results = {r["of"]: r for r in records if r["kind"] == "result"}
    asked = [r for r in records if r["kind"] == "egress"]
    # One without a result was cut short: it may have left.
    left = [r for r in asked if r["host"] != NOWHERE and results.get(r["number"], {}).get("status") != "not sent"]
    attempts = [int(results.get(r["number"], {}).get("attempts", 1)) for r in left]
    replaced: Counter[str] = Counter()
    for record in left:
        replaced.update(record["replaced"])
    spent = [r["spent"]["usd"] for r in results.values() if r.get("spent")]
    return Receipt(
        bytes=sum(r["bytes"] * times for r, times in zip(left, attempts, strict=True)),
        sent=sum(attempts),
        replaced=dict(replaced),
        experts=tuple(dict.fromkeys(r["expert"] for r in left)),
        recorded=tuple(dict.fromkeys(r["expert"] for r in asked if r["host"] == NOWHERE)),
        refused=sum(r["kind"] == "refusal" for r in records),
        cost_usd=sum(spent),
        always_usd=always_usd,
    )


def estimate(payload: Payload, expert: ExpertSettings) -> float:
    """About what an expert would charge for a payload, four bytes a token, in US dollars."""
    tokens = ExpertTokens(input=sent_bytes(payload) // BYTES_PER_TOKEN, output=REPLY_TOKENS)
    return cost(tokens, expert)
