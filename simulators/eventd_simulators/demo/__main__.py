"""`python -m eventd_simulators.demo [--keep]`: run the demo; 0 if every step succeeded.

Owns: signals and exit codes. Whatever happens, no process and no folder is left behind.
"""

from __future__ import annotations

import argparse
import select
import shlex
import signal
import sys
import time
from contextlib import suppress

from eventd.kernel.model.errors import EventdError
from eventd_simulators.demo import story
from eventd_simulators.demo.children import DemoError
from eventd_simulators.demo.place import folder
from eventd_simulators.demo.screen import Screen
from eventd_simulators.demo.stage import Stage

NEXT = """\
What next?
  make demo KEEP=1                 the same, and the host stays for you to play with
  docs/tutorial/first-steps.md     what happened here, step by step
  docs/how-to/install.md           eventd on a real host
"""


def main() -> int:
    """Return the exit status: 0 success, 1 a step failed, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the host running afterwards, until Ctrl-C")
    keep = parser.parse_args().keep
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    screen = Screen()
    began = time.monotonic()
    try:
        with folder() as at:
            stage = Stage(at, screen)
            try:
                _run(stage, screen, began, keep=keep)
            except (DemoError, EventdError, OSError) as error:
                screen.problem(f"The demo failed: {error}")
                screen.line(stage.logs())
                return 1
            finally:
                # A second Ctrl-C must not stop the cleaning up.
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
                stage.close()
    except DemoError as error:
        screen.problem(str(error))
        return 1
    except KeyboardInterrupt:
        screen.line()
        screen.line("interrupted; everything is cleaned up")
        return 130
    return 0


def _run(stage: Stage, screen: Screen, began: float, *, keep: bool) -> None:
    screen.line(
        "eventd keeps a container host as a git repository says, and never waits for a timer.", style="1"
    )
    screen.line(
        "Here: a simulated host, no root, no containers. eventd, eventctl, git and D-Bus are the real ones."
    )
    screen.step("A host", f"Everything is in {stage.folder}, and goes with the demo.")
    stage.start()
    stage.eventctl("status", expect=None)
    story.play(stage)
    screen.line()
    screen.proof(f"every step came true, in {time.monotonic() - began:.0f} s")
    screen.line()
    if keep:
        _keep(stage, screen)
    else:
        screen.line(NEXT.rstrip())


def _keep(stage: Stage, screen: Screen) -> None:
    """Print how to go on, and wait for Ctrl-C."""
    enter = stage.folder / "env"
    python = shlex.quote(sys.executable)
    enter.write_text(
        f"export EVENTD_SOCKET={shlex.quote(str(stage.socket))}\n"
        f"export PATH={shlex.quote(stage.environment['PATH'])}\n"
        f'hand() {{ {python} -m eventd_simulators.demo.hand {shlex.quote(stage.system)} "$@"; }}\n'
    )
    screen.line(f"""\
The host stays until Ctrl-C here. In another terminal:
  . {enter}
  cd {stage.work}
  eventctl status                      eventctl why web
  eventctl events --follow             eventctl metrics
  git revert --no-edit HEAD && git push origin main      # db comes back, to its data
  hand stop web web.service            # systemctl --user -M web@ stop web.service
  hand reboot                          # and it converges with no push
  curl -s --unix-socket $EVENTD_SOCKET http://eventd/v1/status""")
    with suppress(KeyboardInterrupt):
        found, _, _ = select.select(stage.pidfds(), [], [])
        if found:
            raise DemoError("a process of the demo ended by itself")


if __name__ == "__main__":
    sys.exit(main())
