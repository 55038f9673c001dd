"""Where an option of a workload is written: what a message names has to be a file that the workload can have.

Pure. In eventd's own layout it is `workload.toml`; a workload of quadlet-deploy's layout has no folder of its own, so
its options stand in the host's file; and what the host's file sets wins wherever else it is written.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OptionsPlace:
    """Made by `eventd.desired.model_assembly`, one a workload."""

    file: str = "workload.toml"
    prefix: str = ""
    """`workload.NAME` in the host's file."""
    host_file: str = ""
    host_prefix: str = ""
    by_host: frozenset[str] = frozenset()
    """Options that the host's file sets for this workload: `requires`, `health.deadline`."""

    def key(self, option: str) -> str:
        """Return an option with the place to write it, `health.deadline`: "deadline in [health] of FILE"."""
        section, _, key = option.rpartition(".")
        file, prefix = self.file, self.prefix
        if option in self.by_host:
            file, prefix = self.host_file, self.host_prefix
        table = ".".join(filter(None, (prefix, section)))
        return f"{key} in [{table}] of {file}" if table else f"{key} in {file}"


ANYWHERE = OptionsPlace()
"""Of a workload that is not known: the file's name alone."""
