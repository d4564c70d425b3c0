"""Deploys under runs at work: none of them may notice.

Runs are brought to a state on a worker, each to a different one: waiting for an approval, in a model call,
in a write, in doubt, escalated, about to continue as new. Then a worker of another release takes over,
whose agent differs in exactly one thing: alone, beside the old one (runs go to and fro between them, and
are rebuilt from history each time), or until it is rolled back. People do their part, and each run is seen
to its end; then its history is replayed on both releases. Counted are cells with workflow tasks that
failed, approvals that did not count, effects that were made twice, and runs that ended in another way than
as they were pinned.
"""
