"""
How much each signal of a function speaks for a cache there, and in which words.

Source: a logistic regression over functions that maintainers of open-source web applications cached later, as they were
before (124 looked up one by one, 655 found in the histories of 70 repositories), and 1,196 that carry a cache, against the
other functions of the same repositories; each family of related repositories counts by the root of its functions. Held
out by family, six parts: of the 124, 52 % are within the first 5 % of all functions and 44 % within the first 50; of the
655, 49 % and 42 %. With all of them: 60 % and 48 %; 55 % and 46 %. Aggregates, joins and loops wherever they happen were
added by hand (assumed): what costs more comes first among equals.
"""

import math
from dataclasses import dataclass

_MOST_SAID = 4
_WORTH_SAYING = 0.15

_TABLE = """
+1.56 | siblings cached | most beside it are cached already
+1.15 | class caches | others of its class are cached already
+0.67 | in middleware | is part of a middleware
+0.58 | async | is asynchronous
+0.53 | decorated http | says how HTTP may treat it
+0.49 | name asks | its name asks for something (get, find, load, search)
+0.48 | page without parts | is a page with one answer for all
+0.45 | used widely | much of the code leads to it
+0.43 | given request | is given the request
+0.42 | name counts | its name counts
+0.41 | named front page | a word of its name is a front page (latest, popular, feed)
+0.40 | depends header | depends on headers
+0.40 | mentions digests | computes digests
+0.38 | name page | its name is a page (index, home, detail)
+0.36 | joins itself | joins tables itself
+0.36 | tag that costs | is a template tag or filter that costs
+0.35 | calling files 2 | called from several modules
+0.34 | special | is called by an operator
+0.28 | tries | guards against failure
+0.27 | named user | a word of its name is the user
+0.25 | aggregates itself | aggregates itself
+0.24 | answers response | answers a request
+0.24 | named rendering | a word of its name is something rendered (html, image, text)
+0.23 | computes | computes from its arguments alone
+0.23 | named statistics | a word of its name is a statistic (count, score, summary)
+0.22 | given an identity | is given an id, a name or the like
+0.22 | mentions rendering | renders markup
+0.22 | unknown calls | hands work to other packages
+0.21 | of manager | is a method of a manager
+0.19 | asks a service | asks a service for something
+0.19 | every request | runs for every request
+0.18 | parses itself | parses, renders or computes with a library
+0.18 | writers 20 | tables that much code writes
+0.17 | in views | is among views
+0.17 | waits itself | asks another system itself
+0.16 | mentions aggregates | counts or aggregates
+0.16 | queries 5 | five queries and more
+0.16 | uses 2 | leads to other functions
+0.15 | costs | reads tables, files or another system
+0.15 | mentions queries | queries
+0.15 | name yes or no | its name is a question
+0.15 | raises | raises where it finds nothing
+0.14 | handler | answers requests
+0.13 | of client | is a method of a client or service
+0.12 | named configuration | a word of its name is configuration (settings, menu, version)
+0.12 | used elsewhere | used outside its module
+0.11 | depends query | depends on the query string
+0.10 | only reads | only reads
+0.10 | aggregates | computes an aggregate
+0.10 | queries in a loop | queries once per row
+0.09 | name converts | its name says from what or for whom
+0.08 | used in 2 files | used in several modules
+0.05 | depends files | reads files
+0.05 | given identities | all it is given are ids, names and the like
+0.05 | joins | joins tables
-0.06 | many unknown calls | much in it could not be followed
-0.07 | returns | returns something
-0.08 | decorated route | is a route by its decorator
-0.10 | in api | is part of an API
-0.11 | given a user | is given a user
-0.11 | given many | has many parameters
-0.17 | below a handler | below an endpoint
-0.17 | private | is private
-0.18 | named identity | a word of its name says by what
-0.19 | in search | is part of a search
-0.21 | in vendor | is a copied library
-0.21 | repeated 5 | one request calls it at five places
-0.22 | namesakes 7 | many functions have its name
-0.26 | in tasks | is part of a task
-0.28 | in a loop | called in a loop
-0.29 | in importers | imports or exports
-0.29 | side effects | has side effects
-0.30 | name works out | its name works something out (parse, resolve, render)
-0.31 | writes tables | writes several tables
-0.34 | in commands | is part of a command or script
-0.34 | static | is a static method
-0.35 | given an object | is given an object
-0.37 | side effects itself | has side effects itself
-0.39 | given value | is given a value to change
-0.41 | answers lazy | returns something that is read later
-0.43 | mentions refusals | validates
-0.43 | of object | is a method of a plain object
-0.43 | short | is one line
-0.44 | of model | is a method of a model
-0.45 | named change | a word of its name is a change (form, delete, email)
-0.45 | nested | belongs to a call of another function
-0.46 | in admin | is part of the admin
-0.46 | in migrations | is part of a migration
-0.47 | decorated hook | is a hook
-0.47 | depends body | depends on a request body
-0.47 | no callers | no call of it was found
-0.50 | path itself | reads the path of the request itself
-0.51 | depends user | depends on the user
-0.51 | name does | its name says that it does something
-0.54 | of filter | is a method of a filter or query
-0.55 | calls nothing | calls nothing
-0.58 | answers none | returns nothing
"""

WEIGHTS: dict[str, float] = {}
SENTENCES: dict[str, str] = {}
for _line in _TABLE.strip().splitlines():
    _weight, _signal, _sentence = _line.split(" | ")
    WEIGHTS[_signal] = float(_weight)
    SENTENCES[_signal] = _sentence


@dataclass(frozen=True)
class Told:
    """What the signals of a function add up to, and what speaks most for a cache there."""

    score: float
    because: tuple[str, ...]


def told_by(signals: set[str]) -> Told:
    known = sorted(signals & WEIGHTS.keys(), key=lambda s: (-WEIGHTS[s], s))
    said = [SENTENCES[s] for s in known[:_MOST_SAID] if WEIGHTS[s] >= _WORTH_SAYING]
    because = f"like what maintainers cache: {'; '.join(said)}" if said else ""
    return Told(round(math.fsum(WEIGHTS[s] for s in known), 4), (because,) if because else ())
