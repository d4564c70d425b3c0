"""``agentflow audit verify``."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from agentflow.audit import bundle
from agentflow.audit.log_check import Problem
from agentflow.audit.succession import digests_of, heads, verify_chain
from agentflow.audit.verify import Verdict, is_incident, verify, verify_incident
from agentflow.cli.audit_home import AuditHome, Home, KmsKey, PublicKey
from agentflow.cli.exits import ExitCode, misused
from agentflow.cli.options import AsJson
from agentflow.cli.output import facts, safe, table
from agentflow.cli.session import Session, open_session
from agentflow.contracts.wire import Json, Sha256

_HEAD = re.compile(r"[0-9a-f]{64}")


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
    expect_head: Annotated[
        str | None,
        typer.Option(
            "--expect-head", metavar="HASH", help="Of the newest export, as `audit head` or a vault says it."
        ),
    ] = None,
    home: Home = None,
    kms_key: KmsKey = None,
    as_json: AsJson = False,
) -> None:
    """Verify that bundles are what was signed. Exit 1, with the record, if one isn't.

    Exit 5 if nobody said whose signature to expect: anybody can sign with a key of their own.

    Where the runs' keys are at hand, what was said is held against the log as well: that approvals were of
    these arguments, and that what an outcome cites is there. Of several bundles, that none between them is
    missing; with --expect-head, that the newest is there and none is missing before it.
    """
    with open_session(context, as_json=as_json) as session:
        place = AuditHome(home, kms_key)
        expected, keys = place.verifier(public_key), place.keys_if_any()
        head = _head(expect_head)
        verdicts: list[Verdict] = []
        strange: list[Problem] = []
        with session.output.progress("verifying") as progress:
            for directory in _bundles(bundles, strange):
                progress.update(f"verifying {directory}")
                if is_incident(directory) and not log_only:
                    verdicts.append(session.run(verify_incident(directory, expected, keys)))
                else:
                    verdicts.append(session.run(verify(directory, expected, keys, log_only=log_only)))
        chain = verify_chain(verdicts, head) if len(verdicts) > 1 or head else []
        _say(session, verdicts, chain, strange)
        if chain or strange or not all(verdict.is_as_signed for verdict in verdicts):
            raise typer.Exit(ExitCode.REFUSED)
        if expected is None:
            signers = ", ".join(sorted({str(verdict.signer) for verdict in verdicts}))
            session.output.note(
                "nobody said whose signature to expect, and anybody can sign with a key of their own: "
                f"compare {signers} with the exporter's key, and give that with --public-key"
            )
            raise typer.Exit(ExitCode.INCOMPLETE)


def _head(given: str | None) -> Sha256 | None:
    if given is not None and not _HEAD.fullmatch(given):
        raise misused(f"--expect-head: {given!r} is no head: give the 64 digits that `audit head` prints")
    return Sha256(given) if given else None


def _bundles(given: Sequence[Path], strange: list[Problem]) -> list[Path]:
    """Bundles and incidents, those inside a directory of them too; nothing else may be in it."""
    found: list[Path] = []
    for place in given:
        if not place.is_dir():
            raise misused(f"there is no directory {place}")
        inside = [] if _is_one(place) else [each for each in sorted(place.iterdir()) if _is_one(each)]
        found += inside or [place]
        # What begins with a dot is being written, or was left by who died over it; it counts as not there.
        strange += [
            Problem("unknown_file", str(each), "it is no bundle, and lies where only bundles should")
            for each in (sorted(place.iterdir()) if inside else ())
            if each not in inside and not each.name.startswith(".")
        ]
    return found


def _is_one(place: Path) -> bool:
    names = (bundle.DIGEST, bundle.DECISIONS, bundle.MANIFEST)
    is_folder = place.is_dir() and not place.is_symlink()
    return is_folder and (is_incident(place) or any((place / name).exists() for name in names))


def _say(
    session: Session, verdicts: Sequence[Verdict], chain: Sequence[Problem], strange: Sequence[Problem]
) -> None:
    problems = [(str(verdict.directory), each) for verdict in verdicts for each in verdict.problems]
    problems += [("", each) for each in (*chain, *strange)]
    last = heads(digests_of(verdicts))
    session.output.result(
        {
            "ok": not problems and all(verdict.ok for verdict in verdicts),
            "bundles": [_document(each) for each in verdicts],
            "chain": list(chain),
            "strange": list(strange),
            "head": last[0] if len(last) == 1 else None,
        },
        *_views(verdicts, problems),
        facts([("head", last[0].digest if len(last) == 1 else None)]),
    )


def _document(verdict: Verdict) -> dict[str, Json]:
    digest, manifest = verdict.digest, verdict.manifest
    return {
        "bundle": str(verdict.directory),
        "ok": verdict.ok,
        "is_as_signed": verdict.is_as_signed,
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


def _state(verdict: Verdict) -> RenderableType:
    if not verdict.is_as_signed:
        return safe("NOT as it was signed", "bold red")
    if not verdict.is_known_signer:
        return safe("as its own key signed it, and nobody said whose key that is", "yellow")
    return safe("as it was signed", "green")


def _views(verdicts: Sequence[Verdict], problems: Sequence[tuple[str, Problem]]) -> list[RenderableType]:
    shown: list[RenderableType] = []
    for verdict in verdicts:
        manifest = verdict.manifest
        state = _state(verdict)
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
