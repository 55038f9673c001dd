"""The checks of `eventctl doctor`: what a host needs so that eventd can work, as functions over a `Probe`.

A check tells what it found and, if that will not do, what to do about it. It never changes anything, and what
this account may not see is said to be unseen, not to be missing. Next: `commands` shows them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from eventd.api import model_sockets as sockets
from eventd.approvals.model import NAMESPACE
from eventd.doctor import commands_checks_installed as doctor_installed
from eventd.doctor.commands_subject import Check, Subject, bad, good
from eventd.kernel.model.errors import EventdError

if TYPE_CHECKING:
    from eventd.doctor.adapter_host import Probe


UNIT_GENERATOR = "/usr/lib/systemd/user-generators/eventd-user-generator"
SYSTEMD, PODMAN, GIT = (254, 0), (4, 6), (2, 34)
"""Oldest versions, as docs/how-to/install.md has them; git: commits signed with SSH keys."""
NEWER_PODMAN = ((".pod files and Notify=healthy", (5, 0), "5.0"), ("compose stacks", (4, 7), "4.7"))
"""What the oldest podman has not, and since when there is it."""
OVERLAY = (5, 13)
"""The kernel that lets a rootless user mount overlayfs."""
_SUBORDINATE = 65536


def systemd(it: Subject) -> Check:
    """Init is systemd (sd_booted(3)), and recent enough."""
    if it.probe.place("/run/systemd/system") is None:
        return bad("systemd", "this host was not booted with systemd", "eventd needs a systemd host")
    return _version(it, "systemd", "systemctl", SYSTEMD, "upgrade the distribution")


def cgroups(it: Subject) -> Check:
    """The unified hierarchy: podman's rootless limits and systemd's delegation need it."""
    if it.probe.place("/sys/fs/cgroup/cgroup.controllers") is not None:
        return good("cgroup v2", "the unified hierarchy is mounted")
    hint = "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line"
    return bad("cgroup v2", "the unified hierarchy is not mounted at /sys/fs/cgroup", hint)


def dbus(it: Subject) -> Check:
    """The system bus is there."""
    if it.probe.place("/run/dbus/system_bus_socket") is not None:
        return good("system bus", "/run/dbus/system_bus_socket is there")
    return bad("system bus", "no system bus", "apt install dbus, then systemctl start dbus.socket")


def logind(it: Subject) -> Check:
    """The manager of logins runs: it keeps users lingering, and tells of sessions and shutdowns."""
    if it.probe.output("systemctl", "is-active", "systemd-logind.service") == "active":
        return good("logind", "it runs")
    hint = "apt install libpam-systemd, then systemctl start systemd-logind"
    return bad("logind", "systemd-logind does not run", hint)


def linger(it: Subject) -> Check:
    """The folder of lingering users is one; logind makes it for the first."""
    place = it.probe.place(it.linger)
    if place is None:
        return good("lingering", f"no user lingers yet ({it.linger} is made for the first one)")
    if place.folder:
        return good("lingering", it.linger)
    return bad("lingering", f"{it.linger} is not a folder", "move it away; logind makes the folder")


def user_bus(it: Subject) -> Check:
    """Each user's manager starts a bus of its own: eventd speaks with the manager over it."""
    folders = ("/usr/lib/systemd/user", "/etc/systemd/user", "/lib/systemd/user")
    if any(it.probe.place(f"{folder}/dbus.socket") is not None for folder in folders):
        return good("user bus", "user managers have dbus.socket")
    hint = "apt install dbus-user-session, then restart the managers of users that run already"
    return bad("user bus", "user managers have no dbus.socket", hint)


def podman(it: Subject) -> Check:
    """The podman that is there knows Quadlet files by uid."""
    found = _version(it, "podman", "podman", PODMAN, "install a newer podman (Debian 13 has 5.4)")
    version = _numbers(found.message) if found.ok else None
    needs = [f"{what} need {dotted}" for what, oldest, dotted in NEWER_PODMAN if version and version < oldest]
    return good("podman", "; ".join([found.message, *needs])) if needs else found


def generator(it: Subject) -> Check:
    """The user generator of podman makes units out of Quadlet files; eventd asks it about each revision."""
    place = it.probe.place(it.generator)
    if place is not None and place.executable:
        return good("quadlet generator", it.generator)
    hint = "it comes with podman; if it is elsewhere, set paths.generator in eventd.toml"
    return bad("quadlet generator", f"{it.generator} is not there", hint)


def unit_generator(it: Subject) -> Check:
    """The user generator of eventd itself, for companion units (.timer, .service, …)."""
    place = it.probe.place(UNIT_GENERATOR)
    if place is not None and place.executable:
        return good("unit generator", UNIT_GENERATOR)
    hint = "install it with eventd's units (docs/how-to/install.md); Quadlet files work without it"
    return bad("unit generator", f"{UNIT_GENERATOR} is not there", hint)


