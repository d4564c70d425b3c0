"""Attacks on agents that run as Temporal workflows, tried through the doors that an attacker has.

Each family of attacks is generated from a seed, tried against a real worker on a real Temporal server, and in
part against a twin from which one guard is taken out: an attack that the twin withstands too proves nothing.

A breach is an effect that nobody who may allowed: a payment made, a model called, a record written, a state
taken up, an answer believed.
"""
