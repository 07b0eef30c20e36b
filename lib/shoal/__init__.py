"""Shoal: nightly peer-outlier detection and drift on Spark and Delta Lake."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("shoal")
except PackageNotFoundError:  # imported from a zip shipped with --py-files: no metadata there
    __version__ = "0+unpackaged"
