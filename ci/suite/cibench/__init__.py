"""Read a matrix.yaml of vllm-cibench, with its perf.yaml, as a suite.

`ci.case.scenario` reads its scenarios as cases, and `ci.suite.accuracy` its accuracy.yaml.
"""
