"""Faults at random points of the decision path: none may end in a write that nothing allowed."""
