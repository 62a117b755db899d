"""Generate JSON Schemas and a reference page from the models of case files and records.

Pure; `python -m ci.reference` writes the files.
"""
