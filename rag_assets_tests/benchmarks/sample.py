"""Real documents from ../shared/scale.tar.xz: as many as are wanted, spread evenly over it, and no more unpacked."""

import csv
import tarfile
from pathlib import Path

SHARED = Path(__file__).parents[3] / "shared"
ARCHIVE = SHARED / "scale.tar.xz"
MANIFEST = SHARED / "scale-manifest.csv"
FOLDER = "scale/"  # of the archive, before the manifest's paths
LARGEST_BYTES = 100_000  # of one document: a few huge ones would be most of a small sample


class NoSample(Exception):
    """There is nothing to measure with."""


def unpack(folder: Path, *, documents: int) -> list[Path]:
    """So many documents as files below `folder`, in an order that mixes their sources; fewer if there are no more."""
    wanted = {f"{FOLDER}{path}" for path in _chosen(documents)}
    found: list[Path] = []
    with tarfile.open(ARCHIVE, "r|xz") as archive:
        for member in archive:
            if member.name in wanted:
                archive.extract(member, folder, filter="data")
                found.append(folder / member.name)
                if len(found) == len(wanted):
                    break
    steps = max(1, len(found) // 97)
    return [path for start in range(steps) for path in found[start::steps]]


def _chosen(documents: int) -> list[str]:
    if not (ARCHIVE.is_file() and MANIFEST.is_file()):
        raise NoSample(f"skipped: there is no {ARCHIVE.name} with {MANIFEST.name} in {SHARED}")
    with MANIFEST.open(encoding="utf-8", newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file) if 0 < int(row["bytes"]) <= LARGEST_BYTES]
    if documents >= len(paths):
        return paths
    return [paths[index * len(paths) // documents] for index in range(documents)]
