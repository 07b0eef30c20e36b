"""Shoal: nightly peer-outlier detection and drift on Spark and Delta Lake."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.kernels.detector import PeerOutlierDetector

__all__ = ["PeerOutlierDetector", "__version__"]

try:
    __version__ = version("shoal")
except PackageNotFoundError:  # imported from a zip shipped with --py-files: no metadata there
    __version__ = "0+unpackaged"


def __getattr__(name: str) -> Any:
    # Every command imports this package, and few need scikit-learn, which takes a second to load.
    if name == "PeerOutlierDetector":
        from shoal.kernels.detector import PeerOutlierDetector

        return PeerOutlierDetector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
