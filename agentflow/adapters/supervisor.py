"""Runs a command and ends it when standard input closes: ``python supervisor.py COMMAND ARGUMENT…``.

The parent holds the other end of standard input. When it dies, even of SIGKILL, the operating system
closes the pipe, and the command is ended. Run by its path, not as a module, so that starting it costs no
imports of ours.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 10.0
"""From the polite signal to the one that can't be refused."""


def main(command: list[str]) -> int:
    """Run the command; answer its exit code."""
    is_posix = os.name == "posix"
    # A session of its own: Ctrl-C in the terminal goes to the parent alone, which ends us in order, and
    # whatever the command starts in turn is in its process group.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=is_posix)  # noqa: S603
    threading.Thread(target=_end_on_eof, args=(child, is_posix), daemon=True).start()

    def on_signal(number: int, frame: object) -> None:
        _end(child, is_posix)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return child.wait()


def _end_on_eof(child: "subprocess.Popen[bytes]", is_posix: bool) -> None:
    with contextlib.suppress(OSError):
        # Unbuffered: a buffered read would hold a lock that the interpreter wants at its exit.
        while os.read(sys.stdin.fileno(), 1):
            pass
    _end(child, is_posix)


def _end(child: "subprocess.Popen[bytes]", is_posix: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        if is_posix:
            os.killpg(child.pid, signal.SIGTERM)
        else:
            child.terminate()
    timer = threading.Timer(GRACE_SECONDS, _kill, args=(child, is_posix))
    timer.daemon = True
    timer.start()


def _kill(child: "subprocess.Popen[bytes]", is_posix: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        if is_posix:
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
