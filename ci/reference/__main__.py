"""`python -m ci.reference` writes configs/case.schema.json and CASES.md anew."""

from __future__ import annotations

from ci.reference.files import FILES

for path, made in FILES.items():
    path.write_text(made(), encoding="utf-8")
