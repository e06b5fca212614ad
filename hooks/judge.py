"""
The hook: stops an edit or a command that makes caching unsafe, asks the user's own rules, and is silent otherwise.

Standard input: the hook event of the client, as JSON. Standard output: nothing, or one JSON object with the
decision. Exit code: always 0; whatever goes wrong in here lets the call pass and says so once per session.

A call that has nothing to do with caching pays for `os` only: the words below
are looked for in the raw bytes (and in the Python file that would change) before anything else is imported.
"""

import os
import sys

GATE = b"cach redis memoize flush valkey keydb invalidat purge vary etag max-age no-store materialized varnish".split()
JUDGED = (b".py", b".pyi", b".ipynb")
# Events at which nothing is stopped.
LATER = (b"SessionStart", b"PostToolUse", b"Stop")
# Words without which no Python code changes data or decides about rights.
WRITES = b".save( .add( .update( .delete( .create( commit( execute( bulk_ .post( .put( .patch( insert".split()
RIGHTS = b"perm can_ is_admin is_member is_staff is_owner role allowed test_func".split()
# Words of the files that configure a proxy, Redis or a database; prose that holds them is told apart later.
CONFIGURES = (
    b"_cache|_ignore_headers|beresp|vcl_|hash_data|(pass)|maxmemory|noeviction|materialized view|error_caching|"
    b"errorcaching|expires |max-age|immutable|edge_ttl|min_ttl|minttl|cache_level|cache_policy|cachepolicy|requestpolicy|"
    b"cacheeverything|caches.default"
).split(b"|")
LIMIT = 2_000_000
# Processor seconds, not wall time: a busy machine must not switch the guard off. Assumed.
BUDGET_SECONDS = 1.5
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def may_matter(raw: bytes) -> bool:
    """Whether the event is a call that can have anything to do with caching."""
    start = raw.find(b'"tool_input"')
    if start < 0:
        return False
    given = raw[start:]
    path = path_in(given)
    if path is None or b"\\" in path:
        return has_word(given)
    if not path.lower().endswith(JUDGED):
        lowered = given.lower()
        return any(word in lowered for word in CONFIGURES)
    return has_word(given) or has_word(content_of(path)) or is_known(given)


def is_known(given: bytes) -> bool:
    """Whether the event writes a model that other code invalidates, or decides by a function that is cached: the index says so."""
    data = os.environ.get("CLAUDE_PLUGIN_DATA")
    lowered = given.lower()
    writes, decides = (any(word in lowered for word in words) for words in (WRITES, RIGHTS))
    if not data or not (writes or decides):
        return False
    import rule_gate

    name = "".join(c if c.isalnum() else "-" for c in os.path.abspath(rule_gate.project_folder()))[-100:]
    rows = content_of(os.fsencode(os.path.join(data, "index", name)), 100_000).split(b"\n", 5)
    if len(rows) < 6:
        return False
    letters = bytes(c if chr(c).isalnum() or c == 95 or c > 127 else 32 for c in range(256))
    words = set(given.replace(b"\\n", b"  ").replace(b"\\t", b"  ").translate(letters).split())
    known = rows[3].split(b"\t")[1:] * writes + rows[4].split(b"\t")[1:] * decides
    return any(each.rpartition(b" ")[2] in words for each in known)


def has_word(data: bytes) -> bool:
    lowered = data.lower()
    return any(word in lowered for word in GATE)


def path_in(given: bytes) -> "bytes | None":
    """The raw value of `file_path` or `notebook_path`; inside a string value these quotes would be escaped."""
    for key in (b'"file_path"', b'"notebook_path"'):
        start = given.find(key)
        if start >= 0:
            parts = given[start + len(key) : start + len(key) + 5000].split(b'"', 2)
            if len(parts) == 3 and parts[0].strip() == b":":
                return parts[1]
    return None


def content_of(path: bytes, limit: int = LIMIT) -> bytes:
    try:
        if os.stat(path).st_mode & 0o170000 != 0o100000:
            return b""
        with open(path, "rb") as file:
            return file.read(limit)
    except (OSError, ValueError):
        return b""


