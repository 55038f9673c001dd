"""docs/how-to/install.md, run as it is written on a fresh host, from the first command to the removal.

What takes the network (apt, pip) is not run: the layers under the host did the same. The editor is a sed.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.host import outer
from tests.host.conftest import MakeMachine
from tests.host.machine import Machine

GUIDE = Path(outer.CHECKOUT) / "docs/how-to/install.md"
QUADLET = """\
[Container]
Image=localhost/busybox:1
Exec=sleep infinity
ContainerName=web
Pull=never
StopTimeout=1
"""


def blocks() -> list[tuple[str, str]]:
    """Return the heading and the text of each block of plain `sh`."""
    found = []
    for section in re.split(r"^## ", GUIDE.read_text(), flags=re.MULTILINE)[1:]:
        heading = section.partition("\n")[0]
        found += [
            (heading, text) for text in re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        ]
    return found


@pytest.mark.timeout(900, method="signal", func_only=True)
def test_the_guide_leads_to_a_converged_host_and_back(fresh_machine: MakeMachine) -> None:
    """Following the guide, a pushed Quadlet runs; after its last section eventd is gone, and it runs on."""
    machine = fresh_machine()
    # The layer has the folder over / and the links already: undo that, to see the guide do it.
    machine.copy_in(Path(outer.CHECKOUT) / "systemd", "/srv/checkout/systemd")
    machine.run("cd /srv/checkout/systemd; find . -type f | (cd /; xargs rm)")
    machine.run("rm -r /usr/bin/event* /etc/eventd")
    machine.run("groupdel eventd-managed; userdel eventd-git; systemctl daemon-reload")
    machine.run("git init -q --bare -b main /srv/hosts.git && git init -q -b main /srv/work")
    machine.write("/srv/work/workloads/web/web.container", QUADLET)
    machine.run("cd /srv/work; git add -A; git -c user.name=a -c user.email=a@b commit -qm 1")
    machine.run("cd /srv/work; git push -q ../hosts.git main")
    editor = {"EDITOR": "sed -i 's#^url = .*#url = \"/srv/hosts.git\"#'", "HOME": "/root"}
    before = machine.run("stat -c '%a %n' / /usr /usr/bin /etc /usr/lib/systemd/system").stdout
    for heading, text in blocks():
        if heading == "Remove":
            _converged(machine)
            assert (
                machine.run("stat -c '%a %n' / /usr /usr/bin /etc /usr/lib/systemd/system").stdout == before
            )
            _deliver(machine)
        machine.run(f"set -e\n{text}".replace("${EDITOR:-vi}", editor["EDITOR"]), cwd="/srv/checkout")
    assert machine.run(["podman", "ps", "--format", "{{.Names}}"], user="web").stdout == "web\n"
    assert not machine.exists("/usr/bin/eventd")
    assert not machine.exists("/usr/lib/systemd/system/eventd.service")
    assert machine.run(["systemctl", "is-active", "eventd.service"], check=False).stdout.strip() == "inactive"


def _converged(machine: Machine) -> None:
    machine.run(["eventctl", "sync", "--wait"], timeout=300)
    assert machine.run(["podman", "ps", "--format", "{{.Names}}"], user="web").stdout == "web\n"


def _deliver(machine: Machine) -> None:
    """The listener, which is nobody, passes on what is signed with the guide's secret, and nothing else."""
    script = """
    zeros=00000000000000000000000000000000000000
    body='{"ref":"refs/heads/main","before":"01'$zeros'","after":"02'$zeros'",'
    body=$body'"repository":{"full_name":"team/hosts"}}'
    key=$(cat /etc/credstore/eventd-webhook.secret)
    good=$(printf %s "$body" | openssl dgst -sha256 -hmac "$key" -r | cut -d" " -f1)
    for signature in "$good" "${good%????}0000"; do
        curl -sS -o /dev/null -w '%{http_code} ' -d "$body" -H 'Content-Type: application/json' \\
            -H 'X-Forgejo-Event: push' -H "X-Forgejo-Delivery: d-$signature" \\
            -H "X-Forgejo-Signature: $signature" \\
            http://127.0.0.1:8787/hooks/forge
    done
    """
    accepted, refused = machine.run(script).stdout.split()
    assert (accepted[0], refused[0]) == ("2", "4"), machine.journal("eventd-webhook.service")
    deadline = time.monotonic() + 240
    while "webhook" not in machine.run(["eventctl", "events"]).stdout:
        assert time.monotonic() < deadline, machine.journal("eventd-webhook.service")
        time.sleep(0.1)
    user = machine.show("eventd-webhook.service", "User", "DynamicUser")
    assert user == {"User": "eventd-listener", "DynamicUser": "yes"}
