"""The two classes that everything is handed, for annotations: at run time they would import each other in a circle."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cache_strategy.profile.analysis import Analysis as Analysis
    from cache_strategy.profile.evaluation import Frame as Frame
else:
    Analysis = Frame = object