def answer(
    raw: bytes, project: str, kept: "list[str] | None", caching: bool, later: bool = False
) -> "dict | None":
    """
    What to tell the client about the event, or None to let the call pass in silence.

    `kept` are the user's rules that may fire, as they were noted; None asks all, and notes them for the next time.
    Where it cannot have to do with `caching` they alone are asked; `later` asks what a session leaves behind.
    """
    import gc

    from json_text import decoded

    # A syntax tree is a hundred thousand objects that all live until the process ends.
    gc.disable()

    event = decoded(raw.decode("utf-8", "replace"))
    if not isinstance(event, dict):
        raise ValueError("the event is not a JSON object")
    sys.path.insert(0, os.path.join(ROOT, "scripts"))
    import rule_gate

    from cache_strategy.rules.verdict import after_the_fact, joined, verdict_on

    config = rule_gate.config_folder()
    also = after_the_fact(event, project, config) if later else None
    if kept == []:
        return joined(verdict_on(event, project, config=config), also)
    from cache_strategy.rules.pattern import kept_rules, load_files

    noted = rule_gate.gate_file(project)
    if kept is not None:
        rules = kept_rules(map(decoded, kept), config)
    else:
        files = rule_gate.rule_paths(project)
        rules = load_files(files, config)
        if noted:
            from cache_strategy.rules._gate_file import write_gate_file

            write_gate_file(noted, rule_gate.stamp_of(files), rules)
    return joined(verdict_on(event, project, rules, config, noted, judged=caching), also)


def set_budget(seconds: float) -> None:
    """
    Raises TimeoutError in the main thread once this much processor time is used up; 0 takes the limit away.

    Without such a timer (Windows) there is no limit but the client's.
    """
    import _signal

    if not hasattr(_signal, "setitimer"):
        return

    def stop(number: int, frame: object) -> None:
        raise TimeoutError("the judgement took longer than its budget")

    if seconds:
        _signal.signal(_signal.SIGPROF, stop)
    _signal.setitimer(_signal.ITIMER_PROF, seconds)


def failure(error: BaseException, raw: bytes) -> "dict | None":
    """One line about a failure of the guard itself; None when this session has been told before."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f" at {os.path.basename(where.tb_frame.f_code.co_filename)}:{where.tb_lineno}" if where else ""
    if told_before(raw):
        return None
    text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return {
        "systemMessage": f"optimize: the cache guard failed on this call ({text}{place}) and let it pass. "
        "Calls in this session may be unchecked; please report it."
    }


def told_before(raw: bytes) -> bool:
    """Whether this session has a marker; leaves one. Without a data folder nothing is remembered."""
    folder = os.environ.get("CLAUDE_PLUGIN_DATA")
    if not folder:
        return False
    start = raw.find(b'"session_id"')
    value = raw[start + 12 : start + 200].split(b'"', 2)[1:2] if start >= 0 else []
    session = "".join(
        c for c in (value[0] if value else b"").decode("ascii", "ignore") if c.isalnum() or c in "-_"
    )
    try:
        os.makedirs(folder, exist_ok=True)
        marker = os.path.join(folder, "guard-failed-" + session[:80])
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return True
    except (OSError, ValueError):
        return False
    return False


def main() -> None:
    raw = project = event = b""
    said = None
    try:
        raw = sys.stdin.buffer.read()
        import rule_gate

        project = rule_gate.project_folder()
        event = rule_gate.value_of(raw, b'"hook_event_name"')
        caching = rule_gate.kinds_of(raw) in (None, [b"b"], [b"f"]) and may_matter(raw)
        kept = rule_gate.may_fire(raw, project, caching)
        later = event in LATER and is_later(event, raw, project)
        if caching or later or kept != []:
            set_budget(BUDGET_SECONDS)
            said = answer(raw, project, kept, caching, later)
            set_budget(0)
    except Exception as error:
        set_budget(0)
        said = failure(error, raw)
    if said is not None:
        from json_text import encoded

        sys.stdout.write(encoded(said) + "\n")
        sys.stdout.flush()
    if event in LATER:
        try:
            import afterwards

            afterwards.work(event, raw, project, path_in(raw[max(raw.find(b'"tool_input"'), 0) :]))
        except Exception:  # nobody waits for it, and nothing depends on it
            return


def is_later(event: bytes, raw: bytes, project: str) -> bool:
    """Whether a session has something to be told after the fact."""
    import afterwards

    return afterwards.may_say(event, raw, project, event == b"PostToolUse" and may_matter(raw))


def run() -> None:
    """The whole process: `main`, and its end."""
    main()
    patterns = sys.modules.get("cache_strategy.syntax.patterns")
    if patterns is not None:
        patterns.keep()
    try:
        sys.stdout.flush()
    finally:
        # Taking the modules down one by one is a tenth of the time of a call that is stopped, for nothing.
        os._exit(0)
