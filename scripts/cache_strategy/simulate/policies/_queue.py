"""A doubly linked queue of keys in flat arrays: `ends[at]` is the oldest, `ends[at + 1]` the youngest, -1 for none."""

from cache_strategy.simulate.policies._base import Ints


def push(ends: Ints, at: int, links: Ints, keys: int, key: int) -> None:
    """`key` becomes the youngest."""
    youngest = ends[at + 1]
    links[key], links[keys + key] = youngest, -1
    if youngest >= 0:
        links[keys + youngest] = key
    else:
        ends[at] = key
    ends[at + 1] = key


def unlink(ends: Ints, at: int, links: Ints, keys: int, key: int) -> None:
    """`key` leaves, wherever it stands."""
    older, younger = links[key], links[keys + key]
    if older >= 0:
        links[keys + older] = younger
    else:
        ends[at] = younger
    if younger >= 0:
        links[younger] = older
    else:
        ends[at + 1] = older
