"""
AWS CloudFront, standard logs: fields between tabulators, time in UTC, date and time apart.

Source:
    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
"""

from cache_strategy.simulate.readers._base import Reader

_FIELDS = (
    "date clock edge bytes_sent client request_method host uri status referer agent args cookie result id "
    "host_header protocol received request_time rest"
)
reader = Reader(__name__, formats=["\t".join(f"${name}" for name in _FIELDS.split())])
