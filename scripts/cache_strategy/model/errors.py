"""The one exception family: raised inside, printed by the command line as one line."""


class CacheStrategyError(Exception):
    """
    Something a person can act on.

    The message is one line: `<which thing>: <what is wrong>; <what would be right>. <what to do next>`.
    `exit_code` is 2 for wrong usage or input (the default) and 1 for a refusal.
    """

    exit_code = 2


class Refusal(CacheStrategyError):
    """The input is fine, but doing what was asked would lose or break something."""

    exit_code = 1
