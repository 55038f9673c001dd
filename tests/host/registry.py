"""A registry on a test host (docker-registry), and images for it that are made on the host: one per tag and version.

An image of version `v2` says so: its container has `V=v2` in its environment. `health` is the check that it has.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.host.machine import Machine

ADDRESS = "127.0.0.1:5000"
CONFIG = f"""\
version: 0.1
storage:
  filesystem:
    rootdirectory: /var/lib/test-registry
http:
  addr: {ADDRESS}
"""
MAKE = """\
set -e
c=$(podman create localhost/busybox:1 true)
podman commit -q --change 'ENV V={version}' $c {reference} >/dev/null
podman rm $c >/dev/null
podman push -q {reference}
podman rmi {reference} >/dev/null
"""


class Registry:
    """One registry, and an account that pushes to it."""

    def __init__(self, machine: Machine) -> None:
        """Start it, and have every user of the host trust it."""
        self.machine = machine
        machine.write("/etc/test-registry.yml", CONFIG)
        machine.write(
            "/etc/containers/registries.conf.d/test.conf",
            f'[[registry]]\nlocation = "{ADDRESS}"\ninsecure = true\n',
        )
        machine.run("useradd -m pusher && loginctl enable-linger pusher")
        self.start()

    def start(self) -> None:
        """Start it, again after a reboot; one that runs goes on."""
        self.machine.run(
            "systemctl is-active --quiet test-registry ||"
            " systemd-run --quiet --unit=test-registry docker-registry serve /etc/test-registry.yml;"
            f" timeout 120 sh -c 'until curl -sf http://{ADDRESS}/v2/ >/dev/null; do sleep 0.1; done'"
        )

    def push(self, name: str, version: str) -> str:
        """Push a version under the tag `1` of a name; return the reference."""
        self.push_all({name: version})
        return f"{ADDRESS}/{name}:1"

    def push_all(self, versions: Mapping[str, str]) -> None:
        """Push a version of each name under its tag `1`, in one session of the account that pushes."""
        text = "".join(
            MAKE.format(version=version, reference=f"{ADDRESS}/{name}:1")
            for name, version in versions.items()
        )
        self.machine.write("/tmp/push.sh", text)
        self.machine.run("systemd-run --quiet --machine=pusher@.host --user --pipe --wait sh /tmp/push.sh")

    def forget(self, name: str) -> None:
        """Have the registry know nothing of a name."""
        self.machine.run(["rm", "-rf", f"/var/lib/test-registry/docker/registry/v2/repositories/{name}"])

    def stop(self) -> None:
        """Nobody answers any more."""
        self.machine.run(["systemctl", "stop", "test-registry.service"])
