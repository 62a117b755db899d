"""`python -m ci.reference` writes the schemas in configs and docs/cases.md from the models."""

from __future__ import annotations

from ci.reference.files import FILES

for path, made in FILES.items():
    path.write_text(made(), encoding="utf-8")
