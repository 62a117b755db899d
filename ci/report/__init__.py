"""Run → what people read: live view, tables, Markdown, JUnit, the plan as text.

Writes to streams and to the folder of the run; contacts no host.
"""
