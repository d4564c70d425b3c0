"""Frozen pydantic models that cross the wire, and nothing else.

Every model refuses unknown fields and is immutable, so a value that was checked once stays checked.
"""
