"""The versions, tools, models, datasets and lock files that nights choose from."""
