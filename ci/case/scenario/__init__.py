"""Read scenario files of vllm-cibench: a model, how it is served, and what it can do.

A scenario describes a service that runs already; here its servers are started on hosts.
"""
