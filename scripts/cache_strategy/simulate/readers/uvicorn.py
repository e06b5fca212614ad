"""
Uvicorn, where its lines begin with a time, as `%(asctime)s` gives it; without one they cannot be put in order.

    2025-10-10 13:55:36,123 INFO: 10.0.0.1:5000 - "GET /a?b=1 HTTP/1.1" 200 OK
"""

from cache_strategy.simulate.readers._base import Reader

reader = Reader(
    __name__, formats=['$date $clock $a - "$request" $status $phrase', '$date $clock $a - "$request" $status']
)
