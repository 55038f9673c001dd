"""The host's own generator as a check: podman's, as it is installed there."""

from tests.host.machine import Machine

SCRIPT = """\
import asyncio, sys
from eventd.unitfiles.adapter_quadlet_generator import HostQuadletGenerator
print(*asyncio.run(HostQuadletGenerator().dry_run({"a.container": sys.stdin.buffer.read()})), sep="\\n")
"""
GOOD = "[Container]\nImage=docker.io/library/busybox:1\n"


def test_the_real_generator_is_understood(machine: Machine) -> None:
    """It accepts what is right, and its complaint about a wrong key comes through with the key's name."""
    ask = ["/opt/eventd/bin/python", "-c", SCRIPT]
    assert machine.run(ask, input=GOOD).stdout.strip() == ""
    assert "Foo" in machine.run(ask, input=GOOD + "Foo=1\n").stdout
