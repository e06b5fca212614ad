"""
Reads lines of access logs out of bytes. Plain Python that numba can compile, as in `loops.py`.

A field of a line is a span: where it starts and ends. What a line says is found by its role, whatever the format.
"""

from cache_strategy.simulate.loops import Floats, Ints

TIME, METHOD, TARGET, QUERY, STATUS, SIZE, SECONDS, MILLISECONDS, MICROSECONDS, USER = range(10)
REQUEST, CLOCK, SKIPPED, ROLES = 10, 11, 12, 13
"""REQUEST is method, target and protocol in one; CLOCK is the end of a TIME that has its date in a field of its own."""
SPACE, QUOTE, BACKSLASH, NEWLINE, HASH = 32, 34, 92, 10, 35
OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, COMMA, COLON = 123, 125, 91, 93, 44, 58
MASK = (1 << 40) - 1
MONTHS = tuple(ord(name[0]) * 256 + ord(name[1]) for name in "an eb ar pr ay un ul ug ep ct ov ec".split())
BASIS = 0x1234567890ABCDEF
NAMES = 512
"""Slots of the table of JSON names: a hash, a role and a rank each."""


def hashed(data: bytes, start: int, end: int, value: int) -> int:
    """62 bits of two FNV-like sums of 40 bits, none of which grows over 63 bits in between."""
    one, two = value & MASK, value >> 22
    for i in range(start, end):
        one = ((one ^ data[i]) * 5974207) & MASK
        two = ((two ^ data[i]) * 7368787) & MASK
    return (one >> 18) ^ (two << 22)


def digits(data: bytes, start: int, end: int) -> int:
    value = 0
    for i in range(start, end):
        if not 48 <= data[i] <= 57:
            return -1
        value = value * 10 + data[i] - 48
    return value if end > start else -1


def number(data: bytes, start: int, end: int) -> float:
    """A number that is not negative, also as 1.5e-05; -1 for anything else."""
    power = 0
    for i in range(start + 1, end):
        if data[i] in (69, 101):
            sign = -1 if data[i + 1] == 45 else 1
            power = sign * digits(data, i + 1 + (data[i + 1] in (43, 45)), end)
            end = i
            break
    point = start
    while point < end and data[point] != 46:
        point += 1
    whole = digits(data, start, point)
    if whole < 0 or point == end:
        return whole * 10.0**power if whole >= 0 else -1.0
    part = digits(data, point + 1, min(end, point + 16))
    return (whole + part / 10.0 ** (min(end, point + 16) - point - 1)) * 10.0**power if part >= 0 else -1.0


