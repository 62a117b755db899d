"""`python -m ci.metrics`: write the Grafana dashboard to configs/grafana/lamplighter.json."""

from __future__ import annotations

from ci.metrics.dashboard import dashboard
from ci.paths import CONFIGS

if __name__ == "__main__":
    (CONFIGS / "grafana" / "lamplighter.json").write_text(dashboard(), "utf-8")
