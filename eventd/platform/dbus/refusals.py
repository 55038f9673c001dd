"""Translates the exceptions of a failed connect to an `EventdError`. Keeps no state."""

from __future__ import annotations

from eventd.kernel.model.errors import (
    DeadlineError,
    DisconnectedError,
    EventdError,
    PermanentError,
)
from eventd.kernel.model.text import printable
from eventd.platform.dbus.library import (
    AuthError,
    InvalidAddressError,
)


def connect_error(address: str, error: BaseException, timeout: float) -> EventdError | None:
    """Return the error for a failure to connect; None if it is an EventdError, or a cancellation."""
    match error:
        case TimeoutError():
            return DeadlineError(f"connecting to the bus {address} took more than {timeout:g} s")
        case AuthError():
            return PermanentError(
                f"the bus {address} refused the connection: {printable(str(error))}",
                reason="access-denied",
            )
        case InvalidAddressError():
            return PermanentError(f"bus address {address}: {error}", reason="bad-address")
        case PermissionError():
            return PermanentError(f"the bus {address}: {error.strerror}", reason="access-denied")
        case OSError() | EOFError():
            return DisconnectedError(f"the bus {address}: {error}", reason="bus-unavailable")
        case EventdError():
            return None
        case Exception():  # any error of the library, after invalid authentication or a refused Hello
            return DisconnectedError(
                f"the bus {address} gave a bad reply: {printable(str(error))}", reason="bad-reply"
            )
    return None
