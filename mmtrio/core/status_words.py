"""What the venue's order statuses mean (protocol 12.1), those it has not invented yet included."""

from __future__ import annotations

import enum


class StatusMeaning(enum.Enum):
    LIVE = "live"
    ENDED = "ended"
    """It rested, and is over: filled, or taken away with what remained."""
    REJECTED = "rejected"
    """It never rested and never filled."""
    UNHEARD = "unheard of"
    """Neither listed nor recognisable: nothing may be concluded, ask again."""


LIVE_STATUSES = frozenset({"open", "triggered"})

ENDED_STATUSES = frozenset(
    {
        "filled",
        "canceled",
        "marginCanceled",
        "vaultWithdrawalCanceled",
        "openInterestCapCanceled",
        "selfTradeCanceled",
        "reduceOnlyCanceled",
        "siblingFilledCanceled",
        "delistedCanceled",
        "liquidatedCanceled",
        "outcomeSettledCanceled",
        "scheduledCancel",
        "internalCancel",
    }
)

REJECTED_STATUSES = frozenset(
    {
        "rejected",
        "tickRejected",
        "minTradeNtlRejected",
        "perpMarginRejected",
        "reduceOnlyRejected",
        "badAloPxRejected",
        "iocCancelRejected",
        "badTriggerPxRejected",
        "marketOrderNoLiquidityRejected",
        "positionIncreaseAtOpenInterestCapRejected",
        "positionFlipAtOpenInterestCapRejected",
        "tooAggressiveAtOpenInterestCapRejected",
        "openInterestIncreaseRejected",
        "insufficientSpotBalanceRejected",
        "oracleRejected",
        "perpMaxPositionRejected",
        "tooManyOpenOrdersRejected",
    }
)


def meaning_of(status: str) -> StatusMeaning:
    """Classify a status: by the list, else by its suffix, which the venue keeps for new ones."""
    if status in LIVE_STATUSES:
        return StatusMeaning.LIVE
    if status in REJECTED_STATUSES or status.endswith("Rejected"):
        return StatusMeaning.REJECTED
    if status in ENDED_STATUSES or status.endswith(("Canceled", "Cancel")):
        return StatusMeaning.ENDED
    return StatusMeaning.UNHEARD
