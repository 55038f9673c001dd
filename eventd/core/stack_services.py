"""The services of a workload's compose files, read once for everybody who looks at them.

Pure. What is wrong with the files is `eventd.core.compose_stack`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from eventd.core.compose_file import Stack, StackService, parse_stack, stack_files

if TYPE_CHECKING:
    from eventd.core.content import Content


def services_of(content: Content) -> Iterator[tuple[str, StackService]]:
    """Yield the compose file (its place in the repository) and each service in it; nothing where it is no stack."""
    beside = frozenset(part.name for part in content.stack)
    for name in stack_files(content.parts) if content.stack else ():
        file = content.parts[name].install
        for service in _read(file.content, file.origin, beside).services:
            yield file.origin, service


@lru_cache(maxsize=8)
def _read(content: bytes, origin: str, beside: frozenset[str]) -> Stack:
    """Remembered for the few calls that one workload takes."""
    return parse_stack(content, origin, beside)[0]