def uidmap(it: Subject) -> Check:
    """The tools newuidmap and newgidmap may map subordinate ids: setuid, or with file capabilities."""
    weak = []
    for name in ("newuidmap", "newgidmap"):
        path = it.probe.command(name)
        if path is None:
            return bad("uidmap", f"{name} is not installed", "apt install uidmap")
        place = it.probe.place(path)
        if not ((place is not None and place.mode & 0o4000) or it.probe.capable(path)):
            weak.append(path)
    if weak:
        hint = f"apt install --reinstall uidmap, or chmod u+s {' '.join(weak)}"
        return bad("uidmap", f"neither setuid nor with capabilities: {', '.join(weak)}", hint)
    return good("uidmap", "newuidmap and newgidmap may map ids")


def subordinate_ids(it: Subject) -> Check:
    """New accounts get ranges in /etc/subuid and /etc/subgid (login.defs(5))."""
    for name, key in (("subuid", "SUB_UID_COUNT"), ("subgid", "SUB_GID_COUNT")):
        if it.probe.place(f"/etc/{name}") is None:
            return bad("subordinate ids", f"there is no /etc/{name}", f"touch /etc/{name}")
        said = re.search(rf"^\s*{key}\s+(\d+)", it.probe.read("/etc/login.defs") or "", re.MULTILINE)
        if said and int(said[1]) < _SUBORDINATE:
            hint = f"set {key} {_SUBORDINATE} in /etc/login.defs"
            return bad("subordinate ids", f"{key} is {said[1]}: containers need {_SUBORDINATE}", hint)
    return good("subordinate ids", "/etc/subuid and /etc/subgid are there")


def user_namespaces(it: Subject) -> Check:
    """Unprivileged user namespaces are not switched off (user_namespaces(7))."""
    for key in ("user.max_user_namespaces", "kernel.unprivileged_userns_clone"):
        said = it.probe.read(f"/proc/sys/{key.replace('.', '/', 1)}")
        if said is not None and said.strip() == "0":
            value = "28633" if key.startswith("user.") else "1"
            hint = f"sysctl -w {key}={value}, and the same in /etc/sysctl.d/"
            return bad("user namespaces", f"{key} is 0: there are no rootless containers", hint)
    return good("user namespaces", "allowed")


def storage(it: Subject) -> Check:
    """There is overlayfs, by the kernel or by fuse; without, images are copied whole."""
    release = (it.probe.read("/proc/sys/kernel/osrelease") or "").strip()
    if (_numbers(release) or (0, 0)) >= OVERLAY:
        return good("overlay storage", f"kernel {release} mounts overlayfs for rootless users")
    if it.probe.command("fuse-overlayfs") is not None and it.probe.place("/dev/fuse") is not None:
        return good("overlay storage", "fuse-overlayfs")
    hint = "apt install fuse-overlayfs, or a kernel from 5.13 on"
    return bad("overlay storage", "neither overlayfs for rootless users nor fuse-overlayfs", hint)


def network(it: Subject) -> Check:
    """A rootless container reaches the network through pasta or slirp4netns."""
    for name in ("pasta", "slirp4netns"):
        if it.probe.command(name) is not None:
            return good("rootless network", name)
    hint = "apt install passt (podman 5) or slirp4netns (podman 4)"
    return bad("rootless network", "neither pasta nor slirp4netns is installed", hint)


def git(it: Subject) -> Check:
    """The git that is there can verify SSH signatures."""
    return _version(it, "git", "git", GIT, "apt install git")


def ssh_keygen(it: Subject) -> Check:
    """Signatures of commits and approvals are verified with ssh-keygen."""
    if (path := it.probe.command("ssh-keygen")) is not None:
        return good("ssh-keygen", path)
    return bad("ssh-keygen", "ssh-keygen is not installed", "apt install openssh-client")


def rsync(it: Subject) -> Check:
    """Moving a volume to another disk takes rsync; nothing else does, so a host may do without."""
    if (path := it.probe.command("rsync")) is not None:
        return good("rsync", path)
    return good("rsync", "not installed; eventctl storage migrate needs it (apt install rsync)")


def accounts(it: Subject) -> Check:
    """The accounts that run git and the Quadlet checks, and the group that may ask the daemon."""
    wanted = (it.git_account, it.check_account)
    missing = [f"the account {name}" for name in wanted if name and not it.probe.user(name)]
    if not it.probe.group(it.group):
        missing.append(f"the group {it.group}")
    if missing:
        hint = "systemd-sysusers makes them, once eventd's sysusers.d file is installed"
        return bad("accounts", f"there is not: {', '.join(missing)}", hint)
    return good("accounts", f"{it.git_account or 'no git account'}, group {it.group}")


