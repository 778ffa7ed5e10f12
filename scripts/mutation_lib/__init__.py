"""Mutation testing with mutmut, and of the code that mutmut skips."""
