"""Name the files of the page of all nights, and those of a run that it links to."""

from __future__ import annotations

import re

INDEX = "index.html"
# The details of a case, in the folder `ci.history.folders.PAGES` beside the page.
DETAILS = re.compile(r"[A-Za-z0-9_-]{1,80}-[0-9a-f]{8}\.js")
# What a run's name links to: the first of these that it has.
REPORTS = ("report.html", "report.md")
