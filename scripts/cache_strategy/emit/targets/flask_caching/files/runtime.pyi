"""Where `.runtime` is for type checkers: emitted, both files lie in one folder."""

from cache_strategy.emit.targets.runtime.files.runtime import RESTORE as RESTORE
from cache_strategy.emit.targets.runtime.files.runtime import Cache as Cache
from cache_strategy.emit.targets.runtime.files.runtime import encode_key as encode_key
from cache_strategy.emit.targets.runtime.files.runtime import encode_value as encode_value
from cache_strategy.emit.targets.runtime.files.runtime import row_text as row_text
