"""The random suites of benchmarks/packing.py."""

import importlib.util
import sys

from ci.paths import PROJECT

spec = importlib.util.spec_from_file_location(
    "packing_benchmark", PROJECT / "benchmarks" / "packing.py"
)
benchmark = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)
