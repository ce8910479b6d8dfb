"""Fed-CMP (arXiv 2603.26786) as a fedbench plugin; the method itself is in ``fedcmp.py``."""

from fedbench_fedcmp.options import FedCMPOptions

__version__ = "0.1.0"

__all__ = ["FedCMPOptions", "__version__"]
