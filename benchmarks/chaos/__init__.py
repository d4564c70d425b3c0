"""Hundreds of refund runs while everything around them dies or lies, and then a look at what was really paid.

    python -m benchmarks.chaos --json

Real parts on this machine, one *world* after the other for each kind of ledger (SQLite, PostgreSQL,
DynamoDB as moto has it): Temporal's dev server with a database file, ``localstripe`` as the payment system
(it ignores ``Idempotency-Key``, so it makes a second refund when it is asked a second time), ledgers, and
casts of worker processes. In every world the Temporal server is killed with SIGKILL and started again on
its file, and a proxy in front of payments refuses, cuts and delays: see ``proxy``. What else goes wrong is
a run's *scenario*:

``plain``, ``continued``, ``reset``, ``reused``, ``cron``
    Workers die by SIGKILL at every fault point of ``agentflow.testing.faults`` in turn, are shot at random
    moments, or stopped for longer than a lease and go on. The run has one execution; continues as new every
    few turns; is reset to one of its workflow tasks; is followed by a second run of its workflow id with
    the same task, in every third case after the first was terminated at its work; or is begun anew by a
    cron schedule, two or three times.
``two_deaths``
    Two workers die in one write, each between what the tool or its probe has found and its record in the
    ledger, or the question to a person: with ``probe``, ``ask`` and ``key`` in turn.
``threads``
    A tool's blocking client asks payments in a thread when its attempt, and all that could follow from it,
    is long over by the clock.
``other_ledger``, ``emptied``, ``restored``
    Half the workers of the queue have another ledger; the ledger's rows are deleted, or a new ledger takes
    its place; a backup that lacks the write does. Each right after a worker has died in the write. Where
    the ledger was replaced, the workers are stopped, and an operator adopts what is there and says what is
    missing.
``clocks``
    The workers' clocks are 400 days early, right, and 400 days late, and payments are often late besides.
``cut_store``
    The ledger's connections end in the middle of a message; of a file, writes end after some bytes as on a
    full disk, and somebody holds its lock for longer than workers wait.
``lying_writer``
    Right after a worker has died in a write, somebody who may write into the ledger's store writes that it
    is done and what came of it, or that it failed, or that no attempt has begun; or deletes its record.

A person answers escalations after looking at payments directly: see ``person``. With ``--cancelled`` some
of the plain runs are cancelled; nobody can be asked in those, so their outcomes may say ``unknown``.

One run has one refund to make. A model that is told that a refund failed tries it again in a new call, as a
real one might: a run that is told a lie pays twice. At the end payments' own list is compared with the
outcomes. What the figures mean:

``duplicate_effects``
    Refunds beyond the one that is due: for each run, each execution of a cron schedule, and each second run
    of a workflow id whose first has paid nothing or where the person said ``again``. Refunds under a key
    that is none of an execution's are beyond it, too.
``lost_effects``
    Executions that don't say what happened: reported as done and not there; there and reported as failed,
    or of another amount; or the ledger contradicts payments, where nobody has tampered with it. A refund
    that the outcome calls ``unknown`` is not lost if a person was shown it and gave up on it.
``false_done``
    Calls that are reported as ``done`` by a run that didn't do them: payments have no refund under the
    call's key. What is ``counted`` is none of them.
``stuck_runs``
    Runs that were still open at the deadline of their world, and not because the person was still to answer
    (``still_asking``).
``lost_runs``
    Runs that ended without an outcome: failed, or unknown to the server.
``open_records``
    Records of the ledger that have no end, and whose run ended without telling a person of them.
``people_asked``, ``people_asked_without_need``
    Escalations that the person answered, and those among them to which payments show a safe answer that
    needed nobody: see ``needless``.
``worker_kills``, ``server_kills``
    Processes that died of SIGKILL.
``seconds``
    Of a world, from the first start to the last outcome; over all, everything.

All six of ``duplicate_effects`` to ``open_records`` must be zero, or the exit code is 1. With ``--world
off`` there is a ledger that remembers nothing, which shows that they can be seen: the exit code is 0 then.
"""
