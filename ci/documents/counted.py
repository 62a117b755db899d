"""Write a number of things: `1 night`, `2 nights`. Pure."""

from __future__ import annotations


def counted(count: float, noun: str, plural: str = "") -> str:
    """Write a number with its noun, in the singular where it is one.

    Args:
        count: how many; a whole number is written without a decimal point.
        noun: in the singular.
        plural: of the noun, where it is not the noun with an `s`.
    """
    number = str(count) if isinstance(count, int) else f"{count:g}"
    return f"{number} {noun if count == 1 else plural or f'{noun}s'}"
