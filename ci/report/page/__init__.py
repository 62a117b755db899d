"""The page of one run: report.html, and report.json with the same content.

`build` reads the folder of the run and the history, `render` writes what `ci.record.page` defines.
"""
