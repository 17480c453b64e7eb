"""Data before training: ``leptonc.data``, loaded when first asked for.

Wants the extra: ``pip install leptonc[data]`` (cleanvision, cleanlab, Pillow, polars, grain), each part of it where it is used;
raises ImportError without.

    report                                          what is wrong with a folder of pictures, arrays or a table
    clean                                           the same data without what was agreed to, and a log of it
    image_dataset, table_dataset, text_dataset      grain datasets, which Keras's ``fit`` takes
    random_flip, RandomShift, RandomBrightness      what they may do to pictures
"""

from leptonc.data.agreement import Cleaned
from leptonc.data.augmentation import RandomBrightness, RandomShift, random_flip
from leptonc.data.cleaning import clean
from leptonc.data.reporting import report
from leptonc.data.results import Report
from leptonc.public import members as _members
from leptonc.public import publish as _publish

_LATER = {
    **_members("leptonc.data.image_loading", "image_dataset"),
    **_members("leptonc.data.table_loading", "table_dataset"),
    **_members("leptonc.data.text_loading", "text_dataset"),
}

__all__ = ["report", "clean", "Report", "Cleaned", "image_dataset", "table_dataset", "text_dataset",
           "random_flip", "RandomShift", "RandomBrightness"]

_publish(globals(), [name for name in __all__ if name not in _LATER], later=_LATER)
