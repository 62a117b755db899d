"""The versions, tools, models, datasets and lock files that nights choose from.

Reads configs and the workspace; `datasets.fetch` downloads; contacts no host.
"""
