"""Exports one after the other: each names the one before it, and nobody can name the one that comes after.

So a gap in the middle shows by itself, and that the newest are left out shows to whoever knows the newest
by its digest's hash, the head of the chain.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from agentflow.audit import bundle
from agentflow.audit.log_check import Problem
from agentflow.audit.verify import Verdict
from agentflow.contracts.bundle import Digest, PreviousExport
from agentflow.contracts.wire import Sha256


def heads(digests: Mapping[Sha256, Digest]) -> list[PreviousExport]:
    """The exports that none of the others follows; of a whole chain, one.

    Args:
        digests: By the hashes of their bytes.
    """
    followed = {digest.previous.digest for digest in digests.values() if digest.previous}
    return [
        PreviousExport(export=digest.export, digest=hash_)
        for hash_, digest in digests.items()
        if hash_ not in followed
    ]


def digests_of(verdicts: Iterable[Verdict]) -> dict[Sha256, Digest]:
    """The digests of bundles, by their hashes."""
    return {
        bundle.digest_hash(verdict.directory): verdict.digest
        for verdict in verdicts
        if verdict.digest is not None
    }


def verify_chain(verdicts: Sequence[Verdict], head: Sha256 | None = None) -> list[Problem]:
    """Whether exports follow each other without a gap, up to the newest.

    Args:
        verdicts: Of bundles under one signing key, in any order.
        head: Hash of the newest one's ``digest.json``. Without it nobody can tell whether newer ones are
            missing.
    """
    known = digests_of(verdicts)
    problems: list[Problem] = []
    followers: Counter[str] = Counter()
    for verdict in verdicts:
        previous = verdict.digest.previous if verdict.digest else None
        if previous is None:
            continue
        followers[previous.digest] += 1
        if previous.digest not in known:
            detail = f"the export before it, {previous.export}, isn't here, or isn't what it was"
            problems.append(Problem("chain", str(verdict.directory), detail))
        elif followers[previous.digest] > 1:
            detail = f"two exports say that they follow {previous.export}"
            problems.append(Problem("chain", str(verdict.directory), detail))
    firsts = [verdict for verdict in verdicts if verdict.digest and verdict.digest.previous is None]
    if len(firsts) > 1:
        named = ", ".join(str(verdict.directory) for verdict in firsts)
        problems.append(Problem("chain", named, "each of them says that it is the first export"))
    signers = {verdict.signer for verdict in verdicts if verdict.signer}
    if len(signers) > 1:
        problems.append(Problem("chain", ", ".join(sorted(signers)), "they are signed by different keys"))
    if head is not None:
        problems += _head_problems(known, head)
    return problems


def _head_problems(known: Mapping[Sha256, Digest], head: Sha256) -> Iterable[Problem]:
    if head not in known:
        yield Problem("chain", head, "the newest export has this head, and isn't here")
    for last in heads(known):
        if head in known and last.digest != head:
            yield Problem("chain", head, f"it was to be the newest, and {last.export} isn't before it")
