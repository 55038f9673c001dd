"""The checks of `eventctl doctor`: what eventd needs of a host, as functions over a `Probe`.

A check returns what it found and, if that is a problem, what to do about it. It never changes anything. What this
account may not see is reported as not visible, not as missing. Next: `commands` shows them.
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
"""The oldest versions that work, as in docs/how-to/install.md; git: for commits signed with SSH keys."""
NEWER_PODMAN = ((".pod files and Notify=healthy", (5, 0), "5.0"), ("compose stacks", (4, 7), "4.7"))
"""Features that the oldest podman lacks, and the version that has them."""
OVERLAY = (5, 13)
"""The first kernel that lets a rootless user mount overlayfs."""
_SUBORDINATE = 65536


def systemd(it: Subject) -> Check:
    """Init is systemd (sd_booted(3)), and recent enough."""
    if it.probe.place("/run/systemd/system") is None:
        return bad("systemd", "this host was not booted with systemd", "eventd needs a systemd host")
    return _version(it, "systemd", "systemctl", SYSTEMD, "upgrade the distribution")


def cgroups(it: Subject) -> Check:
    """The unified hierarchy is mounted: podman's rootless limits and systemd's delegation need it."""
    if it.probe.place("/sys/fs/cgroup/cgroup.controllers") is not None:
        return good("cgroup v2", "the unified hierarchy is mounted")
    hint = "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line"
    return bad("cgroup v2", "the unified hierarchy is not mounted at /sys/fs/cgroup", hint)


def dbus(it: Subject) -> Check:
    """The system bus exists."""
    if it.probe.place("/run/dbus/system_bus_socket") is not None:
        return good("system bus", "/run/dbus/system_bus_socket exists")
    return bad("system bus", "no system bus", "apt install dbus, then systemctl start dbus.socket")


def logind(it: Subject) -> Check:
    """systemd-logind runs: it starts the managers of lingering users, and reports sessions and shutdowns."""
    if it.probe.output("systemctl", "is-active", "systemd-logind.service") == "active":
        return good("logind", "running")
    hint = "apt install libpam-systemd, then systemctl start systemd-logind"
    return bad("logind", "systemd-logind is not running", hint)


def linger(it: Subject) -> Check:
    """The linger directory is a directory; logind makes it for the first lingering user."""
    place = it.probe.place(it.linger)
    if place is None:
        return good("lingering", f"no user lingers yet (logind creates {it.linger} for the first one)")
    if place.folder:
        return good("lingering", it.linger)
    return bad("lingering", f"{it.linger} is not a folder", "move it away; logind creates the folder again")


def user_bus(it: Subject) -> Check:
    """Each user's manager starts a bus of its own; eventd talks to the manager over it."""
    folders = ("/usr/lib/systemd/user", "/etc/systemd/user", "/lib/systemd/user")
    if any(it.probe.place(f"{folder}/dbus.socket") is not None for folder in folders):
        return good("user bus", "user managers have dbus.socket")
    hint = "apt install dbus-user-session, then restart the user managers that are running"
    return bad("user bus", "user managers have no dbus.socket", hint)


def podman(it: Subject) -> Check:
    """The installed podman supports Quadlet files per uid."""
    found = _version(it, "podman", "podman", PODMAN, "install a newer podman (Debian 13 has 5.4)")
    version = _numbers(found.message) if found.ok else None
    needs = [f"{what} need {dotted}" for what, oldest, dotted in NEWER_PODMAN if version and version < oldest]
    return good("podman", "; ".join([found.message, *needs])) if needs else found


def generator(it: Subject) -> Check:
    """Podman's user generator makes units from Quadlet files; eventd runs it on each revision."""
    place = it.probe.place(it.generator)
    if place is not None and place.executable:
        return good("quadlet generator", it.generator)
    hint = "it is part of podman; if it is elsewhere, set paths.generator in eventd.toml"
    return bad("quadlet generator", f"{it.generator} does not exist", hint)


