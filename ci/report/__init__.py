"""Run → what people read: live view, Markdown, JUnit, the plan as text. Writes to streams."""
