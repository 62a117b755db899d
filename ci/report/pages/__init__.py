"""The page of all nights, `runs/index.html`, with the details of each case beside it; its server.

The parts that say what is shown are pure; `build` reads and writes, `server` serves.
"""
