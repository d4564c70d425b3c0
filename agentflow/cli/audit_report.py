"""``agentflow audit report`` and ``incident``."""

from pathlib import Path
from typing import Annotated

import typer

from agentflow.adapters.whole_file import write_whole
from agentflow.audit.bundle import digest_hash
from agentflow.audit.cover import BUNDLE
from agentflow.audit.incident import INDEX, export_incident
from agentflow.audit.reading import findings_of
from agentflow.audit.report.html import check_extra, html_of
from agentflow.audit.report.told import ToldRun, of_bundle, of_history
from agentflow.cli.audit_export import PROGRESS_EVERY
from agentflow.cli.audit_home import AuditHome, Home, KmsKey
from agentflow.cli.connection import namespace_of, reading_converter
from agentflow.cli.exits import ExitCode, misused
from agentflow.cli.histories import agents_at_hand
from agentflow.cli.options import AsJson, Workflows
from agentflow.cli.output import facts
from agentflow.cli.quiet import quiet_temporal
from agentflow.cli.selection import Files, Selection, first_run, select, window
from agentflow.cli.session import Session, open_session


def audit_report(
    context: typer.Context,
    workflow_id: Annotated[
        str | None, typer.Argument(metavar="[WORKFLOW_ID]", help="A run on the server, or of the bundle.")
    ] = None,
    *,
    html: Annotated[Path, typer.Option("--html", metavar="FILE", help="Where the page goes.")],
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="DIR", help="Out of this bundle.", file_okay=False, exists=True),
    ] = None,
    file: Files = None,
    workflows: Workflows = None,
    home: Home = None,
    kms_key: KmsKey = None,
    as_json: AsJson = False,
) -> None:
    """Write a run as one page of HTML, for a person who has never seen the system.

    The page needs no network. It holds what was said in the run, personal data included.
    """
    with open_session(context, as_json=as_json) as session:
        if bundle is not None:
            if file:
                raise misused("give --bundle or --file, not both")
            keys = AuditHome(home, kms_key).keys_if_any()
            run = session.run(of_bundle(bundle, keys, workflow_id))[0]
        else:
            selection = select(session, [workflow_id] if workflow_id else [], None, file or [])
            run = _read(session, selection, workflows)
        try:
            write_whole(html, html_of(run).encode(), mode=0o600)
        except OSError as error:
            raise misused(f"--html: {html} can't be written: {error}") from None
        session.output.result(
            {"workflow_id": run.workflow_id, "html": str(html)},
            facts([("run", run.workflow_id), ("page", html)]),
        )


def audit_incident(
    context: typer.Context,
    *,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="From when on: how long ago, such as 2d, or in ISO 8601.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to; it must not exist.")],
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Until when; by default now.")] = None,
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this tenant.")] = None,
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this agent.")] = None,
    workflows: Workflows = None,
    home: Home = None,
    kms_key: KmsKey = None,
    as_json: AsJson = False,
) -> None:
    """Write all that is known of the runs of a time: a bundle, a page for each, and one timeline of all.

    Of runs that went on in that time, whenever they began. Exit 5 if something is missing.
    """
    with open_session(context, as_json=as_json) as session:
        query = window(since, until, tenant=tenant, agent=agent)
        place = AuditHome(home, kms_key)
        settings = place.settings(namespace_of(session.connection))
        check_extra()
        selection = select(session, (), query)
        title = f"Runs since {since}" + (f" of {tenant}" if tenant else "")
        replayed = agents_at_hand(session, settings.namespace, workflows)
        with session.output.progress("exporting") as progress, quiet_temporal():
            manifest = session.run(
                export_incident(
                    selection.runs,
                    out,
                    selection.words,
                    settings,
                    title=title,
                    converter=reading_converter(),
                    replayed=replayed,
                    progress=progress.counting("exporting: {} runs", PROGRESS_EVERY),
                )
            )
        runs, head = len(manifest.runs), digest_hash(out / BUNDLE)
        session.output.result(
            {"incident": str(out), "query": query, "runs": runs, "gaps": manifest.gaps, "head": head},
            facts(
                [
                    ("incident", out / INDEX),
                    ("runs", runs),
                    ("head", head),
                    ("gaps", manifest.gaps or None),
                ]
            ),
        )
        if manifest.gaps:
            raise typer.Exit(ExitCode.INCOMPLETE)


def _read(session: Session, selection: Selection, workflows: list[str] | None) -> ToldRun:
    replayed = agents_at_hand(session, namespace_of(session.connection), workflows)

    async def first() -> ToldRun:
        async with replayed:
            return of_history(await findings_of(await first_run(selection), reading_converter(), replayed))

    with session.output.progress("reading the run"), quiet_temporal():
        return session.run(first())
