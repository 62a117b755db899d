"""`python -m ci.reference` writes configs/case.schema.json and docs/cases.md."""

from __future__ import annotations

from ci.reference.files import FILES

for path, made in FILES.items():
    path.write_text(made(), encoding="utf-8")
