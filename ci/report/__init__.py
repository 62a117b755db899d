"""Run → report: console, Markdown, JUnit."""
