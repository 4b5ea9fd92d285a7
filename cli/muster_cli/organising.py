"""Changing what the cluster is organised by: put a whole document over the one that was read, or remove it, and say so.

A document is sent with the version it was made from, so that of two people who change it at once the second is told.
Whoever changed something reads it from then on: the command waits until the queries know it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from muster_cli.failure import Exit, Failure
from muster_cli.output import Format, print_data, progress, say

Document = dict[str, Any]


def change(
    collection: str, name: str, *, new: Mapping[str, Any] | None, edit: Callable[[Document], Document], output: Format
) -> None:
    """Put what `edit` makes of the document as it is. One that is not there begins as `new`; None: it must be there.

    `collection` is the plural in the URL and, with underscores, in the answer.
    """
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings

    with Client(CommandLineSettings.read()) as client, progress(f"Changing {name} …"):
        present = _existing(client, collection, name) if new is None else _present(client, collection, name) or {**new}
        body = edit(present)
        answer = client.put(f"/{collection}/{name}", body, version=present.get("version"))
        client.settle(f"/{collection}", answer["position"])
    _tell(f"{_noun(collection)} {name} is {'changed' if 'version' in present else 'made'}.", {**body, **answer}, output)


def remove(collection: str, name: str, *, output: Format, consequence: str = "") -> None:
    """Remove a document that nobody names any more."""
    from muster_cli.client import Client
    from muster_cli.settings import CommandLineSettings

    with Client(CommandLineSettings.read()) as client, progress(f"Removing {name} …"):
        answer = client.delete(f"/{collection}/{name}")
        client.settle(f"/{collection}", answer["position"])
    _tell(f"{_noun(collection)} {name} is removed{consequence}.", answer, output)


def _existing(client: Any, collection: str, name: str) -> Document:
    try:
        found: Document = client.get(f"/{collection}/{name}")
    except Failure as failure:
        if failure.code is Exit.NOT_FOUND:
            failure.next_step = f"Create it with `muster {collection.removesuffix('s')} create {name}`."
        raise
    return found


def _present(client: Any, collection: str, name: str) -> Document | None:
    known: list[Document] = client.get(f"/{collection}")[collection.replace("-", "_")]
    return next((document for document in known if document["name"] == name), None)


def _noun(collection: str) -> str:
    return collection.removesuffix("s").replace("-", " ").capitalize()


def _tell(sentence: str, data: Mapping[str, Any], output: Format) -> None:
    if output is Format.TABLE:
        say(sentence)
    else:
        print_data(dict(data), output)
