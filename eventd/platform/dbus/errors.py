"""Translates the name of a D-Bus error to an `EventdError`. Knows no library and no connection."""

from __future__ import annotations

import re

from eventd.kernel.model.errors import DisconnectedError, EventdError, PermanentError, TemporaryError
from eventd.kernel.model.text import printable


class BadReplyError(TemporaryError):
    """A peer sent something that the real service never sends. Raised in a signal handler, it ends the connection."""

    reason = "bad-reply"


_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

UNNAMED_REASON = "unknown-error"
"""The reason for an error whose name does not end in a word."""
_LAST = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")

_GONE = frozenset(
    {
        # dbus-daemon's errors for a peer that left, before the call or without answering it.
        "org.freedesktop.DBus.Error.NoReply",
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.Disconnected",
        "org.freedesktop.DBus.Error.NoServer",
    }
)
_REASONS = {
    "org.freedesktop.DBus.Error.AccessDenied": "access-denied",
    "org.freedesktop.DBus.Error.AuthFailed": "access-denied",
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired": "access-denied",
}
_PERMANENT = frozenset(
    {
        *_REASONS,
        "org.freedesktop.DBus.Error.UnknownMethod",
        "org.freedesktop.DBus.Error.UnknownObject",
        "org.freedesktop.DBus.Error.UnknownInterface",
        "org.freedesktop.DBus.Error.UnknownProperty",
        "org.freedesktop.DBus.Error.InvalidArgs",
        "org.freedesktop.DBus.Error.InvalidSignature",
        "org.freedesktop.DBus.Error.NotSupported",
        # bus-common-errors.h of systemd: these last until a unit file or an account is changed.
        "org.freedesktop.systemd1.NoSuchUnit",
        "org.freedesktop.systemd1.UnitMasked",
        "org.freedesktop.systemd1.UnitGenerated",
        "org.freedesktop.systemd1.UnitLinked",
        "org.freedesktop.systemd1.BadUnitSetting",
        "org.freedesktop.systemd1.LoadFailed",
        "org.freedesktop.systemd1.JobTypeNotApplicable",
        "org.freedesktop.systemd1.OnlyByDependency",
        "org.freedesktop.systemd1.NoIsolation",
        "org.freedesktop.systemd1.TransactionOrderIsCyclic",
        "org.freedesktop.systemd1.UnitNotLoaded",
        "org.freedesktop.login1.NoSuchUser",
    }
)


def _kebab(name: str) -> str:
    """Return the last part of an error's name as a reason. The sender may use any name."""
    last = name.rpartition(".")[2]
    return _HUMP.sub("-", last).lower() if _LAST.fullmatch(last) else UNNAMED_REASON


def permanent_reasons() -> frozenset[str]:
    """Return the reasons of all errors that do not pass by themselves."""
    return frozenset(_REASONS.get(name) or _kebab(name) for name in _PERMANENT)


def dbus_error(name: str, text: str, *, what: str) -> EventdError:
    """Return the error for a reply of type ERROR.

    `reason` is the last part of the D-Bus name in kebab-case (`no-such-unit`, `unit-masked`), except `access-denied`
    for every refusal and `disconnected` for a peer that has left the bus. An unknown error is temporary: retrying with
    backoff does no harm.
    """
    message = f"{what}: {printable(text or name)}"
    if name in _GONE:
        return DisconnectedError(message)
    reason = _REASONS.get(name) or _kebab(name)
    if name in _PERMANENT:
        return PermanentError(message, reason=reason)
    return TemporaryError(message, reason=reason)
