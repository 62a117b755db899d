"""Case + host facts → Plan: pure."""
