"""
Reads lines of access logs out of bytes. Plain Python that numba can compile, as in `loops.py`.

A line has a span (start and end, -1 for none) for each role, whatever the format.
"""

from cache_strategy.simulate.loops import Floats, Ints

TIME, METHOD, TARGET, QUERY, STATUS, SIZE, SECONDS, MILLISECONDS, MICROSECONDS, USER = range(10)
REQUEST, CLOCK, SKIPPED, ROLES = 10, 11, 12, 13
"""REQUEST is method, target and protocol in one; CLOCK is the end of a TIME that has its date in a field of its own."""
SPACE, QUOTE, BACKSLASH, NEWLINE, HASH, DASH, LETTER_N = 32, 34, 92, 10, 35, 45, 110
OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, COMMA, COLON = 123, 125, 91, 93, 44, 58
MARK, SLASH, UNDERSCORE, LETTER_G, LETTER_H = 63, 47, 95, 71, 72
MASK, HALF = (1 << 40) - 1, (1 << 61) - 1
MONTHS = tuple(ord(name[0]) * 256 + ord(name[1]) for name in "an eb ar pr ay un ul ug ep ct ov ec".split())
BASIS = 0x1234567890ABCDEF
FAMILIES = 1 << 12
NAMES = 512
"""Slots of the table of JSON names: a hash, a role and a rank each."""
Columns = tuple[Ints, Ints, Floats, Ints]
"""
Per line: the spans of method, target, query and user; the hashes of the request and of the user, status and size (-1 where
not known), and of the path: a hash, its family, and 1 where the request may change something; time and milliseconds to the answer (-1).
Last the number of bad lines and their spans.
"""


def hashed(data: bytes, start: int, end: int, value: int) -> int:
    """62 bits of two FNV-like sums of 40 bits, none of which grows over 63 bits in between."""
    one, two = value & MASK, value >> 22
    for i in range(start, end):
        one = ((one ^ data[i]) * 5974207) & MASK
        two = ((two ^ data[i]) * 7368787) & MASK
    return (one >> 18) ^ (two << 22)


def family(data: bytes, start: int, end: int) -> int:
    """
    A number below FAMILIES, the same for most paths of one route: parts that are letters count by these, the others only by
    being there. It makes nothing but an estimate better.
    """
    value, part, is_word = 0, 0, True
    for i in range(start, end):
        if data[i] == SLASH:
            value = (value * 31 + (part if is_word else 1)) & MASK
            part, is_word = 0, True
        else:
            is_word = is_word and (97 <= (data[i] | 32) <= 122 or data[i] == UNDERSCORE)
            part = (part * 131 + data[i]) & MASK
    value = (value * 31 + (part if is_word else 1)) & MASK
    return (value ^ (value >> 17)) % FAMILIES


def digits(data: bytes, start: int, end: int) -> int:
    value = 0
    for i in range(start, end):
        if not 48 <= data[i] <= 57:
            return -1
        value = value * 10 + data[i] - 48
    return value if end > start else -1


def number(data: bytes, start: int, end: int) -> float:
    """A number that is not negative, also as 1.5e-05; -1 for anything else."""
    point = mark = end
    for i in range(end - 1, start, -1):
        if data[i] in (69, 101):
            mark = i
        elif data[i] == 46:
            point = i
    whole = digits(data, start, min(point, mark))
    part = digits(data, point + 1, min(mark, point + 16)) if point < mark else 0
    power = 0
    if mark < end:
        power = digits(data, mark + 1 + (data[mark + 1] in (43, 45)), end) * (
            -1 if data[mark + 1] == 45 else 1
        )
    if whole < 0 or part < 0:
        return -1.0
    return (whole + part / 10.0 ** max(0, min(mark, point + 16) - point - 1)) * 10.0**power


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
    if not (
        year >= 1970
        and 1 <= month <= 12
        and 1 <= day <= 31
        and 0 <= hour < 24
        and 0 <= minute < 60 > second >= 0
    ):
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


