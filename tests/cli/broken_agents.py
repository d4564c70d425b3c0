"""A module with a mistake: somebody's own error must be told, not thrown."""

raise RuntimeError("the shop is closed")
