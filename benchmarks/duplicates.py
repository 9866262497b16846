"""Count duplicate pictures in data sets, and those with contradictory labels.

``python benchmarks/duplicates.py MANIFEST...`` prints one row per manifest.
"""

import sys
from pathlib import Path

from mien.data.audit import audit, summary
from mien.data.sources import load_faces

HEAD = (
    "manifest",
    "faces",
    "byte-identical groups",
    "of different age",
    "of different gender",
    "near-identical groups",
)


def row(manifest: Path) -> tuple[str, ...]:
    """Return the cells of one data set."""
    found = audit(load_faces(manifest))
    identical, near = summary(found.identical), summary(found.near_identical)
    return (
        manifest.stem,
        f"{found.faces:,}",
        f"{identical['groups']:,} ({identical['faces']:,} faces)",
        f"{identical['age_conflicts']}",
        f"{identical['gender_conflicts']}",
        f"{near['groups']:,} ({near['faces']:,} faces)",
    )


def main() -> None:
    """Print the table."""
    print(f"| {' | '.join(HEAD)} |")
    print("|---|" + "---:|" * (len(HEAD) - 1))
    for manifest in sys.argv[1:]:
        print(f"| {' | '.join(row(Path(manifest)))} |")


if __name__ == "__main__":
    main()
