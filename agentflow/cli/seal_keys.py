"""``agentflow seal-keys``: the keys with which runs seal what they tell their activities."""

from pathlib import Path
from typing import Annotated

import typer

from agentflow.adapters.seal_keys import (
    add_seal_key,
    load_seal_keys,
    remove_seal_key,
    save_new_seal_keys,
    use_seal_key,
)
from agentflow.cli.options import AsJson
from agentflow.cli.output import safe, table
from agentflow.cli.session import open_session

app: typer.Typer = typer.Typer(
    name="seal-keys",
    no_args_is_help=True,
    help="The workers' keys for seals: made, listed, replaced. Only workers may read the file.",
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The keys' file.")]
Kid = Annotated[str, typer.Argument(metavar="KEY", help="A key's id.")]


@app.command("init")
def init(
    context: typer.Context,
    file: File,
    *,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Leave a file that is there as it is.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a file with a new key. Give all workers of the namespace the same one."""
    with open_session(context, as_json=as_json) as session:
        made = not (if_missing and file.exists())
        keys = save_new_seal_keys(file) if made else load_seal_keys(file)
        told = f"{file} has the key {keys.current}" + ("" if made else ", as before")
        session.output.result({"file": str(file), "current": keys.current, "made": made}, safe(told))


@app.command("list")
def list_keys(context: typer.Context, file: File, *, as_json: AsJson = False) -> None:
    """List the ids of the keys, and which of them seals. The keys themselves are not shown."""
    with open_session(context, as_json=as_json) as session:
        keys = load_seal_keys(file)
        rows = [(kid, "seals" if kid == keys.current else "is believed") for kid in keys.keys]
        session.output.result({"current": keys.current, "keys": list(keys.keys)}, table(("KEY", ""), rows))


@app.command("add")
def add(context: typer.Context, file: File, *, as_json: AsJson = False) -> None:
    """Add a new key. It is believed, and seals nothing yet: first restart all workers with the file."""
    with open_session(context, as_json=as_json) as session:
        kid = add_seal_key(file)
        session.output.result({"added": kid}, safe(f"added {kid}; next: restart all workers, then `use` it"))


@app.command("use")
def use(context: typer.Context, file: File, kid: Kid, *, as_json: AsJson = False) -> None:
    """Let a key seal from the workers' next start on."""
    with open_session(context, as_json=as_json) as session:
        use_seal_key(file, kid)
        session.output.result({"current": kid}, safe(f"{kid} seals once all workers are restarted"))


@app.command("remove")
def remove(context: typer.Context, file: File, kid: Kid, *, as_json: AsJson = False) -> None:
    """Believe a key no more. What it sealed and nobody has acted on yet is refused then.

    A run that continued as new under it goes on; one that is reset to the start of such an execution is
    denied. A write whose record in the ledger it sealed is asked about, if a run comes back to it.
    """
    with open_session(context, as_json=as_json) as session:
        remove_seal_key(file, kid)
        session.output.result({"removed": kid}, safe(f"{kid} counts no more once all workers are restarted"))
