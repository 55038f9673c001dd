"""The services of a workload's compose files, parsed once for all users.

Pure. `eventd.compose.model_stack` reports errors in the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from eventd.compose.model_file import Stack, StackService, parse_stack, stack_files

if TYPE_CHECKING:
    from eventd.desired.model_content import Content


def stacks_of(content: Content) -> Iterator[tuple[str, Stack]]:
    """Yield each compose file's path in the repository and its content; nothing if the workload is not a stack."""
    beside = frozenset(part.name for part in content.stack)
    for name in stack_files(content.parts) if content.stack else ():
        file = content.parts[name].install
        yield file.origin, parse_stack(file.content, file.origin, beside)[0]


def services_of(content: Content) -> Iterator[tuple[str, StackService]]:
    """Yield the compose file's path and each service in it; nothing if the workload is not a stack."""
    for origin, stack in stacks_of(content):
        for service in stack.services:
            yield origin, service
