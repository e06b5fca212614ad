"""Where `.runtime` is for type checkers: emitted, both files lie in one folder."""

from cache_strategy.emit.targets.runtime.files.runtime import Cache as Cache
from cache_strategy.emit.targets.runtime.files.runtime import Entry as Entry
from cache_strategy.emit.targets.runtime.files.runtime import Link as Link
from cache_strategy.emit.targets.runtime.files.runtime import Record as Record
from cache_strategy.emit.targets.runtime.files.runtime import Unavailable as Unavailable
