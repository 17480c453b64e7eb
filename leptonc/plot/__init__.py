"""Pictures of training and of models: ``leptonc.plot``, loaded when first asked for.

Each function returns a matplotlib Figure, which a notebook shows as it is and ``path=`` writes to a file (its ending says which
kind: .png, .pdf, .svg). Where pyplot is loaded and has windows, figures are pyplot's, and ``plt.show()`` shows them; no backend of
matplotlib is chosen for anybody. Wants the extra: ``pip install leptonc[plot]``; raises ImportError without matplotlib.

    history, predictions, confusion_matrix             take results: numbers and arrays, of whatever made them
    filters, feature_maps, saliency, grad_cam, graph   take a Keras model; the gradients are leptonc's, so its backend is as well

Pictures may be grey or RGB, u8 in 0..255 or floats in 0..1 (or any range, which is stretched), one or a batch; what is not finite
in them is magenta. Labels may be class numbers, one-hot rows or probabilities.
"""

from leptonc.plot.attribution import grad_cam, saliency
from leptonc.plot.curves import history
from leptonc.plot.layers import feature_maps, filters
from leptonc.plot.modelgraph import graph
from leptonc.plot.results import confusion_matrix, predictions
from leptonc.public import publish as _publish

__all__ = ["history", "predictions", "confusion_matrix", "filters", "feature_maps", "saliency", "grad_cam", "graph"]

_publish(globals(), __all__)
