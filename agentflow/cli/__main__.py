"""``python -m agentflow.cli``: the command where it isn't installed as a script."""

from agentflow.cli import main

main()
