"""import-linter's contracts of our own: what a file's role may import, and what a domain may import of another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

PURE = ("model", "plan", "ports")
MODEL = {"eventd.kernel.model", "eventd.kernel.ports"}


def role(module: str) -> str:
    """Return the role of a module by its file's name (`model_file` -> model); empty: it has none."""
    parts = module.split(".")
    named = folder(module) not in ("", "kernel") and module != "eventd.platform.processes.process"
    return parts[-1].split("_")[0] if named else ""


def folder(module: str) -> str:
    """Return the folder of `eventd` that a module is in; empty: at the top, or not eventd's."""
    parts = module.split(".")
    return parts[1] if parts[0] == "eventd" and len(parts) > 2 else ""


class RoleContract(Contract):
    """Modules of `roles`, and those below `modules`, lead to none of `forbidden_roles` and `forbidden_modules`.

    Also not by way of others. Models, plans and ports may be imported wherever they are. `ignore_imports` (`a -> b`)
    are exceptions that are to go: one that no longer exists is an error.
    """

    type_name = "role"
    roles = fields.SetField(subfield=fields.StringField())
    modules = fields.SetField(subfield=fields.StringField(), required=False, default=set())
    forbidden_roles = fields.SetField(subfield=fields.StringField(), required=False, default=set())
    forbidden_modules = fields.SetField(subfield=fields.StringField(), required=False, default=set())
    ignore_imports = fields.SetField(subfield=fields.StringField(), required=False, default=set())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002
        """Look for chains."""
        sources = {m for m in graph.modules if role(m) in self.roles or _below(m, self.modules)}
        sources -= {
            m for m in sources if m.endswith(".domain")
        }  # the object that plugs a domain in: it names all of it
        targets = {m for m in graph.modules if role(m) in self.forbidden_roles}
        targets |= {m for m in graph.modules if _below(m, self.forbidden_modules)}
        targets -= sources | {m for m in graph.modules if role(m) in PURE or _below(m, MODEL)}
        stale = []
        for hole in sorted(self.ignore_imports):
            importer, _, imported = hole.partition(" -> ")
            if imported in graph.find_modules_directly_imported_by(importer):
                graph.remove_import(importer=importer, imported=imported)
            else:
                stale.append(hole)
        chains = []
        for source in sorted(sources):
            for target in sorted(graph.find_upstream_modules(source) & targets):
                chain = graph.find_shortest_chain(importer=source, imported=target) or ()
                chains.append(" -> ".join(chain))
        return ContractCheck(kept=not chains and not stale, metadata={"chains": chains, "stale": stale})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print what was found."""
        for chain in check.metadata["chains"]:
            output.print_error(chain)
        for hole in check.metadata["stale"]:
            output.print_error(f"ignore_imports has {hole}, which is no longer imported: remove it")


class DomainContract(Contract):
    """A domain (a folder of `eventd`) imports the kernel, the platform and what `allowed` names, all of which is used.

    `allowed`: `domain: other other`. The kernel imports no domain, and the platform only the kernel, except as named.
    """

    type_name = "domain"
    allowed = fields.ListField(subfield=fields.StringField())
    shared = fields.ListField(subfield=fields.StringField())
    """Folders that all may import; each is also imported by those after it."""

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002
        """Compare the direct imports with the list."""
        shared = list(self.shared)
        allowed: dict[str, set[str]] = defaultdict(set)
        for row in self.allowed:
            name, _, others = row.partition(":")
            allowed[name.strip()] = set(others.split())
        used: dict[str, set[str]] = defaultdict(set)
        wrong = []
        for importer in sorted(graph.modules):
            mine = folder(importer)
            if not mine:
                continue
            free = shared[: shared.index(mine)] if mine in shared else shared
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                other = folder(imported)
                if not other or other == mine or other in free:
                    continue
                used[mine].add(other)
                if other not in allowed[mine]:
                    wrong.append(f"{importer} -> {imported}")
        unused = [
            f"{name}: {other}"
            for name, others in sorted(allowed.items())
            for other in sorted(others - used[name])
        ]
        return ContractCheck(kept=not wrong and not unused, metadata={"wrong": wrong, "unused": unused})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print what was found."""
        for each in check.metadata["wrong"]:
            output.print_error(each)
        for each in check.metadata["unused"]:
            output.print_error(f"allowed has {each}, which is no longer imported: remove it")


def _below(module: str, packages: Iterable[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)