def moment(data: bytes, start: int, end: int) -> float:
    """Seconds since 1970 of 10/Oct/2000:13:55:36 -0700, of ISO 8601, or of a number; -1 for anything else."""
    if end - start >= 20 and data[start + 2] == 47:
        month = 0
        for i in range(12):
            if data[start + 4] * 256 + data[start + 5] == MONTHS[i]:
                month = i + 1
        year, day, clock = digits(data, start + 7, start + 11), digits(data, start, start + 2), start + 12
    elif end - start >= 19 and data[start + 4] == 45:
        year, month = digits(data, start, start + 4), digits(data, start + 5, start + 7)
        day, clock = digits(data, start + 8, start + 10), start + 11
    else:
        value = number(data, start, end)
        for _ in range(3):
            if value > 1e11:
                value /= 1000
        return value
    hour, minute = digits(data, clock, clock + 2), digits(data, clock + 3, clock + 5)
    second = digits(data, clock + 6, clock + 8)
    if year < 1970 or not 1 <= month <= 12 or not 1 <= day <= 31 or not 0 <= hour < 24:
        return -1.0
    if not 0 <= minute < 60 or not 0 <= second <= 60:
        return -1.0
    # Days since 1970 of the proleptic Gregorian calendar, years beginning in March.
    years = year - (month <= 2)
    days = years * 365 + years // 4 - years // 100 + years // 400
    days += (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 719469
    value = days * 86400.0 + hour * 3600 + minute * 60 + second
    at = clock + 8
    if at < end and data[at] in (44, 46):
        at += 1
        begin = at
        while at < end and 48 <= data[at] <= 57:
            at += 1
        value += digits(data, begin, at) / 10.0 ** (at - begin)
    while at < end and data[at] == SPACE:
        at += 1
    if end - at >= 5 and data[at] in (43, 45):
        offset = digits(data, at + 1, at + 3) * 3600 + digits(data, end - 2, end) * 60
        value += offset if data[at] == 45 else -offset
    return value


def take(data: bytes, spans: Ints, line: int, asked: Ints, whole: Ints, real: Floats) -> bool:
    """
    One line's spans to its columns; False when they say no request.

    Args:
        asked: per line the spans of method, target, query and user.
        whole: per line the hash of the request and of the user, status and size, -1 where not known.
        real: per line the time, and milliseconds to the answer, -1 where not known.
    """
    if spans[2 * METHOD] < 0 and spans[2 * REQUEST] >= 0:
        start, end = spans[2 * REQUEST], spans[2 * REQUEST + 1]
        first = start
        while first < end and data[first] != SPACE:
            first += 1
        last = end - 1
        while last > first and data[last] != SPACE:
            last -= 1
        spans[2 * METHOD], spans[2 * METHOD + 1] = start, first
        spans[2 * TARGET], spans[2 * TARGET + 1] = first + 1, last if last > first else end
    start, end = spans[2 * METHOD], spans[2 * METHOD + 1]
    if not (start >= 0 and 2 < end - start < 20 and 0 <= spans[2 * TARGET] < spans[2 * TARGET + 1]):
        return False
    for i in range(start, end):
        if not 65 <= data[i] & 223 <= 90:
            return False
    now = moment(data, spans[2 * TIME], spans[2 * TIME + 1]) if spans[2 * TIME] >= 0 else -1.0
    if now < 0:
        return False
    took, request = -1.0, BASIS
    for role, factor in ((SECONDS, 1000.0), (MICROSECONDS, 0.001), (MILLISECONDS, 1.0)):
        if spans[2 * role] >= 0:
            value = number(data, spans[2 * role], spans[2 * role + 1])
            took = value * factor if value >= 0 else took
    for at, role in enumerate((METHOD, TARGET, QUERY, USER)):
        start, end = spans[2 * role], spans[2 * role + 1]
        asked[8 * line + 2 * at], asked[8 * line + 2 * at + 1] = start, end
        if role == USER:
            whole[4 * line + 1] = hashed(data, start, end, BASIS)
        else:
            request = hashed(data, start, end, request ^ role)
    whole[4 * line] = request
    whole[4 * line + 2] = digits(data, spans[2 * STATUS], spans[2 * STATUS + 1])
    whole[4 * line + 3] = digits(data, spans[2 * SIZE], spans[2 * SIZE + 1])
    real[2 * line], real[2 * line + 1] = now, took
    return True


def text_fields(
    data: bytes, start: int, end: int, roles: Ints, stops: Ints, lengths: Ints, spans: Ints
) -> bool:
    """
    The spans of a line of text.

    Args:
        roles, lengths: per field what it says, and how many bytes of `stops` end it; 0 for the rest of the line.
    """
    at, stop = start, 0
    for field in range(len(roles)):
        length, begin = lengths[field], at
        if length == 0:
            at = end
        quoted = length > 0 and stops[stop] == QUOTE
        while at < end:
            if quoted and data[at] == BACKSLASH:
                at += 2
                continue
            if data[at] == stops[stop]:
                same = 1
                while same < length and at + same < end and data[at + same] == stops[stop + same]:
                    same += 1
                if same == length:
                    break
            at += 1
        if length > 0 and at >= end:
            return False
        role = roles[field]
        if role == CLOCK:
            spans[1] = at
        elif at > begin and not (at == begin + 1 and data[begin] == 45):
            spans[2 * role], spans[2 * role + 1] = begin, at
        at += length
        stop += length
    return True


def after_string(data: bytes, at: int, end: int) -> int:
    """Behind the quote that ends the string which begins at `at`, behind its first quote."""
    while at < end and data[at] != QUOTE:
        at += 2 if data[at] == BACKSLASH else 1
    return at + 1


def after_nested(data: bytes, at: int, end: int) -> int:
    """Behind the bracket that closes the one at `at`."""
    depth = 0
    while at < end:
        if data[at] == QUOTE:
            at = after_string(data, at + 1, end)
            continue
        if data[at] == OPEN or data[at] == OPEN_LIST:
            depth += 1
        elif data[at] == CLOSE or data[at] == CLOSE_LIST:
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return at


def json_fields(
    data: bytes, start: int, end: int, names: Ints, nested: int, ranks: Ints, spans: Ints
) -> bool:
    """
    The spans of a line that is one JSON object; that of the name with the hash `nested` is read as a part of it.

    Args:
        names: hash, role and rank per slot; of several names for one role the one of the lowest rank that is there counts.
        ranks: those of the spans found.
    """
    if data[start] != OPEN:
        return False
    at, depth = start + 1, 1
    while at < end:
        if data[at] == CLOSE:
            depth -= 1
            if depth == 0:
                return True
        if data[at] != QUOTE:
            at += 1
            continue
        key, at = at + 1, after_string(data, at + 1, end)
        name = hashed(data, key, at - 1, BASIS)
        while at < end and (data[at] == COLON or data[at] == SPACE):
            at += 1
        if at >= end:
            return False
        if data[at] == OPEN and name == nested and depth == 1:
            depth = 2
            at += 1
            continue
        if data[at] == OPEN or data[at] == OPEN_LIST:
            at = after_nested(data, at, end)
            continue
        begin, null = at, data[at] == 110
        if data[at] == QUOTE:
            begin, at = at + 1, after_string(data, at + 1, end)
            finish = at - 1
        else:
            while at < end and data[at] != COMMA and data[at] != CLOSE and data[at] != SPACE:
                at += 1
            finish = at
        slot = name % NAMES
        while names[3 * slot + 1] >= 0 and names[3 * slot] != name:
            slot = (slot + 1) % NAMES
        role = names[3 * slot + 1]
        empty = null or finish <= begin or (finish == begin + 1 and data[begin] == 45)
        if role >= 0 and not empty and names[3 * slot + 2] < ranks[role]:
            ranks[role] = names[3 * slot + 2]
            spans[2 * role], spans[2 * role + 1] = begin, finish
    return False


def scan(
    data: bytes,
    roles: Ints,
    stops: Ints,
    lengths: Ints,
    names: Ints,
    nested: int,
    asked: Ints,
    whole: Ints,
    real: Floats,
    bad: Ints,
    spans: Ints,
    ranks: Ints,
) -> int:
    """The lines of a block, as `take` has them; `bad` gets the number of bad ones and the span of the first."""
    start = lines = 0
    while start < len(data):
        end = start
        while data[end] != NEWLINE:
            end += 1
        last = end
        while last > start and data[last - 1] in (13, SPACE, 9):
            last -= 1
        if last > start and data[start] != HASH:
            for i in range(2 * ROLES):
                spans[i] = -1
            if len(roles) > 0:
                found = text_fields(data, start, last, roles, stops, lengths, spans)
            else:
                for i in range(ROLES):
                    ranks[i] = 99
                found = json_fields(data, start, last, names, nested, ranks, spans)
            if found and take(data, spans, lines, asked, whole, real):
                lines += 1
            else:
                if bad[0] == 0:
                    bad[1], bad[2] = start, last
                bad[0] += 1
        start = end + 1
    return lines
