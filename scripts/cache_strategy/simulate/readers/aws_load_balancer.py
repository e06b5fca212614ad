"""
AWS Application Load Balancer.

Source:
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
"""

from cache_strategy.simulate.readers._base import Reader

reader = Reader(
    __name__,
    formats=[
        "$type $time_iso8601 $elb $client $target $wait $request_time $reply $status $target_status $received "
        '$bytes_sent "$request" "$agent"'
    ],
)