def unit_generator(it: Subject) -> Check:
    """Eventd's own user generator is installed, for companion units (.timer, .service, …)."""
    place = it.probe.place(UNIT_GENERATOR)
    if place is not None and place.executable:
        return good("unit generator", UNIT_GENERATOR)
    hint = "install it with eventd's units (docs/how-to/install.md); Quadlet files work without it"
    return bad("unit generator", f"{UNIT_GENERATOR} does not exist", hint)


def uidmap(it: Subject) -> Check:
    """Newuidmap and newgidmap may map subordinate ids: they are setuid or have file capabilities."""
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
            return bad("subordinate ids", f"/etc/{name} does not exist", f"touch /etc/{name}")
        said = re.search(rf"^\s*{key}\s+(\d+)", it.probe.read("/etc/login.defs") or "", re.MULTILINE)
        if said and int(said[1]) < _SUBORDINATE:
            hint = f"set {key} {_SUBORDINATE} in /etc/login.defs"
            return bad("subordinate ids", f"{key} is {said[1]}: containers need {_SUBORDINATE}", hint)
    return good("subordinate ids", "/etc/subuid and /etc/subgid exist")


def user_namespaces(it: Subject) -> Check:
    """Unprivileged user namespaces are enabled (user_namespaces(7))."""
    for key in ("user.max_user_namespaces", "kernel.unprivileged_userns_clone"):
        said = it.probe.read(f"/proc/sys/{key.replace('.', '/', 1)}")
        if said is not None and said.strip() == "0":
            value = "28633" if key.startswith("user.") else "1"
            hint = f"sysctl -w {key}={value}, and the same in /etc/sysctl.d/"
            return bad("user namespaces", f"{key} is 0: rootless containers cannot run", hint)
    return good("user namespaces", "allowed")


def storage(it: Subject) -> Check:
    """Overlayfs is available, from the kernel or as fuse-overlayfs; otherwise podman copies whole images."""
    release = (it.probe.read("/proc/sys/kernel/osrelease") or "").strip()
    if (_numbers(release) or (0, 0)) >= OVERLAY:
        return good("overlay storage", f"kernel {release} mounts overlayfs for rootless users")
    if it.probe.command("fuse-overlayfs") is not None and it.probe.place("/dev/fuse") is not None:
        return good("overlay storage", "fuse-overlayfs")
    hint = "apt install fuse-overlayfs, or use kernel 5.13 or later"
    return bad("overlay storage", "there is neither overlayfs for rootless users nor fuse-overlayfs", hint)


def network(it: Subject) -> Check:
    """A rootless container reaches the network through pasta or slirp4netns."""
    for name in ("pasta", "slirp4netns"):
        if it.probe.command(name) is not None:
            return good("rootless network", name)
    hint = "apt install passt (podman 5) or slirp4netns (podman 4)"
    return bad("rootless network", "neither pasta nor slirp4netns is installed", hint)


def git(it: Subject) -> Check:
    """The installed git can verify SSH signatures."""
    return _version(it, "git", "git", GIT, "apt install git")


def ssh_keygen(it: Subject) -> Check:
    """Signatures of commits and approvals are verified with ssh-keygen."""
    if (path := it.probe.command("ssh-keygen")) is not None:
        return good("ssh-keygen", path)
    return bad("ssh-keygen", "ssh-keygen is not installed", "apt install openssh-client")


def rsync(it: Subject) -> Check:
    """Rsync is needed only to move a volume to another disk, so a host may do without it."""
    if (path := it.probe.command("rsync")) is not None:
        return good("rsync", path)
    return good("rsync", "not installed; eventctl storage migrate needs it (apt install rsync)")


def accounts(it: Subject) -> Check:
    """The accounts that run git and the Quadlet checks exist, and the group that may use the daemon."""
    wanted = (it.git_account, it.check_account)
    missing = [f"the account {name}" for name in wanted if name and not it.probe.user(name)]
    if not it.probe.group(it.group):
        missing.append(f"the group {it.group}")
    if missing:
        hint = "run systemd-sysusers once eventd's sysusers.d file is installed"
        return bad("accounts", f"missing: {', '.join(missing)}", hint)
    return good("accounts", f"{it.git_account or 'no git account'}, group {it.group}")


