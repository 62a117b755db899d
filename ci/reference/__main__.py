"""Write the schemas in configs and docs/cases.md from the models: `python -m ci.reference`."""

from __future__ import annotations

from ci.reference.files import FILES

for path, generate in FILES.items():
    path.write_text(generate(), encoding="utf-8")
