"""Examine hosts before a night: gather facts, compare them with the plan, suggest what to do."""
