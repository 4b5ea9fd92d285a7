"""Writes the page about phases from the table itself: `python -m muster_status.core.lifecycle > docs/lifecycle.md`.

A test compares the page with what this prints, so that it cannot tell of a table that no longer holds.
"""

import sys
from collections.abc import Iterator

from muster_contracts.phases import TERMINAL_PHASES, Phase

from muster_status.core.phase_table import CURRENT_TABLE, FIRST_PHASE, TABLES, Table
from muster_status.core.situation import MEANINGS, Situation

OPENING = """\
# The life of a workload

*Made from the phase table by `python -m muster_status.core.lifecycle`; do not edit it by hand.*

A workload is always in one of nine **phases**. After every event its facts come to one **situation**, and the table
below says which phase follows. A pair that is not in it changes nothing. The table is applied until it has nothing more
to say, and each step is recorded as one `PhaseChanged` that names the event that caused it, so a workload that is first
seen running still goes through Creating, Pending and Initializing in its history.
"""

PICTURE_OPENING = """\
## In a picture

What its pods do, and a stop. Beside this, every phase but the terminal ones can end in Completed, Failed or Deleting,
and those two in Deleting when somebody asks for it.
"""

CLOSING = """\
## What the table leaves out

* While a workload is stopping or starting again its phase stays; its message says so. Stopped begins when its last pod
  is gone.
* Fewer pods than desired are enough for elastic workloads: the minimum decides.
* A pod that fails and is tried again is no failure of the workload; what its object says is.
* An image that cannot be pulled keeps a workload in Initializing, with a message, until a limit fails it.
* What was completed and is then removed by Kubernetes stays Completed. What vanished while nobody was watching keeps
  its last phase, and is marked.
* Completed and Failed have one exit, Deleting. After Deleting comes no phase: the workload is gone.
"""


def page() -> str:
    """Return the whole page."""
    table = TABLES[CURRENT_TABLE]
    parts = (OPENING, _situations(), _transitions(table), PICTURE_OPENING + "\n" + _picture(table), CLOSING)
    return "\n".join(parts)


def _situations() -> str:
    rows = [f"| {situation} | {MEANINGS[situation]} |" for situation in Situation]
    return "\n".join(
        [
            "## Situations",
            "",
            "The first that is true counts.",
            "",
            "| situation | the workload |",
            "| --- | --- |",
            *rows,
            "",
        ]
    )


def _transitions(table: Table) -> str:
    phases = [phase for phase in Phase if any(source is phase for source, _ in table)]
    head = f"| | {' | '.join(phases)} |"
    rule = f"| --- |{' --- |' * len(phases)}"
    rows = [_row(table, situation, phases) for situation in Situation]
    opening = f"A workload begins in {FIRST_PHASE}. Deleting has no exit and so no column."
    return "\n".join([f"## Transitions (table {CURRENT_TABLE})", "", opening, "", head, rule, *rows, ""])


def _row(table: Table, situation: Situation, phases: list[Phase]) -> str:
    cells = [table.get((phase, situation)) for phase in phases]
    return f"| **{situation}** | {' | '.join(f'→ {cell}' if cell else '·' for cell in cells)} |"


def _picture(table: Table) -> str:
    lines = [
        "```mermaid",
        "stateDiagram-v2",
        f"    [*] --> {FIRST_PHASE}",
        *_arrows(table),
        "    Deleting --> [*]",
        "```",
        "",
    ]
    return "\n".join(lines)


def _arrows(table: Table) -> Iterator[str]:
    usual = {Phase.COMPLETED, Phase.FAILED, Phase.DELETING}
    arrows: dict[tuple[Phase, Phase], list[str]] = {}
    for (source, situation), target in table.items():
        if target not in usual:
            arrows.setdefault((source, target), []).append(situation)
    for (source, target), situations in arrows.items():
        yield f"    {source} --> {target}: {', '.join(situations)}"
    yield "    Running --> Completed: succeeded"
    yield "    Running --> Failed: failed"
    yield from (f"    {phase} --> Deleting: delete asked" for phase in sorted(TERMINAL_PHASES))


if __name__ == "__main__":
    sys.stdout.write(page())
