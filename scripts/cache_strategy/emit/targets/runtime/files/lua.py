"""
What runs inside Redis.

Why an old value is never stored as a new one: every table, row and tag has a version in Redis, the microsecond of its
last invalidation. A reader notes the versions before it computes (NOTE_SCRIPT), and its value is good only while they
stay the same; an invalidation gives new ones (BUMP_SCRIPT).
"""

from __future__ import annotations

# Begins every script. The time is Redis' own, so the clocks of the machines need not agree; what is no version is
# overwritten.
PRELUDE = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function get(key) return redis.call('MGET', key)[1] end  -- nil for other types, too
local function put(key, version, ms) redis.call('SET', key, string.format('%.0f', version), 'PX', ms) end
"""

# What a reader does before it computes, in two steps that are one script where they may be.

# KEYS: the latest version of all, versions, so many. ARGV: ms a version lives, "1" to let those live longer that are
# there. A missing version becomes the latest of all: whatever Redis may have forgotten about the tag was no later.
VERSIONS = """
local seen = redis.call('MGET', unpack(KEYS))
local latest = tonumber(seen[1]) or now
for i = 1, count do
  if not (seen[i] and string.match(seen[i], '^%d+$')) then
    seen[i] = string.format('%.0f', latest)
    redis.call('SET', KEYS[i], seen[i], 'PX', ARGV[1])
  elseif ARGV[2] == '1' then
    redis.call('PEXPIRE', KEYS[i], ARGV[1])
  end
end
local under = table.concat(seen, ',', 2, count)
"""

# Uses: the value and its key, a token for the lock, ms the lock lives, when the value was stored that the caller knows.
# Gives a good value that was stored later, and 1 if the lock was taken. There is one lock for each state of the
# versions: what is computed under others is outdated, and nobody waits for it.
CLAIM = """
local locked = 0
local stored, at = string.match(value or '', '^c1 %S+ %d+ (%d+) %d+ %d+ (%S+)')
if at ~= under or tonumber(stored) <= tonumber(known) then
  value = false
  local lock = value_key .. ':' .. under
  if redis.call('SET', lock, token, 'NX', 'PX', lives) or get(lock) == token then locked = 1 end
end
"""

VERSIONS_SCRIPT = f"local count = #KEYS{VERSIONS}return {{now, false, 0, under}}"
NOTE_SCRIPT = f"""
local count = #KEYS - 1
local value_key, token, lives, known = KEYS[count + 1], ARGV[3], ARGV[4], ARGV[5]
{VERSIONS}
local value = seen[count + 1]
{CLAIM}return {{now, value, locked, under}}
"""
CLAIM_SCRIPT = f"""
local value_key, token, lives, known, under = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local value = get(value_key)
{CLAIM}return {{value, locked}}
"""

# KEYS: lock. ARGV: its token. For who has nothing to store; another may have taken the lock after its time.
RELEASE_SCRIPT = "if get(KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end\nreturn 1"

# KEYS: the latest version of all, versions... ARGV: ms a version lives, microseconds to hold the first versions, how many
# these are, the hold to end, a channel, the tags as JSON to announce there. Versions grow; a hold puts one into the future
# before a commit, and its end brings it back to now, or to the end of the last other hold. What is computed under a version
# in the future is not stored.
BUMP_SCRIPT = """
local latest = tonumber(get(KEYS[1])) or 0
local until_us, name = now + ARGV[2], string.format('%.0f', now + ARGV[2])
for i = 2, #KEYS do
  local old = tonumber(get(KEYS[i])) or 0
  local new, holds = now, KEYS[i] .. ':holds'
  if ARGV[4] ~= '0' and redis.pcall('ZREM', holds, ARGV[4]) == 1 then
    redis.call('ZREMRANGEBYSCORE', holds, '-inf', now)
    new, old = tonumber(redis.call('ZRANGE', holds, -1, -1)[1]) or now, latest
  elseif old > now + 86400000000 then
    old = latest
  end
  if until_us > now and i <= ARGV[3] + 1 then
    new = until_us
    redis.pcall('ZADD', holds, name, name)
    redis.call('PEXPIRE', holds, ARGV[1])
  end
  new = math.max(new, old + 1)
  put(KEYS[i], new, ARGV[1])
  latest = math.max(latest, math.min(new, now + 1))
end
put(KEYS[1], latest, ARGV[1])
redis.pcall('PUBLISH', ARGV[5], ARGV[6])
return until_us
"""

# KEYS: the remembered server, the version of everything, the latest version of all. ARGV: ms to remember it. A server
# that restarted or took over may hold versions from before invalidations it never saw: all that is stored is invalid.
GREET_SCRIPT = """
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if server and get(KEYS[1]) ~= server then
  redis.call('SET', KEYS[1], server, 'PX', ARGV[1])
  put(KEYS[2], math.max(now, (tonumber(get(KEYS[2])) or 0) + 1), ARGV[1])
  redis.call('DEL', KEYS[3])
end
return now
"""
