"""Calls in a tool's source that outlive its attempt unseen: findings on a write that may be tried again.

A blocking client in a coroutine stops the event loop, renewals of leases included; in a thread that agentflow
does not know of it runs on when the attempt has ended, and a later one may act beside it. Found is what the
source shows by name: what a method of one's own calls in turn isn't looked at.
"""

import ast
from collections.abc import Collection, Iterator, Mapping

from agentflow.contracts.tools import ToolContract
from agentflow.core.tool_lint import ToolFinding

RUN_BLOCKING = "run_blocking"

_UNSEEN = (
    "asyncio.to_thread",
    "anyio.to_thread.run_sync",
    "threading.Thread",
    "concurrent.futures.ThreadPoolExecutor",
    "concurrent.futures.ProcessPoolExecutor",
    "multiprocessing.Process",
    "asyncio.create_subprocess_exec",
    "asyncio.create_subprocess_shell",
    "subprocess.Popen",
)
"""What they start runs on after the tool was stopped, and nobody knows of it."""
_UNSEEN_METHODS = ("run_in_executor",)
"""Whatever they are methods of."""
_BLOCKING = (
    "requests.",
    "urllib.request.",
    "urllib3.",
    "http.client.",
    "httpx.get",
    "httpx.post",
    "httpx.put",
    "httpx.patch",
    "httpx.delete",
    "httpx.request",
    "httpx.Client",
    "boto3.",
    "psycopg2.",
    "psycopg.connect",
    "pymysql.",
    "sqlite3.",
    "smtplib.",
    "paramiko.",
    "stripe.",
    "twilio.",
    "subprocess.run",
    "subprocess.call",
    "subprocess.check_call",
    "subprocess.check_output",
    "os.system",
    "time.sleep",
    "socket.create_connection",
)
"""Names, and with a dot at the end all of a package."""
_IS_ASYNC = "_async"
"""Ends the names of stripe's methods that don't block."""


def lint_blocking_calls(
    contract: ToolContract, module: str, functions: Collection[str]
) -> tuple[ToolFinding, ...]:
    """Findings on the functions of a tool: its own, and its probe.

    Args:
        contract: The tool's.
        module: Source text of the module that they are in. One that can't be parsed has no findings.
        functions: Their qualified names.
    """
    if contract.effect == "read" or contract.recovery == "key":
        # At a system that keeps attempts apart by their key none harms another.
        return ()
    try:
        tree = ast.parse(module)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    names = _imported(tree)
    after = (
        "a later attempt may act beside it"
        if contract.recovery == "probe"
        else "a person is asked what happened before it has"
    )
    found: list[ToolFinding] = []
    for function in functions:
        for node in _found(tree, function):
            for call in _calls(node):
                if (said := _judged(_called(call.func, names), after)) is not None:
                    place = f"{function.rpartition('.')[2]}, line {call.lineno}"
                    found.append(ToolFinding(contract.name, said[0], place, said[1]))
    return tuple(found)


def _judged(name: str, after: str) -> tuple[str, str] | None:
    """The rule that a call breaks, and the advice."""
    if name in _UNSEEN or name.rpartition(".")[2] in _UNSEEN_METHODS:
        what = name if name in _UNSEEN else name.rpartition(".")[2]
        return (
            "unseen-thread",
            f"{what}: runs on when the tool is stopped, and {after}: use agentflow.{RUN_BLOCKING}",
        )
    if any(name == one or (one.endswith(".") and name.startswith(one)) for one in _BLOCKING):
        if name.endswith(_IS_ASYNC):
            return None
        return (
            "blocking-call",
            f"{name}: blocks the event loop, so that no time limit holds: await agentflow.{RUN_BLOCKING}(…)",
        )
    return None


def _imported(tree: ast.Module) -> Mapping[str, str]:
    """What names stand for that were imported, anywhere in the module."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                root = one.name.partition(".")[0]
                names[one.asname or root] = one.name if one.asname else root
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.update({one.asname or one.name: f"{node.module}.{one.name}" for one in node.names})
    return names


def _found(tree: ast.Module, function: str) -> list[ast.AST]:
    """The definitions of a function, by its qualified name."""
    scopes: list[ast.AST] = [tree]
    for part in function.replace("<locals>.", "").split("."):
        scopes = [
            inner
            for scope in scopes
            for inner in _definitions(scope)
            if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and inner.name == part
        ]
    return scopes


def _definitions(scope: ast.AST) -> Iterator[ast.AST]:
    """Those of a scope, within its conditions too, and not within its own definitions."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        else:
            yield from _definitions(node)


def _calls(scope: ast.AST) -> Iterator[ast.Call]:
    """The calls that a function makes in the event loop: not those that it hands to ``run_blocking``."""
    handed: set[str] = set()
    for node in ast.walk(scope):
        if isinstance(node, ast.Call) and _is_run_blocking(node):
            handed.update(one.id for one in node.args[:1] if isinstance(one, ast.Name))
    todo: list[ast.AST] = [scope]
    while todo:
        node = todo.pop(0)
        inner = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.Call):
            yield node
            if _is_run_blocking(node):
                inner = [one for one in inner if not isinstance(one, ast.Lambda)]
        todo += [one for one in inner if not (isinstance(one, ast.FunctionDef) and one.name in handed)]


def _is_run_blocking(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name == RUN_BLOCKING


def _called(function: ast.expr, names: Mapping[str, str]) -> str:
    """The dotted name of what is called, by its imports; of a method of something else, its own name."""
    parts: list[str] = []
    node = function
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id in names:
        parts.append(names[node.id])
        return ".".join(reversed(parts))
    return f".{parts[0]}" if parts else ""