def socket(it: Subject) -> Check:
    """The daemon's socket belongs to root and is open to everybody: the kernel tells the daemon who connects."""
    place = it.probe.place(it.socket)
    if place is None:
        return good("socket", f"{it.socket} does not exist (or is not visible): eventd creates it")
    said = f"{it.socket} is {place.owner}:{place.group} {place.mode:04o}"
    if place.owner != "root":
        return bad("socket", f"{said}: it does not belong to root", "systemctl restart eventd recreates it")
    if place.mode & 0o666 != 0o666:
        why = f"{said}: not everybody can connect, so `eventctl` fails for operators and workloads"
        return bad("socket", why, "systemctl restart eventd recreates it, with mode 0666")
    operators = it.probe.place(sockets.beside(it.socket, sockets.OPERATORS))
    if operators is not None and it.probe.group(it.group) and operators.group != it.group:
        why = f"{sockets.OPERATORS} does not belong to the group {it.group}, which was created after eventd started"
        return bad("socket", why, "systemctl restart eventd recreates the socket")
    return good("socket", f"{said}: everybody may connect; the daemon checks who asks")


def signers(it: Subject) -> Check:
    """The keys that may sign commits are there, if the configuration requires signed commits."""
    if not it.signers:
        return good("allowed signers", "not required (repository.require_signed)")
    if it.probe.place(it.signers) is None:
        hint = "one line per key, as in ssh-keygen(1), ALLOWED SIGNERS; without it no commit is deployed"
        return bad("allowed signers", f"{it.signers} does not exist", hint)
    return good("allowed signers", it.signers)


def approvers(it: Subject) -> Check:
    """The keys that may approve destruction. The file may be missing, but nobody except root may own or write it."""
    place = it.probe.place(it.approvers)
    if place is None:
        why = f"{it.approvers} does not exist: nothing that destroys data can be approved"
        hint = f'write a line `NAME namespaces="{NAMESPACE}" KEY` into it, KEY as in ~/.ssh/id_ed25519.pub'
        return Check("approvals", ok=True, message=why, hint=hint)
    if place.folder or place.owner != "root" or place.mode & 0o022:
        why = f"{it.approvers} can be changed by users other than root, so it is not used"
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
    """Yield the check of the configuration, then all others with its settings."""
    found, subject = configuration(probe, config)
    yield found
    for check in CHECKS:
        yield check(subject)


def configuration(probe: Probe, path: str) -> tuple[Check, Subject]:
    """Check the configuration; if it is wrong or not readable, the other checks use the defaults."""
    subject = Subject(probe)
    if probe.place(path) is None:
        hint = "copy /usr/share/eventd/eventd.toml.example; repository.url is the only key it needs"
        return bad("configuration", f"{path} does not exist", hint), subject
    if not probe.readable(path):
        message = f"{path} cannot be read by this account, so it is not checked"
        return Check("configuration", ok=True, message=message, hint="sudo eventctl doctor"), subject
    # pydantic: only where there is a file to read
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
    """Check `COMMAND --version` against the oldest version that works."""
    if it.probe.command(command) is None:
        return bad(name, f"{command} is not installed", f"apt install {name}")
    said = it.probe.output(command, "--version")
    found = _numbers(said or "")
    if found is None:
        return bad(name, f"`{command} --version` failed", f"run it by hand; {hint}")
    text = (said or "").splitlines()[0]
    if found < oldest:
        want = ".".join(str(part) for part in oldest).removesuffix(".0")
        return bad(name, f"{text}: eventd needs {want} or later", hint)
    return good(name, text)


def _numbers(text: str) -> tuple[int, int] | None:
    """Return the first version in a text: `podman version 5.4.2` is (5, 4), `systemd 257 (…)` (257, 0)."""
    found = re.search(r"(?:^|\s)(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2] or 0)) if found else None
