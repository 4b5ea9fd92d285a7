"""Measures what Muster does per second, and what the same machine does without Muster in the same minute.

`python -m benchmarks` runs everything. One file per benchmark; each has something of ours and a *ceiling*, the bare
work nobody can save (the same server, the same HTTP stack, the same bytes). `harness` runs the two in turns, because a
machine is never twice as quiet, `report` shows what came of it. docs/performance.md explains the figures, and shows
those of the last whole run.

Everything starts its own servers on free ports and in temporary folders; nothing else may run beside it.
"""
