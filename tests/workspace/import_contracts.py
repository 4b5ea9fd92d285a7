"""The kind of import contract that import-linter lacks: a list of what may be imported, rather than of what may not.

A list of what is forbidden is true until somebody adds a library. `pyproject.toml` says to which packages this applies.
"""

import sys
from collections.abc import Iterator
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.domain.helpers import module_expressions_to_modules


class Allowed(Contract):
    """The modules import nothing but each other, the standard library and what is listed; only direct imports count.

    `modules`: packages or modules (wildcards allowed) with all below them. `allowed`: packages, modules or libraries
    with all below them. `libraries_are_free`: whether any library from outside the workspace may be imported as well.
    """

    type_name = "allowed"

    modules: Any = fields.ListField(subfield=fields.ModuleExpressionField())
    allowed: Any = fields.SetField(subfield=fields.StringField(), required=False, default=frozenset())
    libraries_are_free: Any = fields.BooleanField(required=False, default=False)
    broken_contract_guidance: Any = fields.TextField(required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """List every import that is not allowed, with its line."""
        sources = module_expressions_to_modules(graph, self.modules, as_packages=True)
        inside = {module.name for module in sources}
        found = [
            (source, imported, graph.get_import_details(importer=source, imported=imported)[0]["line_number"])
            for source in sorted(inside)
            for imported in sorted(graph.find_modules_directly_imported_by(source))
            if imported not in inside and not self._may_import(graph, imported)
        ]
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line per import, and what to do."""
        for source, imported, line in check.metadata["found"]:
            output.print_error(f"{source} imports {imported} (l.{line})", bold=False)
        if self.broken_contract_guidance:
            output.print_error(self.broken_contract_guidance, bold=False)

    def _may_import(self, graph: ImportGraph, imported: str) -> bool:
        if self.libraries_are_free and graph.is_module_squashed(imported):
            return True
        return any(name in sys.stdlib_module_names or name in self.allowed for name in _ancestry(imported))


def _ancestry(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts) + 1))
