"""Phases as people type them: in any case, and offered by the shell."""

from muster_contracts.phases import Phase

from muster_cli.failure import Exit, Failure


def phase_named(text: str) -> Phase:
    """Read a phase. Raises Failure, with all there are, when it is none."""
    for phase in Phase:
        if phase.lower() == text.lower():
            return phase
    *others, last = Phase
    raise Failure(Exit.INVALID, f"{text!r} is not a phase; the phases are {', '.join(others)} and {last}.")


def phase_names(incomplete: str) -> list[str]:
    """Return the phases that begin like this."""
    return [phase.value for phase in Phase if phase.lower().startswith(incomplete.lower())]
