"""Tables as people read them: without a Spark session where delta-rs can, with one elsewhere."""

from shoal.lake.folder import FolderLake, folder_of
from shoal.lake.nights import (
    Night,
    fetch_published,
    find_night,
    published_nights,
    read_nights,
    require_published,
)
from shoal.lake.reader import Lake, Reader, rows_of

__all__ = [
    "FolderLake",
    "Lake",
    "Night",
    "Reader",
    "fetch_published",
    "find_night",
    "folder_of",
    "published_nights",
    "read_nights",
    "require_published",
    "rows_of",
]
