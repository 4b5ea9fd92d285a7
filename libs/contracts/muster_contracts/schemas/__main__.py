"""Write every schema and the AsyncAPI document beside this file, and remove those of types that are no more."""

from muster_contracts.schemas import FOLDER, documents, text_of


def main() -> None:
    """Make the folder equal to the models."""
    wanted = documents()
    for path in FOLDER.rglob("*.json"):
        if path.relative_to(FOLDER).as_posix() not in wanted:
            path.unlink()
    for name, document in wanted.items():
        (FOLDER / name).parent.mkdir(exist_ok=True)
        (FOLDER / name).write_text(text_of(document), encoding="utf-8")


if __name__ == "__main__":
    main()
