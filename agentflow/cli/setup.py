"""``agentflow setup``."""

import typer

from agentflow.adapters.search_attributes import register_search_attributes
from agentflow.cli.options import AsJson
from agentflow.cli.output import safe
from agentflow.cli.session import open_session
from agentflow.contracts.names import SEARCH_ATTRIBUTES


def setup(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Register agentflow's search attributes in the namespace. Safe to run again."""
    with open_session(context, as_json=as_json) as session:
        client = session.client().temporal
        with session.output.progress(f"registering search attributes in namespace {client.namespace}"):
            added = session.run(register_search_attributes(client))
        present = [name for name in SEARCH_ATTRIBUTES if name not in added]
        session.output.result(
            {"namespace": client.namespace, "added": added, "present": present},
            safe(f"namespace {client.namespace} is ready: {len(added)} added, {len(present)} there already"),
        )