def socket(it: Subject) -> Check:
    """The daemon's socket is root's and open to everybody: the kernel tells the daemon who asks."""
    place = it.probe.place(it.socket)
    if place is None:
        return good("socket", f"{it.socket} is not there (or not visible): eventd makes it")
    said = f"{it.socket} is {place.owner}:{place.group} {place.mode:04o}"
    if place.owner != "root":
        return bad("socket", f"{said}: it is not root's", "systemctl restart eventd makes it anew")
    if place.mode & 0o666 != 0o666:
        why = f"{said}: not everybody can ask, so `eventctl` fails for operators and workloads"
        return bad("socket", why, "systemctl restart eventd makes it anew, with mode 0666")
    operators = it.probe.place(sockets.beside(it.socket, sockets.OPERATORS))
    if operators is not None and it.probe.group(it.group) and operators.group != it.group:
        why = f"{sockets.OPERATORS} is not the group {it.group}'s: it was made after eventd had started"
        return bad("socket", why, "systemctl restart eventd makes the socket anew")
    return good("socket", f"{said}: everybody may connect; the daemon looks at who asks")


def signers(it: Subject) -> Check:
    """The keys that may sign what is deployed, if the configuration asks for signed commits."""
    if not it.signers:
        return good("allowed signers", "not asked for (repository.require_signed)")
    if it.probe.place(it.signers) is None:
        hint = "one line per key, as in ssh-keygen(1), ALLOWED SIGNERS; without it no commit is deployed"
        return bad("allowed signers", f"{it.signers} is not there", hint)
    return good("allowed signers", it.signers)


def approvers(it: Subject) -> Check:
    """The keys that may approve what destroys: not needed before there is something to approve, but never anybody's."""
    place = it.probe.place(it.approvers)
    if place is None:
        why = f"{it.approvers} is not there: nothing that destroys data can be approved"
        hint = f'write a line `NAME namespaces="{NAMESPACE}" KEY` into it, KEY as in ~/.ssh/id_ed25519.pub'
        return Check("approvals", ok=True, message=why, hint=hint)
    if place.folder or place.owner != "root" or place.mode & 0o022:
        why = f"{it.approvers} does not belong to root alone, so it does not count"
        return bad("approvals", why, f"chown root:root {it.approvers}; chmod 644 {it.approvers}")
    return good("approvals", it.approvers)


_Check: TypeAlias = Callable[[Subject], Check]
CHECKS: tuple[_Check, ...] = (
    systemd,
    cgroups,
    dbus,
    logind,
    linger,
    user_bus,
    user_namespaces,
    subordinate_ids,
    uidmap,
    podman,
    generator,
    unit_generator,
    storage,
    network,
    git,
    ssh_keygen,
    rsync,
    signers,
    approvers,
    accounts,
    socket,
    doctor_installed.programs,
    doctor_installed.homes,
    doctor_installed.space,
)


def examine(probe: Probe, config: str) -> Iterable[Check]:
    """Yield the configuration's check, and then all others for what it says."""
    found, subject = configuration(probe, config)
    yield found
    for check in CHECKS:
        yield check(subject)


def configuration(probe: Probe, path: str) -> tuple[Check, Subject]:
    """Check the configuration; what is not readable or wrong leaves the defaults to the other checks."""
    subject = Subject(probe)
    if probe.place(path) is None:
        hint = "start from /usr/share/eventd/eventd.toml.example; repository.url is the one key it needs"
        return bad("configuration", f"{path} is not there", hint), subject
    if not probe.readable(path):
        message = f"{path} cannot be read by this account, so it is not checked"
        return Check("configuration", ok=True, message=message, hint="sudo eventctl doctor"), subject
    # pydantic: only where there is something for it to read
    from eventd.approvals.settings import Approvals  # noqa: PLC0415
    from eventd.settings import parse  # noqa: PLC0415

    try:
        settings = parse(probe.read(path) or "", path)
    except EventdError as error:
        return bad("configuration", error.message, error.hint or f"edit {path}"), subject
    subject = Subject(
        probe,
        generator=settings.paths.generator,
        socket=settings.api.socket,
        group=settings.api.group,
        git_account=settings.git_account,
        check_account=settings.check_account,
        linger=settings.paths.linger,
        signers=settings.repository.allowed_signers if settings.repository.require_signed else "",
        approvers=settings.table(Approvals).allowed_signers,
        state=settings.paths.state,
        runtime=settings.paths.runtime,
        git_folder=settings.paths.git,
    )
    return good("configuration", path), subject


def _version(it: Subject, name: str, command: str, oldest: tuple[int, int], hint: str) -> Check:
    """Check `COMMAND --version` against the oldest version that will do."""
    if it.probe.command(command) is None:
        return bad(name, f"{command} is not installed", f"apt install {name}")
    said = it.probe.output(command, "--version")
    found = _numbers(said or "")
    if found is None:
        return bad(name, f"`{command} --version` does not work", f"run it by hand; {hint}")
    text = (said or "").splitlines()[0]
    if found < oldest:
        want = ".".join(str(part) for part in oldest).removesuffix(".0")
        return bad(name, f"{text}: eventd needs {want} or later", hint)
    return good(name, text)


def _numbers(text: str) -> tuple[int, int] | None:
    """Return the first version in a text: `podman version 5.4.2` is (5, 4), `systemd 257 (…)` (257, 0)."""
    found = re.search(r"(?:^|\s)(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2] or 0)) if found else None
