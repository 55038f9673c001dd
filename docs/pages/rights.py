"""rights.md: who may ask what over the socket, and the limits of each role."""

# ruff: noqa: INP001  a script's

from __future__ import annotations

from collections.abc import Iterator

from docs.pages.words import MADE, members, sentence
from eventd import (
    domains,
)
from eventd.api import connection_limiter
from eventd.api import model_rights as rights
from eventd.api.server import ACCEPTING

DOMAINS = domains.load()

RIGHTS = f"""\
# Rights

{MADE}

One of the sockets is open to every account; the kernel says who asks (`SO_PEERCRED` and `SO_PEERGROUPS`, as of when
they connected), and this table what they may. It is the table that the daemon asks before each request; a test
compares every route with a matrix of its own.

| socket | who may connect | |
|---|---|---|
| `/run/eventd/root.sock` | root | never waits for anybody else |
| `/run/eventd/operators.sock` | the group of `[api] group`, and root | waits for no workload and no stranger |
| `/run/eventd/eventd.sock` | everybody | root and operators too, who wait here like everybody |

Rights do not depend on the socket. `eventctl` takes the first of them that it may connect to, and waits up to 30 s for
a place in its queue; a `--socket`, or `$EVENTD_SOCKET`, is used as it is. The first two stand beside `[api] socket`,
wherever that is.

| role | who |
|---|---|
"""


SCOPES = """\

**all**: of every workload, and of the host. **own**: of the caller's own workload; another one looks like one that does
not exist, in lists, runs, events, plans and errors. What its own gates wait for, a workload can read.
**no**: 403 `forbidden`.

"""


LIMITS_OF = """\

Who is several has the rights of each. A workload's uid counts as the workload as long as its record and the
account that is there agree on name and uid, also once it has left the repository. Root of its containers is the
workload; the other users of them (its subordinate uids) are nobody. So is who has dropped the operators' group, or
got it after logging in: log in again.

`eventctl logs`, `exec`, `shell` and `ps` are not asked of the daemon, and get by without it: root may use them for
every workload, a workload's account for itself, nobody else.

## Limits

Per caller, so that nobody who floods the daemon is felt by others; who is over one is answered 429. Root has none; what
is nobody shares one. A connection carries one request, of at most {kib} KiB.

All callers of one role share a part of the daemon's time: operators {operator:.0%}, workloads {workload:.0%}, everybody
else {nobody:.0%}, and each socket but root's {accepting:.0%} more for taking connections in. A role that has used up
its part waits before the next request begins, or the next page of a long answer is written. {most} connections of
operators, and as many of workloads, are held at a time: beyond them, only who has none yet is let in.

| role | connections | of these, followers | new ones per second | changes per minute | seconds of a connection |
|---|---|---|---|---|---|
"""


def _limits() -> str:
    """Return the words before the table of limits."""
    kinds = connection_limiter.kinds()
    return LIMITS_OF.format(
        kib=connection_limiter.LIMITS[rights.Role.WORKLOAD].received // 1024,
        most=kinds[rights.Role.OPERATOR].most,
        accepting=ACCEPTING,
        **{role.value: kind.pace.share for role, kind in kinds.items()},
    )


def rights_page() -> Iterator[str]:
    """Yield rights.md."""
    yield from RIGHTS.splitlines()
    yield from members(rights.Role)
    yield from SCOPES.splitlines()
    yield f"| request | {' | '.join(rights.Role)} | |"
    yield f"|---|{'---|' * len(rights.Role)}---|"
    for right in DOMAINS.rights():
        scopes = " | ".join(rights.scope(right, role) for role in rights.Role)
        yield f"| {right.name} | {scopes} | {sentence(right.text)} |"
    yield from _limits().splitlines()
    for role, most in connection_limiter.LIMITS.items():
        changes = f"{most.change_rate * 60:g}" if most.streams else "none"
        yield (
            f"| {role} | {most.connections} | {most.streams} | {most.rate:g} (at once {most.burst}) | {changes} |"
            f" {most.seconds:g}, followers: no end |"
        )