def take(data: bytes, spans: Ints, line: int, out: Columns) -> bool:
    """One line's spans to its columns; False when they say no request."""
    asked, whole, real, _ = out
    start, end = spans[2 * REQUEST], spans[2 * REQUEST + 1]
    if spans[2 * METHOD] < 0 and start >= 0:
        first, last = start, end - 1
        while first < end and data[first] != SPACE:
            first += 1
        while last > first and data[last] != SPACE:
            last -= 1
        spans[2 * METHOD], spans[2 * METHOD + 1] = start, first
        spans[2 * TARGET], spans[2 * TARGET + 1] = first + 1, last if last > first else end
    start, end = spans[2 * METHOD], spans[2 * METHOD + 1]
    now = moment(data, spans[2 * TIME], spans[2 * TIME + 1]) if spans[2 * TIME] >= 0 else -1.0
    if not (
        start >= 0 and 2 < end - start < 20 and 0 <= spans[2 * TARGET] < spans[2 * TARGET + 1] and now >= 0
    ):
        return False
    for i in range(start, end):
        if not 65 <= data[i] & 223 <= 90:
            return False
    took, cut = -1.0, spans[2 * TARGET]
    for role, factor in ((SECONDS, 1000.0), (MICROSECONDS, 0.001), (MILLISECONDS, 1.0)):
        if spans[2 * role] >= 0:
            took = max(took, number(data, spans[2 * role], spans[2 * role + 1]) * factor)
    for at, role in enumerate((METHOD, TARGET, QUERY, USER)):
        start, end = spans[2 * role], spans[2 * role + 1]
        asked[8 * line + 2 * at], asked[8 * line + 2 * at + 1] = start, end
    while cut < spans[2 * TARGET + 1] and data[cut] != MARK:
        cut += 1
    path = hashed(data, spans[2 * TARGET], cut, BASIS)
    request = hashed(data, cut, spans[2 * TARGET + 1], path)
    request = hashed(data, spans[2 * QUERY], spans[2 * QUERY + 1], request ^ QUERY)
    request = hashed(data, spans[2 * METHOD], spans[2 * METHOD + 1], request ^ METHOD)
    letter = data[spans[2 * METHOD]] & 223
    whole[5 * line], whole[5 * line + 1] = request, hashed(data, start, end, BASIS)
    whole[5 * line + 2] = digits(data, spans[2 * STATUS], spans[2 * STATUS + 1])
    whole[5 * line + 3] = digits(data, spans[2 * SIZE], spans[2 * SIZE + 1])
    path = path // FAMILIES * FAMILIES + family(data, spans[2 * TARGET], cut)
    whole[5 * line + 4] = 2 * (path & HALF) + (letter != LETTER_G and letter != LETTER_H)
    real[2 * line], real[2 * line + 1] = now, max(took, -1.0)
    return True


def text_fields(data: bytes, at: int, end: int, roles: Ints, stops: Ints, lengths: Ints, spans: Ints) -> bool:
    """The spans of a line of text: per field its role, and how many of `stops` end it; 0 for the rest of the line."""
    stop = 0
    for field in range(len(roles)):
        length, begin, role = lengths[field], at, roles[field]
        if length == 0:
            at = end
        quoted = length > 0 and stops[stop] == QUOTE
        while at < end:
            if data[at] == stops[stop]:
                same = 1
                while same < length and at + same < end and data[at + same] == stops[stop + same]:
                    same += 1
                if same == length:
                    break
            elif quoted and data[at] == BACKSLASH:
                at += 1
            at += 1
        if length > 0 and at >= end:
            return False
        if role == CLOCK:
            spans[1] = at
        elif at > begin and not (at == begin + 1 and data[begin] == DASH):
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


def json_fields(data: bytes, start: int, end: int, names: Ints, ranks: Ints, spans: Ints) -> bool:
    """
    The spans of a line that is one JSON object; an object in it called by a name of REQUEST is a part of it. Of several
    names for one role that of the lowest rank counts.
    """
    at, depth = start + 1, 1
    while at < end and data[start] == OPEN:
        if data[at] == CLOSE:
            depth -= 1
            if depth == 0:
                return True
        if data[at] != QUOTE:
            at += 1
            continue
        key, at = at + 1, after_string(data, at + 1, end)
        name = hashed(data, key, at - 1, BASIS)
        slot = name % NAMES
        while names[3 * slot + 1] >= 0 and names[3 * slot] != name:
            slot = (slot + 1) % NAMES
        role, rank = names[3 * slot + 1], names[3 * slot + 2]
        while at < end and (data[at] == COLON or data[at] == SPACE):
            at += 1
        if at >= end:
            return False
        begin, is_null = at, data[at] == LETTER_N
        if data[at] == OPEN and role == REQUEST and depth == 1:
            depth = 2
            at += 1
            continue
        if data[at] == OPEN or data[at] == OPEN_LIST:
            at = after_nested(data, at, end)
            continue
        if data[at] == QUOTE:
            begin, at = at + 1, after_string(data, at + 1, end)
            finish = at - 1
        else:
            while at < end and data[at] != COMMA and data[at] != CLOSE and data[at] != SPACE:
                at += 1
            finish = at
        is_empty = is_null or finish <= begin or (finish == begin + 1 and data[begin] == DASH)
        if role >= 0 and not is_empty and rank < ranks[role]:
            ranks[role] = rank
            spans[2 * role], spans[2 * role + 1] = begin, finish
    return False


def scan(
    data: bytes, roles: Ints, stops: Ints, lengths: Ints, names: Ints, out: Columns, spans: Ints, ranks: Ints
) -> int:
    """The lines of a block; how many could be read."""
    bad, start, lines = out[3], 0, 0
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
                ranks[i // 2] = 99
            if len(roles) > 0:
                found = text_fields(data, start, last, roles, stops, lengths, spans)
            else:
                found = json_fields(data, start, last, names, ranks, spans)
            if found and take(data, spans, lines, out):
                lines += 1
            else:
                bad[1 + 2 * bad[0]], bad[2 + 2 * bad[0]] = start, last
                bad[0] += 1
        start = end + 1
    return lines
