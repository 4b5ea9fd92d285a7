"""What is recognised of each recorded file, and the golden file that says what it should be.

`python -m integrations.golden_files` (in `tests/`) writes them anew; read the difference before you commit it.
"""

import json
from pathlib import Path
from typing import Any

from muster_cli.manifests import read_documents
from muster_cli.recognised import recognised
from muster_integrations.recognition.offline import Picture

RECORDED = Path(__file__).parent / "manifests" / "recorded"
GOLDENS = Path(__file__).parent / "goldens"
NEVER_SEEN = ("sko-labels", "kfp-v2-pipeline-ir", "kpo-mapped-xcom", "project-job")
"""No objects; as no API server takes them; the same object as another file's."""


def recorded_files() -> list[Path]:
    """Return every recorded file."""
    return sorted(path for path in RECORDED.rglob("*") if path.is_file())


def files_of_a_cluster() -> list[Path]:
    """Return the recorded files whose objects an API server could show, each object once."""
    return [path for path in recorded_files() if not path.name.startswith(NEVER_SEEN)]


def golden_of(path: Path) -> Path:
    """Return where it stands what is recognised of a recorded file."""
    return (GOLDENS / path.relative_to(RECORDED)).with_suffix(".json")


def recognise(*paths: Path) -> dict[str, Any]:
    """Return what `muster recognise` prints as JSON."""
    return recognised(Picture(read_documents(paths)))


def write() -> None:
    """Write all golden files."""
    for path in recorded_files():
        golden = golden_of(path)
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(json.dumps(recognise(path), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write()
