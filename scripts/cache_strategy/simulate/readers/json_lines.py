"""
One JSON object per line: Caddy, Cloudflare's Logpush, Traefik, and nginx, Apache or gunicorn with a JSON format.

The names of fields are those that these servers and their common recipes use; a nested `request` is Caddy's.
"""

from cache_strategy.simulate import scan
from cache_strategy.simulate.readers._base import Reader

NAMES = {
    scan.TIME: "ts msec time_iso8601 @timestamp timestamp time time_local start_time StartUTC EdgeStartTimestamp",
    scan.REQUEST: "request request_line",
    scan.METHOD: "method request_method verb RequestMethod ClientRequestMethod",
    scan.TARGET: "request_uri uri url path RequestPath ClientRequestURI",
    scan.QUERY: "args query_string query",
    scan.STATUS: "status status_code response_status DownstreamStatus EdgeResponseStatus",
    scan.SIZE: "size body_bytes_sent bytes_sent response_size bytes DownstreamContentSize EdgeResponseBytes",
    scan.SECONDS: "request_time duration request_time_s elapsed",
    scan.MILLISECONDS: "duration_ms response_time_ms latency_ms request_time_ms EdgeTimeToFirstByteMs",
    scan.USER: "user_id remote_user user",
}
reader = Reader(__name__, names=NAMES)
