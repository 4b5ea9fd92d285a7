"""What crosses a boundary in Muster: events, commands, phases, subjects, wire."""
