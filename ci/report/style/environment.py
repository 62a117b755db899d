"""Make the environment of the templates of pages: everything is escaped, nothing may be missing.

A page carries a policy (Content-Security-Policy) with the digests of its own style and scripts:
whatever else a text smuggled in, a browser would not run it, and the page requests nothing.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ci.documents.counted import counted
from ci.report.style.colours import variables
from ci.report.style.outcomes import SYMBOLS, WORDS, tone_of
from ci.report.style.texts import hours, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent


@lru_cache
def html_environment(folder: Path) -> Environment:
    """Make the environment of a folder's templates, which may import `parts.html.j2`.

    Its filters are `shown`, which cleans a foreign text, `counted`, which writes a number of
    things, `hours`, which writes a number of hours, and `tone` of an outcome; its globals are
    `symbols` and `words` of outcomes.

    Args:
        folder: of the templates.
    """
    environment = Environment(
        loader=FileSystemLoader([folder, HERE]),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"counted": counted, "shown": shown, "tone": tone_of, "hours": hours}
    environment.globals |= {"symbols": SYMBOLS, "words": WORDS}
    return environment


def style_of(*sheets: Path) -> Markup:
    """Return the shared style with both themes, and a page's own sheets after it.

    Args:
        sheets: files of this project, never texts of others.
    """
    files = (HERE / "style.css", *sheets)
    texts = (path.read_text(encoding="utf-8") for path in files)
    return Markup(variables() + "\n".join(texts))  # noqa: S704 - files of this project


def script_of(*scripts: Path) -> Markup:
    """Return the shared script, which switches the theme, and a page's own scripts after it."""
    files = (HERE / "theme.js", *scripts)
    texts = (path.read_text(encoding="utf-8") for path in files)
    return Markup("\n".join(texts))  # noqa: S704 - files of this project


def trusted(text: str) -> Markup:
    """Return a text of this project as HTML, e.g. a script; never a text of others."""
    return Markup(text)  # noqa: S704 - a text of this project


def policy_of(style: str, scripts: Sequence[str], *, loads: bool = False) -> str:
    """Write the policy of a page.

    Args:
        style: the content of its one `style` element.
        scripts: the contents of its `script` elements.
        loads: whether these scripts may load further ones, from files beside the page.
    """
    allowed = " ".join(map(_digest, scripts)) or "'none'"
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {_digest(style)}",
            f"script-src {allowed}" + " 'strict-dynamic'" * loads,
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{b64encode(digest).decode()}'"
