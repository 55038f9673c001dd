"""The simulated host on the wire: the model on private dbus-daemons and in a folder, in real time, no root.

eventd's own D-Bus adapters, sources and file watchers talk to it as they do to a real host.
"""

from eventd_simulators.wire.accounts import FileAccounts, PasswdFiles
from eventd_simulators.wire.server import WireHost

__all__ = ["FileAccounts", "PasswdFiles", "WireHost"]
