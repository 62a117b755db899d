"""List the generated files, and the functions that generate them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.paths import CONFIGS, PROJECT
from ci.reference.page import page
from ci.reference.run_schema import report_schema_text, run_schema_text
from ci.reference.schema import schema_text
from ci.reference.suite_page import suite_page
from ci.reference.suite_run_schema import suite_run_schema_text
from ci.reference.suite_schema import night_suite_schema_text, suite_schema_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FILES: Mapping[Path, Callable[[], str]] = {
    CONFIGS / "case.schema.json": schema_text,
    CONFIGS / "run.schema.json": run_schema_text,
    CONFIGS / "report.schema.json": report_schema_text,
    CONFIGS / "functional.schema.json": suite_schema_text,
    CONFIGS / "suite.schema.json": night_suite_schema_text,
    CONFIGS / "suite-run.schema.json": suite_run_schema_text,
    PROJECT / "docs/cases.md": page,
    PROJECT / "docs/suites.md": suite_page,
}
