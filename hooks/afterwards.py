"""
What the hook does beside judging a call: it begins the project's index when a session begins, keeps it fresh after calls, and
asks what is still open after a call and at the end of a turn.
"""

import os
import sys

import rule_gate

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EVENTS = (b"SessionStart", b"PostToolUse", b"Stop")
INDEXED = (b".py", b".html", b".jinja", b".jinja2", b".j2", b"cache-strategy.yaml")
# After a command the whole project is looked through, but not more often than this.
SECONDS_BETWEEN_WALKS = 5.0


def may_say(event: bytes, raw: bytes, project: str, caching: bool) -> bool:
    """Whether there can be something to say about one of these events; `caching` is the gate's word on the raw bytes."""
    data = os.environ.get("CLAUDE_PLUGIN_DATA")
    if event == b"SessionStart":
        return has_settings(project)
    remembered = bool(data) and os.path.exists(os.path.join(session_folder(raw), "files"))
    if event == b"Stop":
        return remembered
    return caching or (remembered and rule_gate.value_of(raw, b'"tool_name"') == b"Bash")


def has_settings(project: str) -> bool:
    """Whether somebody has set the guard: in the project, or for all projects of the user."""
    for folder in (os.path.join(project, ".claude"), rule_gate.config_folder()):
        if folder and os.path.exists(os.path.join(folder, "cache-strategy.toml")):
            return True
    try:
        with open(os.path.join(project, "pyproject.toml"), "rb") as file:
            return b"cache-strategy" in file.read(1_000_000)
    except (OSError, ValueError):
        return False


def session_folder(raw: bytes) -> str:
    """Where a session's memory lies: as `rules/session.py` names it."""
    name = (rule_gate.value_of(raw, b'"session_id"') or b"").decode("ascii", "ignore")
    kept = "".join(c for c in name if c.isalnum() or c in "-_")[:80]
    return os.path.join(os.environ.get("CLAUDE_PLUGIN_DATA") or "", "sessions", f"{kept}-{os.getppid()}")


def work(event: bytes, raw: bytes, project: str, path: "bytes | None") -> None:
    """The part that nobody waits for; whatever goes wrong in it is left for the next time."""
    data = os.environ.get("CLAUDE_PLUGIN_DATA")
    if not data or not project:
        return
    if event == b"SessionStart":
        start(project, data)
    elif event == b"PostToolUse":
        follow(project, data, path)


def start(project: str, data: str) -> None:
    """Begins a process of its own that makes the index; the session does not wait for it."""
    command = [sys.executable, "-I", "-S", os.path.join(ROOT, "hooks", "refresh.py"), project, data]
    if not sys.executable:
        return
    if not hasattr(os, "posix_spawn"):
        import subprocess

        quiet = subprocess.DEVNULL
        subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, creationflags=0x00000208)
        return
    # Its own standard streams: the client waits for everybody who holds the hook's.
    files = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    try:
        os.posix_spawn(command[0], command, os.environ, file_actions=files, setsid=True)
    except NotImplementedError:  # systems that cannot begin a session while spawning
        os.posix_spawn(command[0], command, os.environ, file_actions=files, setpgroup=0)


def follow(project: str, data: str, path: "bytes | None") -> None:
    """Brings the index up to date after a call: one file, or after a command all that changed."""
    if path is not None and not path.endswith(INDEXED):
        return
    sys.path.insert(0, os.path.join(ROOT, "scripts"))
    from cache_strategy.rules.index.build import refresh
    from cache_strategy.rules.index.store import index_path

    if path is None:
        import time

        try:
            if time.time() - os.stat(index_path(project, data)).st_mtime < SECONDS_BETWEEN_WALKS:
                return
        except OSError:
            return
    if hasattr(os, "nice"):
        os.nice(10)
    refresh(project, data, 30.0, [os.fsdecode(path)] if path is not None and b"\\" not in path else [])
