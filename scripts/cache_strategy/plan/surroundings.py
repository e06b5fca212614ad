"""What stands around a candidate: its other decorators, the routes it answers, who is let through to it."""

import re
from collections import defaultdict

from cache_strategy.model.evidence import Candidate, Endpoint, Evidence, Function, KeyPart

PERSONAL = frozenset({"user", "session", "header", "cookie"})
"""Kinds of context by which a request tells who asks."""

_TOKEN = re.compile(r"nonce|csrf|xsrf", re.I)
_LIBRARY_GUARD = re.compile(r"^@?(\w+(?:\.\w+)*)\.login_required\b")


class Surroundings:
    """What the evidence says of the code around its candidates, looked up by target ("path:qualname")."""

    def __init__(self, evidence: Evidence) -> None:
        application = evidence.application
        self.functions = {f"{f.path}:{f.qualname}": f for f in evidence.functions}
        self.endpoints: dict[str, list[Endpoint]] = defaultdict(list)
        for endpoint in evidence.endpoints:
            self.endpoints[f"{endpoint.path}:{endpoint.qualname}"].append(endpoint)
        self.keys: dict[str, set[frozenset[KeyPart]]] = defaultdict(set)
        """Of each endpoint's function the keys under which its routes answer."""
        for candidate in evidence.candidates:
            if candidate.kind == "endpoint":
                self.keys[f"{candidate.path}:{candidate.qualname}"].add(frozenset(candidate.key))
        existing = application.existing_caches if application else ()
        self.caches = {re.sub(r"^(.*?):\d+ ", r"\1 ", cache) for cache in existing}
        self.package = application.package if application else ""
        self.framework = next(iter(evidence.frameworks), "")
        self.token = _token_of_the_session(evidence)
        asking = [set(e.reads) for e in evidence.endpoints if "user" in e.context]
        self.who: set[str] = set.intersection(*asking) if len(asking) > 2 else set()
        """The tables that are read to know who asks."""

    def is_personal(self, candidate: Candidate) -> bool:
        """Whether a guard or a hook before an endpoint looks at who asks: a shared cache in front would let all through."""
        return any(
            endpoint.guards or PERSONAL & set(endpoint.context)
            for endpoint in self.endpoints.get(f"{candidate.path}:{candidate.qualname}", ())
        )

    def reason_against(self, candidate: Candidate) -> str | None:
        """Why a candidate does not become an entry for what stands around it, None when it may."""
        target = f"{candidate.path}:{candidate.qualname}"
        function = self.functions.get(target)
        if function is not None:
            for decorator in function.decorators:
                if f"{candidate.path} {decorator}" in self.caches:
                    return f"is kept by {decorator} already; two caches of one value invalidate at two times"
            unread = [name for name in function.effects.unknown if name.startswith("template ")]
            if unread:
                return f"renders a template that could not be read ({unread[0]}): what it shows is not known"
            own = [name for name in function.effects.unknown if name.startswith(f"{self.package}.")]
            if own:
                return f"calls {own[0]} of this application, which could not be followed: what it looks at is not known"
        if candidate.kind != "endpoint":
            return None
        return self._reason_against_endpoint(candidate, target, function)

    def _reason_against_endpoint(
        self, candidate: Candidate, target: str, function: Function | None
    ) -> str | None:
        endpoints = self.endpoints.get(target, ())
        if function is not None and (function.effects.renders or function.returns == "template"):
            if self.token:
                return f"renders a page, which may hold the token of one session that {self.token} reads"
            if not candidate.per_user and any({"user", "session"} & set(e.context) for e in endpoints):
                return (
                    "renders a page, and who asks is looked up on the way to it: that the page does not show it is "
                    "not known"
                )
        if candidate.per_user and self.framework == "django" and set(candidate.reads) <= self.who:
            return "reads only who asks, which its key looks up anyway"
        if len(self.keys[target]) > 1:
            return "answers routes with different parameters, which one key cannot tell apart"
        known = {part.name for part in candidate.key}
        if self.framework == "django":
            known |= {"self", "request"}  # what is read of them is in the key
        for endpoint in endpoints:
            known.update(re.findall(r"{(\w+)}", endpoint.route))
        parameters = function.parameters if function and endpoints else ()
        given = [name for name in parameters if name not in known and not name.startswith("*")]
        if given and self.framework != "fastapi":  # which gives what the signature declares
            return f"is given {', '.join(given)} by a decorator, which no part of the key holds"
        if any("flask_login." in part.expression for part in candidate.key):
            for guard in (guard for endpoint in endpoints for guard in endpoint.guards):
                library = _LIBRARY_GUARD.match(guard)
                if library and not library[1].startswith("flask_login"):
                    return (
                        f"stands behind {guard}, which Flask-Login does not know of: how the code reads the user "
                        "behind it was not found"
                    )
        return None


def _token_of_the_session(evidence: Evidence) -> str:
    """A function that reads a session's token against forgery from the session itself, "" where there is none."""
    for function in evidence.functions:
        for read in function.effects.context:
            if read.kind == "session" and _TOKEN.search(read.name):
                return f"{function.path}:{function.qualname}"
    return ""
