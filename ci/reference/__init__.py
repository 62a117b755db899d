"""The case format as its models have it → a JSON Schema and a page to read."""
