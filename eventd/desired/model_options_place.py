"""Where to write an option of a workload, so that messages name a file that the workload can have.

Pure. In eventd's own layout that is `workload.toml`. A workload of quadlet-deploy's layout has no folder of its own, so
its options are in the host's file. An option that the host's file sets wins over both.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OptionsPlace:
    """One per workload, made by `eventd.desired.model_assembly`."""

    file: str = "workload.toml"
    prefix: str = ""
    """`workload.NAME` in the host's file."""
    host_file: str = ""
    host_prefix: str = ""
    by_host: frozenset[str] = frozenset()
    """Options that the host's file sets for this workload: `requires`, `health.deadline`."""

    def key(self, option: str) -> str:
        """Return where to write an option; for `health.deadline`: "deadline in [health] of FILE"."""
        section, _, key = option.rpartition(".")
        file, prefix = self.file, self.prefix
        if option in self.by_host:
            file, prefix = self.host_file, self.host_prefix
        table = ".".join(filter(None, (prefix, section)))
        return f"{key} in [{table}] of {file}" if table else f"{key} in {file}"


ANYWHERE = OptionsPlace()
"""For a workload that is not known: only the name of the file."""
