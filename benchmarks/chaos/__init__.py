"""Hundreds of refund runs while everything around them dies, and then a look at what was really paid.

    python -m benchmarks.chaos --runs 300 --seed 1 --json

Real parts on this machine: Temporal's dev server with a database file, ``localstripe`` as the payment system
(it ignores ``Idempotency-Key``, so it makes a second refund when it is asked a second time), a ledger, and
several worker processes. While the runs are under way

- each worker is started with a fault point of ``agentflow.testing.faults`` and the passage at which it kills
  itself there with SIGKILL, all points in turn; others are killed from outside at random moments, or are
  stopped for longer than a lease and then go on,
- the Temporal server is killed with SIGKILL and started again on its file,
- a proxy in front of payments refuses, cuts and delays: see ``proxy``,
- a person answers escalations after looking at payments directly: see ``person``. With ``--cancelled`` some
  runs are cancelled besides; nobody can be asked in those, so their outcomes may say ``unknown``.

One run has one refund to make. Four in five use a tool that can ask payments what happened
(``recovery="probe"``), the others one that can't (``recovery="ask"``). A model that is told that a refund
failed tries it again in a new call, as a real one might: a run that is told a lie pays twice.

At the end payments' own list is compared with the outcomes. What the figures mean:

``duplicate_effects``
    Refunds beyond the first for one ledger key, or for the one refund that a run has to make.
``lost_effects``
    Runs that don't say what happened: a refund exists and the outcome says that it failed, or the other way
    round, or the amounts differ, or the ledger contradicts payments. A refund that the outcome calls
    ``unknown`` is not lost if a person was shown it and gave up on it.
``lost_runs``
    Runs that were started and that the server doesn't know, or that ended without an outcome: failed,
    terminated or timed out.
``stuck_runs``
    Runs that were still open at the deadline.
``open_records``
    Records of the ledger that have no end, and whose run ended without telling a person of them.
``escalated``
    Runs that ended as ``escalated``: here, those that the person aborted.
``unknown_surfaced``
    Effects in doubt that a person was shown.
``completed``, ``worker_kills``, ``server_kills``, ``seconds``
    Runs that ended as ``completed``; processes that died of SIGKILL; the time from the first start to the
    last outcome.

All five of ``duplicate_effects`` to ``open_records`` must be zero, or the exit code is 1. With
``--ledger off`` the ledger remembers nothing, which shows that they can be seen: the exit code is 0 then.
"""
