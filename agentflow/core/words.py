"""Amounts, spans of time and hints as people read them."""

import difflib
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal


def dollars(value: Decimal) -> str:
    """An amount with the places that matter: cents, or as many as a small one needs."""
    return f"${value:.2f}" if value == value.quantize(Decimal("0.01")) else f"${value:.6f}"


def span(time: timedelta) -> str:
    """A span of time in its two largest units."""
    seconds = max(0, int(time.total_seconds()))
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def near(wanted: str, known: Sequence[str]) -> str:
    """What may have been meant, as the end of a sentence that says there is no such name; or nothing."""
    found = difflib.get_close_matches(wanted, known, 3)
    return f"; is it {' or '.join(found)}?" if found else ""
