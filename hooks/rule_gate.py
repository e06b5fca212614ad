"""
Which rule files of the user may fire on an event, told from its raw bytes; only `os` is imported.

For each project `rules/_gate_file.py` leaves a file that says, per rule, on which kinds of event it is asked, pieces of
text of which one must be there for it to fire, and the rule as it was read. Rules of which no piece is there cost nothing.
"""

import os

# Letters of other alphabets that a pattern without regard to case takes for i, k and s.
ODD = (b"\xc4\xb0", b"\xc4\xb1", b"\xc5\xbf", b"\xe2\x84\xaa", b"\\u0", b"\\u2")
KINDS = {
    b"Bash": b"b",
    b"Write": b"f",
    b"Edit": b"f",
    b"MultiEdit": b"f",
    b"NotebookEdit": b"f",
    b"Stop": b"s",
    b"SubagentStop": b"s",
    b"UserPromptSubmit": b"pn",
    b"SessionStart": b"n",
}
# Of the noted file; changes with what its lines hold.
FORMAT = "2"


def project_folder() -> str:
    """The session's project; without the client's word the nearest folder upwards that has rules, else this one."""
    named = os.environ.get("CLAUDE_PROJECT_DIR")
    if named:
        return named
    here = folder = os.getcwd()
    home = os.environ.get("HOME")
    while folder != home:
        if names_in(os.path.join(folder, ".claude")):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            break
        folder = above
    return here


def config_folder() -> str:
    """The user's own folder of the client, "" where it is not known."""
    home = os.environ.get("HOME") or os.environ.get("USERPROFILE")
    return os.environ.get("CLAUDE_CONFIG_DIR") or (os.path.join(home, ".claude") if home else "")


def names_in(folder: str) -> "list[str]":
    try:
        names = os.listdir(folder)
    except (OSError, ValueError):
        return []
    return sorted(
        name
        for name in names
        if name.startswith("hookify.") and name.endswith(".local.md") and name.isprintable()
    )


def rule_paths(project: str) -> "list[str]":
    """The rule files of a project and of the user, in the order in which they answer."""
    found = []
    own, config = os.path.join(project, ".claude"), config_folder()
    for folder in (own, config) if config and os.path.abspath(own) != os.path.abspath(config) else (own,):
        found += [os.path.join(folder, name) for name in names_in(folder)]
    return found


def stamp_of(paths: "list[str]") -> bytes:
    """What changes with any of these files, or with what the user approved."""
    rows = [FORMAT]
    for path in [*paths, os.path.join(config_folder(), "hookify-approved")]:
        try:
            state = os.stat(path)
            rows.append(f"{path}\t{state.st_mtime_ns}\t{state.st_size}\t{state.st_ino}")
        except (OSError, ValueError):
            rows.append(path)
    return ("\n".join(rows) + "\n\n").encode("utf-8", "surrogateescape")


def gate_file(project: str) -> str:
    """Where the pieces are kept: the plugin's data or the user's cache folder; "" where there is neither."""
    folder = os.environ.get("CLAUDE_PLUGIN_DATA")
    if not folder:
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ.get("HOME") or "", ".cache")
        if not os.path.isabs(cache):
            return ""
        folder = os.path.join(cache, "cache-strategy")
    name = "".join(c if c.isalnum() else "-" for c in os.path.abspath(project))[-100:]
    return os.path.join(folder, "rules", name)


def may_fire(raw: bytes, project: str, caching: bool) -> "list[str] | None":
    """
    The rules that may fire on an event, as noted; None where that is not known, and all must be read and asked.

    `caching` says whether the event can have to do with caching: rules that name a safety check need that.
    """
    paths = rule_paths(project)
    if not paths:
        return []
    kinds = kinds_of(raw)
    if kinds is None or not "".join(paths).isprintable():
        return None
    try:
        with open(gate_file(project), "rb") as file:
            known = file.read()
    except (OSError, ValueError):
        return None
    stamp = stamp_of(paths)
    if not known.startswith(stamp) or any(letter in raw for letter in ODD):
        return None
    text = raw.lower()
    found = []
    for line in known[len(stamp) :].split(b"\n")[:-1]:
        asked, pieces, rule = line.split(b"\t")
        fits = not pieces or any(piece in text for piece in pieces.split(b"\x1f"))
        told = b"n" in asked and b"n" in kinds
        if told or (fits and any(kind in asked for kind in kinds) and (caching or b"c" not in asked)):
            found.append(rule.decode("ascii"))
    return found


def kinds_of(raw: bytes) -> "list[bytes] | None":
    """The letters of an event: b and f for calls, s, p, n for Stop, prompts and notices, o for other tools."""
    event = value_of(raw, b'"hook_event_name"')
    if event is None:
        return None
    letters = KINDS.get(event, b"")
    if event == b"PreToolUse":
        letters = KINDS.get(value_of(raw, b'"tool_name"') or b"", b"o")
    return [letters[at : at + 1] for at in range(len(letters))]


def value_of(raw: bytes, key: bytes) -> "bytes | None":
    """The text after a key; inside a string value these quotes would be escaped."""
    start = raw.find(key)
    parts = raw[start + len(key) : start + len(key) + 200].split(b'"', 2) if start >= 0 else []
    return parts[1] if len(parts) == 3 and parts[0].strip() == b":" else None
