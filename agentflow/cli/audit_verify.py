"""``agentflow audit verify``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from agentflow.audit import bundle
from agentflow.audit.log_check import Problem
from agentflow.audit.verify import Verdict, verify, verify_chain
from agentflow.cli.audit_home import AuditHome, Home, KmsKey, PublicKey
from agentflow.cli.exits import ExitCode, misused
from agentflow.cli.options import AsJson
from agentflow.cli.output import facts, safe, table
from agentflow.cli.session import Session, open_session
from agentflow.contracts.wire import Json


def audit_verify(
    context: typer.Context,
    bundles: Annotated[
        list[Path], typer.Argument(metavar="DIR…", help="Bundles, or directories with bundles.")
    ],
    *,
    public_key: PublicKey = None,
    log_only: Annotated[
        bool, typer.Option("--log-only", help="Bundles as `audit share` wrote them, without contents.")
    ] = False,
    home: Home = None,
    kms_key: KmsKey = None,
    as_json: AsJson = False,
) -> None:
    """Verify that bundles are what was signed. Exit 1, with the record, if one isn't.

    Where the runs' keys are at hand, what was said is held against the log as well: that approvals were of
    these arguments, and that what an outcome cites is there. Of several bundles, that none between them is
    missing.
    """
    with open_session(context, as_json=as_json) as session:
        place = AuditHome(home, kms_key)
        expected, keys = place.verifier(public_key), place.keys_if_any()
        verdicts: list[Verdict] = []
        with session.output.progress("verifying") as progress:
            for directory in _bundles(bundles):
                progress.update(f"verifying {directory}")
                verdicts.append(session.run(verify(directory, expected, keys, log_only=log_only)))
        chain = verify_chain(verdicts) if len(verdicts) > 1 else []
        _say(session, verdicts, chain, is_expecting=expected is not None)
        if chain or not all(verdict.ok for verdict in verdicts):
            raise typer.Exit(ExitCode.REFUSED)


def _bundles(given: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for place in given:
        if not place.is_dir():
            raise misused(f"there is no directory {place}")
        inside = [each for each in sorted(place.iterdir()) if (each / bundle.DIGEST).is_file()]
        is_bundle = (place / bundle.DIGEST).exists() or (place / bundle.DECISIONS).exists() or not inside
        found += [place] if is_bundle else inside
    return found


def _say(
    session: Session, verdicts: Sequence[Verdict], chain: Sequence[Problem], *, is_expecting: bool
) -> None:
    problems = [(str(verdict.directory), each) for verdict in verdicts for each in verdict.problems]
    problems += [("", each) for each in chain]
    session.output.result(
        {"ok": not problems, "bundles": [_document(each) for each in verdicts], "chain": list(chain)},
        *_views(verdicts, problems),
    )
    if not is_expecting:
        signers = ", ".join(sorted({str(verdict.signer) for verdict in verdicts}))
        session.output.note(
            f"nobody said whose signature to expect: compare the key {signers} with the exporter's, or give "
            "--public-key"
        )


def _document(verdict: Verdict) -> dict[str, Json]:
    digest, manifest = verdict.digest, verdict.manifest
    return {
        "bundle": str(verdict.directory),
        "ok": verdict.ok,
        "export": digest.export if digest else None,
        "created_at": digest.created_at if digest else None,
        "previous": digest.previous if digest else None,
        "signer": verdict.signer,
        "is_known_signer": verdict.is_known_signer,
        "records": verdict.records,
        "runs": len(manifest.runs) if manifest else None,
        "contents_opened": verdict.opened,
        "contents_unopened": verdict.unopened,
        "explanations": dict(verdict.explanations),
        "gaps": manifest.gaps if manifest else None,
        "problems": verdict.problems,
    }


def _views(verdicts: Sequence[Verdict], problems: Sequence[tuple[str, Problem]]) -> list[RenderableType]:
    shown: list[RenderableType] = []
    for verdict in verdicts:
        manifest = verdict.manifest
        state = safe("as it was signed", "green") if verdict.ok else safe("NOT as it was signed", "bold red")
        signer = f"{verdict.signer or 'nobody'}{' (expected)' if verdict.is_known_signer else ''}"
        explained = ", ".join(f"{count} {name}" for name, count in sorted(verdict.explanations.items()))
        shown.append(
            facts(
                [
                    ("bundle", verdict.directory),
                    ("verdict", state),
                    ("signed by", signer),
                    ("runs", len(manifest.runs) if manifest else "?"),
                    ("records", verdict.records),
                    (
                        "contents",
                        f"{verdict.opened} held against the log, {verdict.unopened} without a key here",
                    ),
                    ("reasons", explained or None),
                    ("gaps", manifest.gaps if manifest and manifest.gaps else None),
                ]
            )
        )
    if problems:
        rows = [(safe(each.kind, "red"), name, each.where, each.detail) for name, each in problems]
        shown.append(table(("PROBLEM", "BUNDLE", "WHERE", "WHAT"), rows))
    return shown
