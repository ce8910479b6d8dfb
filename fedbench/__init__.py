"""fedbench: a benchmark suite for federated multimodal learning.

A plugin imports all that it needs from here and, in its tests, from ``fedbench.testing``; every other module
may change. ``import fedbench`` is cheap: a name's module, which may import torch, is imported on first use.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
