"""Mutation testing: mutmut, configured in pyproject.toml, and what it leaves out."""
