"""Accounts that a killed useradd left half made, on a real host: they are finished, and can run a user manager."""

import pytest

from tests.host.machine import Machine

COMPLETE = """\
import asyncio, sys
from eventd.accounts.adapter import SystemAccounts
async def main():
    accounts = SystemAccounts()
    account = await accounts.lookup(sys.argv[1])
    print((await accounts.complete(account, timeout=120)).subuid)
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("nohome", "rm -r /home/nohome"),
        ("rootshome", "rm -r /home/rootshome && mkdir -m 0700 /home/rootshome"),
        ("noskel", "rm -r /home/noskel/.config"),
        ("noids", "sed -i /^noids:/d /etc/subuid /etc/subgid"),
        ("norows", "sed -i /^norows:/d /etc/shadow /etc/gshadow /etc/group && rm -r /home/norows"),
    ],
)
def test_what_a_killed_useradd_left_out_is_made_up_for(machine: Machine, name: str, damage: str) -> None:
    """Home with the content of /etc/skel, subordinate ids, rows of group and shadow: and PAM takes the account."""
    machine.run(f"useradd --create-home --user-group --shell /usr/sbin/nologin {name} && {damage}")
    machine.run(["/opt/eventd/bin/python", "-c", COMPLETE, name])
    home = machine.stat(f"/home/{name}")
    config = machine.stat(f"/home/{name}/.config/containers/storage.conf")
    uid = int(machine.run(["id", "-u", name]).stdout)
    assert home is not None
    assert config is not None
    assert (home["uid"], home["mode"] & 0o777, config["uid"]) == (uid, 0o700, uid)
    assert (
        machine.run(["grep", "-c", f"^{name}:", "/etc/subuid", "/etc/shadow", "/etc/group"]).stdout.count(
            ":1"
        )
        == 3
    )
    machine.run(["systemctl", "start", f"user@{uid}.service"])
