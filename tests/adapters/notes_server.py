"""An MCP server that keeps notes in a file, and misbehaves as another file tells it.

Run with the folder of both: ``python notes_server.py DIRECTORY [PORT]``.
"""

import asyncio
import os
import sys
from pathlib import Path

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

PLACE = Path(sys.argv[1])
server = MCPServer("notes", log_level="ERROR")


def told(what: str) -> bool:
    """Whether the file ``how`` says so. Once: the next call finds it gone."""
    how = PLACE / "how"
    if how.exists() and how.read_text() == what:
        how.unlink()
        return True
    return False


async def add_note(text: str) -> str:
    """Adds a note to the file"""
    if told("die before"):
        os._exit(1)
    with (PLACE / "notes").open("a") as notes:
        notes.write(f"{text}\n")
    if told("die after"):
        os._exit(1)
    if told("hang"):
        await asyncio.Event().wait()
    if told("fail"):
        raise ToolError(f"the disk said no; token {os.environ.get('NOTES_TOKEN')}")
    return f"noted, by {os.environ.get('NOTES_TOKEN', 'nobody')}"


def read_notes() -> dict[str, list[str]]:
    """Reads all notes"""
    notes = PLACE / "notes"
    return {"notes": notes.read_text().splitlines() if notes.exists() else []}


description = (PLACE / "description").read_text() if (PLACE / "description").exists() else None
hints = ToolAnnotations(destructive_hint=False)
server.add_tool(add_note, description=description, annotations=hints, structured_output=False)
server.add_tool(read_notes, annotations=ToolAnnotations(read_only_hint=True))

if __name__ == "__main__":
    (PLACE / "pid").write_text(str(os.getpid()))
    if len(sys.argv) > 2:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
    else:
        server.run("stdio")
