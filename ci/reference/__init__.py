"""The models of case files and records → JSON Schemas and a page to read.

Pure; `python -m ci.reference` writes the files.
"""
