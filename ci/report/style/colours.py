"""The colours of pages, in a light and a dark theme, as properties of CSS. Pure.

A test holds every pair of `PAIRS` against the contrast that WCAG 2.2 AA asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LIGHT: Mapping[str, str] = {
    "page": "#ffffff",
    "panel": "#f4f6f8",
    "text": "#1b1f24",
    "soft": "#525c68",
    "rule": "#d3d8df",
    "control": "#737d89",
    "link": "#0b57a8",
    "focus": "#0b57a8",
    "pass": "#0d6337",
    "on-pass": "#dff3e6",
    "fail": "#9f1418",
    "on-fail": "#fde4e4",
    "unknown": "#734600",
    "on-unknown": "#fcefcf",
    "running": "#0b4f99",
    "on-running": "#e2edfb",
    "quiet": "#48515d",
    "on-quiet": "#e7eaee",
    "line": "#0b57a8",
    "band": "#d5e4f5",
    "change": "#7a2fb0",
}
DARK: Mapping[str, str] = {
    "page": "#12151a",
    "panel": "#1a1f26",
    "text": "#e6e9ee",
    "soft": "#a6afbb",
    "rule": "#39414c",
    "control": "#7f8995",
    "link": "#83bbff",
    "focus": "#83bbff",
    "pass": "#85e3ac",
    "on-pass": "#113222",
    "fail": "#ffa6a6",
    "on-fail": "#471a1c",
    "unknown": "#ffd483",
    "on-unknown": "#3d2e0d",
    "running": "#9fcaff",
    "on-running": "#152e4d",
    "quiet": "#c2c9d3",
    "on-quiet": "#2a313a",
    "line": "#83bbff",
    "band": "#1f3a58",
    "change": "#d8aaff",
}
TEXT, SHAPE = 4.5, 3.0
# Foreground, background, and the contrast that WCAG asks for: 1.4.3 of text, 1.4.11 of shapes.
PAIRS: tuple[tuple[str, str, float], ...] = (
    *((ink, ground, TEXT) for ink in ("text", "soft", "link") for ground in ("page", "panel")),
    *((each, f"on-{each}", TEXT) for each in ("pass", "fail", "unknown", "running", "quiet")),
    *((each, "page", TEXT) for each in ("pass", "fail", "unknown", "running", "quiet", "change")),
    *((each, ground, SHAPE) for each in ("control", "focus") for ground in ("page", "panel")),
    *((each, "page", SHAPE) for each in ("line", "change")),
    ("line", "band", SHAPE),
    ("text", "band", TEXT),
)


def variables() -> str:
    """Write the colours as properties `--page` … of CSS, for both themes.

    The theme is that of the reader's system, unless `data-theme` of the root element names one.
    Paper is white in both.
    """
    light, dark = _properties(LIGHT), _properties(DARK)
    return (
        f":root{{color-scheme:light;{light}}}\n"
        "@media screen and (prefers-color-scheme:dark){"
        f":root:not([data-theme=light]){{color-scheme:dark;{dark}}}}}\n"
        f"@media screen{{:root[data-theme=dark]{{color-scheme:dark;{dark}}}}}\n"
    )


def _properties(colours: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21.

    The formula is that of https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio.

    Args:
        one: as `#rrggbb`.
        other: likewise.
    """
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    # The bound is that of sRGB itself, which later texts of WCAG have.
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4  # noqa: PLR2004
        for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
