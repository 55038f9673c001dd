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

One of the sockets is open to every account. The kernel says who asks (`SO_PEERCRED` and `SO_PEERGROUPS`, as of the time
of the connection), and this table says what they may do. The daemon checks it before each request; a test compares
every route with a matrix of its own.

| socket | who may connect | |
|---|---|---|
| `/run/eventd/root.sock` | root | never waits for anybody else |
| `/run/eventd/operators.sock` | the group of `[api] group`, and root | waits for no workload and no stranger |
| `/run/eventd/eventd.sock` | everybody | root and operators too, but here they wait like everybody else |

Rights do not depend on the socket. `eventctl` uses the first of them that it may connect to, and waits up to 30 s for
a place in its queue; a `--socket`, or `$EVENTD_SOCKET`, is used as it is. The first two are in the same folder as
`[api] socket`.

| role | who |
|---|---|
"""


SCOPES = """\

**all**: of every workload, and of the host. **own**: of the caller's own workload; any other looks as if it did not
exist, in lists, runs, events, plans and errors. A workload can read what its own gates wait for.
**no**: 403 `forbidden`.

"""


LIMITS_OF = """\

A caller with several roles has the rights of each. A workload's uid counts as the workload as long as its record and
the account agree on name and uid, also after it has left the repository. Root of its containers is the workload; their
other users (its subordinate uids) are nobody. A process that has dropped the operators' group, or a session from before
the account joined it, is not an operator: log in again.

`eventctl logs`, `exec`, `shell` and `ps` do not use the daemon: root may use them for every workload, a workload's
account for itself, nobody else.

## Limits

Limits are per caller, so that one that floods the daemon does not slow others down; a caller over a limit gets 429.
Root has none; all callers that are nobody share one. A connection carries one request, of at most {kib} KiB.

All callers of one role share a part of the daemon's time: operators {operator:.0%}, workloads {workload:.0%}, everybody
else {nobody:.0%}, and each socket but root's {accepting:.0%} more for accepting connections. A role that has used up
its part waits before its next request begins, or the next page of a long answer is written. {most} connections of
operators, and as many of workloads, are open at a time: beyond that, only callers without one are accepted.

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
