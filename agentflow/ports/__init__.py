"""Protocols that adapters fulfil: the only doors to the outside."""
