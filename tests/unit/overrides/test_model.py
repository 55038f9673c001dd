"""Scope: what makes a change of a workload, what is taken back, and what ends that; pure decisions."""

from dataclasses import replace

from eventd.desired.model import OnFailure, Tree, TreeFile, Workload, WorkloadOptions
from eventd.desired.model_assembly import HostRules, assemble
from eventd.gates.model import read_gates
from eventd.gates.model_predicates import Predicate
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.located import Located
from eventd.kernel.model.report import Outcome, WorkloadReport
from eventd.mounts.model_facts import MountFact, MountState
from eventd.overrides.model import (
    KEPT,
    Revision,
    Revisions,
    Rollback,
    bound_units,
    came_right,
    failed_on,
    identity,
    rolls_back,
    wakes,
)

FAILED = WorkloadReport("w", Outcome.FAILED, "start-failed", "it did not start", failing_verb="start-unit")
UNHEALTHY = replace(FAILED, reason="not-healthy-in-time", failing_verb="verify")
MOUNT = FactKey(MountFact.MOUNT, "/srv/a")


def made(*, more: dict[str, str] | None = None, **options: object) -> Workload:
    files = {
        "workloads/w/w.container": "[Container]\nImage=a\n[Install]\nWantedBy=default.target\n",
        **(more or {}),
    }
    tree = Tree("c" * 40, {path: TreeFile(path, text.encode()) for path, text in files.items()})
    found = assemble(tree, HostRules("h")).workloads["w"]
    return replace(found, options=replace(WorkloadOptions(on_failure=OnFailure.ROLLBACK), **options))  # type: ignore[arg-type]


def order(good: Workload, **changes: object) -> Rollback:
    plain = Rollback("w", "x", "b" * 40, Revision(good, good.digest, "a" * 40), 0.0, "eventd", automatic=True)
    return replace(plain, **changes)  # type: ignore[arg-type]


def expect(*texts: str) -> Predicate:
    workload = made(expect=tuple(Located(text, "f", 1) for text in texts))
    tree = Tree("c" * 40, {})
    desired = replace(assemble(tree, HostRules("h")), workloads={"w": workload})
    gates, mistakes = read_gates(desired)
    assert not mistakes
    found = gates["w"].expect
    assert found is not None
    return found


def test_an_option_is_a_change_and_its_place_is_none() -> None:
    """A longer deadline is a fix; a comment above it is not."""
    plain = made(requires=(Located("mount:/a", "f", 1),))
    assert identity(plain) == identity(made(requires=(Located("mount:/a", "f", 7),)))
    assert identity(plain) != identity(made(requires=(Located("mount:/b", "f", 1),)))
    assert identity(plain) != identity(replace(plain, options=replace(plain.options, deadline=5.0)))


def test_only_a_new_content_with_its_own_fault_is_taken_back() -> None:
    """Not what was verified once and fails now, not what the old content would meet as well."""
    workload = made()
    assert rolls_back(workload, FAILED, "another digest")
    assert not rolls_back(workload, FAILED, workload.digest)
    assert not rolls_back(made(on_failure=OnFailure.KEEP), FAILED, "")
    assert not rolls_back(workload, replace(FAILED, reason="user-manager-unavailable"), "")
    assert not rolls_back(workload, replace(FAILED, failing_verb="put-file", reason="disk-full"), "")
    assert not rolls_back(workload, replace(FAILED, outcome=Outcome.SUPERSEDED), "")


def test_revisions_are_kept_once_each_and_the_newest_first() -> None:
    """A content that is verified again moves to the front."""
    one, two = (Revision(made(), digest, "c") for digest in ("1", "2"))
    rows = Revisions().with_verified(one).with_verified(two).with_verified(one)
    assert [row.digest for row in rows.rows] == ["1", "2"]
    many = Revisions()
    for number in range(KEPT + 2):
        many = many.with_verified(replace(one, digest=str(number)))
    assert len(many.rows) == KEPT
    assert rows.other_than(("1",)) == two


def test_what_it_failed_on_is_what_is_missing_and_not_its_own() -> None:
    """A mount is; a container's health, a probe, and its own unit are not."""
    facts = Facts()
    found = expect("mount:/srv/a", "container:w=healthy", "http://localhost:80", "unit:w.service=active")
    assert failed_on(found, UNHEALTHY, "w", facts) == ("mount:/srv/a",)
    facts.set(MOUNT, MountState("/srv/a", "s", "ext4", "rw", "8:1"))
    assert failed_on(found, UNHEALTHY, "w", facts) == ()


def test_a_rollback_ends_when_all_that_was_missing_is_there() -> None:
    """Not at any change of it, and never where it failed on nothing but itself."""
    facts, found = Facts(), expect("mount:/srv/a", "mount:/srv/b")
    both = order(made(), failed_on=("mount:/srv/a", "mount:/srv/b"))
    assert MOUNT in wakes(both, found)
    facts.set(MOUNT, MountState("/srv/a", "s", "ext4", "rw", "8:1"))
    assert not came_right(both, found, facts)
    assert came_right(order(made(), failed_on=("mount:/srv/a",)), found, facts)
    assert not came_right(order(made()), found, facts)
    assert not came_right(order(made(), failed_on=("mount:/srv/a",), automatic=False), found, facts)


def test_bound_units_are_those_that_systemd_stops_with_others() -> None:
    """Networks and BindsTo=; not what a timer starts, nor what stands alone."""
    found = made(
        more={
            "workloads/w/net.network": "[Network]\n",
            "workloads/w/tail.service": "[Unit]\nBindsTo=w.service\n[Service]\nExecStart=/bin/true\n",
            "workloads/w/alone.service": "[Service]\nExecStart=/bin/true\n",
            "workloads/w/job.service": "[Unit]\nRequires=w.service\n[Service]\nExecStart=/bin/true\n",
            "workloads/w/job.timer": "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n",
        }
    )
    assert bound_units(found) == {"net-network.service", "tail.service"}
