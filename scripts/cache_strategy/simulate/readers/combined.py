"""
The combined and the common format of Apache, nginx and gunicorn, with a virtual host in front or not.

    127.0.0.1 - jane [10/Oct/2000:13:55:36 -0700] "GET /a?b=1 HTTP/1.1" 200 2326 "referrer" "agent" 0.012

Source:
    https://httpd.apache.org/docs/2.4/logs.html#combined, https://nginx.org/en/docs/http/ngx_http_log_module.html
"""

from cache_strategy.simulate.readers._base import Reader

_COMMON = '$a $b $remote_user [$time_local] "$request" $status $body_bytes_sent'
_COMBINED = f'{_COMMON} "$referer" "$agent"'
reader = Reader(__name__, formats=[f"$host {_COMBINED}", f"$host {_COMMON}", _COMBINED, _COMMON])
