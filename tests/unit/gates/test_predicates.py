"""Predicates: what their texts mean, when they hold, what they say is missing, which facts they wake on."""

import string
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventd.desired.model import Desired, Tree, TreeFile
from eventd.desired.model_assembly import HostRules, assemble
from eventd.gates.model_facts import GateFact
from eventd.gates.model_predicate_atoms import UNIT_STATES, Present, ProbeKind, UnitIs, WorkloadIs
from eventd.gates.model_predicate_parse import MAX_DEPTH, parse, parse_all
from eventd.gates.model_predicate_scope import NOWHERE, Scope, scope_of
from eventd.gates.model_predicates import All, Any, Not, Predicate, all_of, atoms, missing, probes
from eventd.health.model_facts import HealthFact
from eventd.kernel.index import Index
from eventd.kernel.model.diagnostics import Diagnostic
from eventd.kernel.model.facts import FactKey, Facts, FactValue
from eventd.kernel.model.located import Located
from eventd.mounts.model_facts import DeviceState, MountFact, MountState
from eventd.platform.model_facts import ActiveState, FileKind, FileState, LoadState, PlatformFact, UnitState
from eventd.storage.model_facts import StorageFact
from eventd.workloads.model_facts import ManagerState, WorkloadFact


class Gates:
    """Gates as the reconciler evaluates them: only when the runtime's index says that a fact concerns them."""

    def __init__(self, seen: Facts, gates):
        self.evaluations = 0
        self.values = {}
        self._facts, self._gates = seen, gates
        index = Index(seen, lambda _key: None)
        index.start(lambda _name: None, self._evaluate)
        for name, predicate in gates.items():
            self._evaluate(name)
            index.wake_on(name, predicate.keys())

    def _evaluate(self, name: str) -> None:
        self.evaluations += 1
        self.values[name] = self._gates[name].holds(self._facts)


def read(text: str, scope: Scope = NOWHERE) -> Predicate:
    predicate = parse(Located(text, "workload.toml", 1), scope)
    assert not isinstance(predicate, Diagnostic), predicate
    return predicate


def wrong(text: str, scope: Scope = NOWHERE) -> Diagnostic:
    found = parse(Located(text, "workloads/web/workload.toml", 3), scope, "requires")
    assert isinstance(found, Diagnostic), found
    return found


def facts(*pairs: tuple[FactKey, FactValue]) -> Facts:
    made = Facts()
    for key, value in pairs:
        made.set(key, value)
    return made


def unit(
    name: str, active: ActiveState = ActiveState.ACTIVE, scope: str = "", load: LoadState = LoadState.LOADED
) -> tuple[FactKey, FactValue]:
    return FactKey(PlatformFact.UNIT, name, scope), UnitState(name, load=load, active=active)


MOUNTED = MountState("/srv/photos", "/dev/sdb1", "ext4", "rw", "8:17")
PRESENT_FILE = FileState(FileKind.REGULAR, "", 0o644, 0, 0)

HOLDING = [
    ("unit:network-online.target", unit("network-online.target")),
    ("unit:a.service", unit("a.service", ActiveState.RELOADING)),
    ("unit:a.service=failed", unit("a.service", ActiveState.FAILED)),
    ("unit:a.service=inactive", unit("a.service", ActiveState.INACTIVE)),
    ("user-unit:web/web.service", unit("web.service", scope="web")),
    ("user-unit:web/web.service=activating", unit("web.service", ActiveState.ACTIVATING, "web")),
    ("workload:db=active", (FactKey(WorkloadFact.WORKLOAD, "db"), "active")),
    ("workload:db=active", (FactKey(WorkloadFact.WORKLOAD, "db"), "healthy")),
    ("workload:db=healthy", (FactKey(WorkloadFact.WORKLOAD, "db"), "healthy")),
    ("manager:web", (FactKey(WorkloadFact.MANAGER, "web"), ManagerState.UP)),
    ("mount:/srv/photos", (FactKey(MountFact.MOUNT, "/srv/photos"), MOUNTED)),
    ("mount:/srv//photos/", (FactKey(MountFact.MOUNT, "/srv/photos"), MOUNTED)),
    ("volume:media", (FactKey(StorageFact.VOLUME, "media"), True)),
    (
        "device:1111-2222",
        (FactKey(MountFact.DEVICE, "1111-2222"), DeviceState("1111-2222", ("/dev/sdb",), "", "")),
    ),
    ("session:alice", (FactKey(PlatformFact.SESSIONS, "alice"), frozenset({"3"}))),
    ("file:/etc/hostname", (FactKey(PlatformFact.FILE, "/etc/hostname"), PRESENT_FILE)),
    ("tcp:db.example.org:5432", (FactKey(GateFact.PROBE, "tcp:db.example.org:5432"), True)),
    ("dns:example.org", (FactKey(GateFact.PROBE, "dns:example.org"), True)),
    ("https://example.org/=204", (FactKey(GateFact.PROBE, "https://example.org/=204"), True)),
]
FAILING = [
    ("unit:a.service", unit("a.service", ActiveState.ACTIVATING)),
    ("unit:a.service=failed", unit("a.service")),
    ("user-unit:web/web.service", unit("web.service", ActiveState.FAILED, "web")),
    ("workload:db=healthy", (FactKey(WorkloadFact.WORKLOAD, "db"), "active")),
    ("workload:db=active", (FactKey(WorkloadFact.WORKLOAD, "db"), "failed")),
    ("manager:web", (FactKey(WorkloadFact.MANAGER, "web"), ManagerState.STARTING)),
    ("mount:/srv/photos", (FactKey(MountFact.MOUNT, "/srv"), MOUNTED)),
    ("volume:media", (FactKey(StorageFact.VOLUME, "media"), False)),
    ("device:1111-2222", (FactKey(MountFact.DEVICE, "1111-2222"), DeviceState("1111-2222", (), "", ""))),
    ("session:alice", (FactKey(PlatformFact.SESSIONS, "alice"), frozenset())),
    ("tcp:h:1", (FactKey(GateFact.PROBE, "tcp:h:1"), False)),
]


@pytest.mark.parametrize(("text", "fact"), HOLDING)
def test_an_atom_holds_by_its_fact(text, fact):
    """Each kind of atom holds when the one fact it mentions is as it says; then nothing is missing."""
    predicate = read(text)
    seen = facts(fact)
    assert predicate.keys() == {fact[0]}
    assert predicate.holds(seen)
    assert missing(predicate, seen) == ()
    assert not Not(predicate).holds(seen)


@pytest.mark.parametrize(("text", "fact"), FAILING)
def test_an_atom_fails_by_its_fact(text, fact):
    """Another value of the fact, or the fact of another subject, does not meet it; its negation holds."""
    predicate = read(text)
    assert not predicate.holds(facts(fact))
    assert Not(predicate).holds(facts(fact))


@pytest.mark.parametrize(
    "text", ["unit:a.service", "workload:b=active", "manager:c", "tcp:h:1", "container:x=healthy"]
)
def test_the_unknown_meets_neither_a_predicate_nor_its_negation(text):
    """What was never read or asked is no "no": `not(unit:x=active)` does not hold before x is seen."""
    predicate = read(text)
    assert not predicate.holds(facts())
    assert not Not(predicate).holds(facts())
    assert Any((Not(predicate), read("not(mount:/x)"))).holds(facts())


def test_combinators_take_their_members_apart():
    """all, any and not nest, with white space and capitals as one likes; the text is canonical."""
    predicate = read(" ALL( mount:/a ,any(unit:b.service,not ( file:/c )) )")
    assert predicate.text == "all(mount:/a, any(unit:b.service, not(file:/c)))"
    assert read(predicate.text) == predicate
    assert [each.text for each in atoms(predicate)] == ["mount:/a", "unit:b.service", "file:/c"]


def test_an_atom_may_have_commas_and_parentheses():
    """Balanced parentheses belong to the atom, and single quotes keep the rest together."""
    predicate = read("any(https://h/a(b,c)/d, 'https://h/e,f)')")
    assert [each.text for each in atoms(predicate)] == ["https://h/a(b,c)/d", "https://h/e,f)"]
    assert read(predicate.text) == predicate
    assert read("https://h/a,b").text == "https://h/a,b"


@pytest.mark.parametrize(
    ("text", "url", "status", "port"),
    [
        ("http://127.0.0.1:8080/ping", "http://127.0.0.1:8080/ping", None, 8080),
        ("https://ci.example.org=200", "https://ci.example.org", 200, 443),
        ("https://h/?code=200", "https://h/?code=200", None, 443),
        ("https://h/?code=200=303", "https://h/?code=200", 303, 443),
        ("https://h/?a=1&b=x", "https://h/?a=1&b=x", None, 443),
        ("http://[::1]:81/", "http://[::1]:81/", None, 81),
    ],
)
def test_a_url_may_say_its_status(text, url, status, port):
    """`=status` at the end is the status that is wanted, unless it is the value of the last parameter."""
    (probe,) = probes(read(text), facts())
    assert (probe.kind, probe.url, probe.status, probe.port) == (ProbeKind.HTTP, url, status, port)
    assert probe.key == FactKey(GateFact.PROBE, text)


def test_a_probe_accepts_its_status_or_any_good_one():
    """Without a status, 200 to 399 is an answer; with one, only that."""
    (any_status,) = probes(read("https://h/"), facts())
    (only,) = probes(read("https://h/=401"), facts())
    assert [any_status.accepts(status) for status in (199, 200, 399, 400, 503)] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert [only.accepts(status) for status in (200, 401)] == [False, True]


def test_tcp_takes_ipv6_in_brackets():
    """The host of a probe comes without its brackets."""
    (probe,) = probes(read("tcp:[2001:db8::1]:443"), facts())
    assert (probe.host, probe.port) == ("2001:db8::1", 443)


MISTAKES = [
    ("unti:a.service", "unknown predicate unti:", "unit"),
    ("mount", "has no kind", "one of unit:"),
    ("network-online.target", "has no kind", "unit:network-online.target"),
    ("/srv/x", "has no kind", "mount:/srv/x"),
    ("unit:a.servcie", "has no unit type", "a.service"),
    ("unit:network-online", "has no unit type", "network-online.service"),
    ("unit:a.service=actve", "unknown state 'actve'", "active"),
    ("unit:a b.service", "white space", ""),
    ("unit:a.service, unit:b.service", "white space", "as a list"),
    ("unit:", "names nothing", "unit:network-online.target"),
    ("user-unit:web.service", "does not name the workload", "WORKLOAD/web.service"),
    ("workload:db", "has no state", "workload:db=healthy"),
    ("workload:db=helthy", "unknown state 'helthy'", "healthy"),
    ("container:web", "has no state", "container:web=healthy"),
    ("mount:srv", "not an absolute path", "/srv"),
    ("file:/a/../b", "contains ..", ""),
    ("device:/dev/sda1", "may be another device", "UUID"),
    ("tcp:host", "has no port", "tcp:host:443"),
    ("tcp:host:0", "not a valid port", ""),
    ("tcp:::1:80", "not a valid host name", "brackets"),
    ("http:/x", "has no host", ""),
    ("https://h/=2000", "not a valid HTTP status", ""),
    ("https://h/=ok", "not a valid HTTP status", ""),
    ("https://user:secret@h/", "user or password", ""),
    ("https://h/#top", "never sent", ""),
    ("alll(unit:a.service)", "alll(…) is not a predicate", "all"),
    ("all()", "is empty", ""),
    ("all(unit:a.service", "the text ends too early", "close it"),
    ("all(unit:a.service,,unit:b.service)", "missing before ','", ""),
    ("not(unit:a.service, unit:b.service)", "takes one", "not(any("),
    ("any(unit:a.service) unit:b.service", "after the end", "all("),
    ("all('unit:a.service)", "quote is not closed", ""),
    ("", "is empty", ""),
    ("unit:a\x1b[31m.service", "control character", ""),
    ("not(" * (MAX_DEPTH + 2) + "unit:a.service" + ")" * (MAX_DEPTH + 2), "nested", ""),
    ("mount:/" + "x" * 5000, "longer", ""),
]


@pytest.mark.parametrize(("text", "message", "hint"), MISTAKES, ids=[text[:30] for text, _, _ in MISTAKES])
def test_a_mistake_has_a_place_and_a_remedy(text, message, hint):
    """What cannot be read becomes an error at its line that says what is wrong, with the nearest spelling."""
    found = wrong(text)
    assert (found.file, found.line, found.key) == ("workloads/web/workload.toml", 3, "requires")
    assert message in found.message
    assert hint in found.hint


def test_a_password_in_a_url_is_not_repeated():
    """The diagnostic of a URL with credentials does not show them."""
    assert "secret" not in str(wrong("https://user:secret@h/"))


@given(st.text(alphabet=string.printable, max_size=60))
def test_no_text_breaks_the_parser(text):
    """Whatever the text: a predicate whose own text means the same, or a diagnostic; never an exception."""
    found = parse(Located(text, "f", 1))
    assert isinstance(found, Diagnostic) or parse(Located(found.text, "f", 1)) == found


def test_a_list_gives_what_was_understood_and_what_was_not():
    """One bad text of a list does not hide the others."""
    good, bad = parse_all([Located("mount:/a", "f", 1), Located("mont:/b", "f", 2)])
    assert [each.text for each in good] == ["mount:/a"]
    assert [each.line for each in bad] == [2]


# What names mean inside a workload.


def repository() -> Desired:
    files = {
        "workloads/web/web.container": "[Container]\nImage=localhost/web\nHealthCmd=true\nNotify=healthy\n",
        "workloads/web/side.container": "[Container]\nImage=localhost/side\nContainerName=sidecar\n",
        "workloads/db/db.container": "[Container]\nImage=localhost/db\n",
        "workloads/bad/bad.container": "[Container]\nImagee=localhost/bad\n",
    }
    tree = Tree("", {path: TreeFile(path, text.encode()) for path, text in files.items()})
    return assemble(tree, HostRules("alpha"))


@pytest.fixture(scope="module")
def desired() -> Desired:
    return repository()


@pytest.fixture
def web(desired) -> Scope:
    return scope_of(desired.workloads["web"], desired)


def test_a_workload_means_its_own_unit_first(web):
    """`unit:web.service` in the workload that has one is that unit; any other name is the system's."""
    own, system = read("unit:web.service", web), read("unit:nginx.service", web)
    assert own.keys() == {FactKey(PlatformFact.UNIT, "web.service", "web")}
    assert system.keys() == {FactKey(PlatformFact.UNIT, "nginx.service")}


def test_a_container_is_named_as_by_podman_or_by_its_file(web):
    """`container:web` is web.container's, though podman calls it systemd-web; so is ContainerName=."""
    for text, name in (
        ("web", "systemd-web"),
        ("systemd-web", "systemd-web"),
        ("side", "sidecar"),
        ("sidecar", "sidecar"),
    ):
        (atom,) = atoms(read(f"container:{text}=healthy", web))
        assert {FactKey(HealthFact.CONTAINER, name, "web")} <= atom.keys()


def test_notify_healthy_tells_a_containers_health(web):
    """With Notify=healthy the active unit is a healthy container, until podman says otherwise."""
    predicate = read("container:web=healthy", web)
    up = facts(unit("web.service", scope="web"))
    assert predicate.holds(up)
    up.set(FactKey(HealthFact.CONTAINER, "systemd-web", "web"), "unhealthy")
    assert not predicate.holds(up)
    assert missing(predicate, up)[0].sentence == "container systemd-web of web is unhealthy"


def test_the_health_of_a_stopped_container_is_not_what_was_heard_last(web):
    """A unit that is not up has no healthy container, whatever podman's last event was."""
    predicate = read("container:web=healthy", web)
    stale = (FactKey(HealthFact.CONTAINER, "systemd-web", "web"), "healthy")
    assert predicate.holds(facts(stale, unit("web.service", scope="web")))
    assert not predicate.holds(facts(stale, unit("web.service", ActiveState.ACTIVATING, "web")))


def test_without_notify_only_podman_tells_a_containers_health(web):
    """An active unit of a container that notifies at its start says nothing of its health."""
    predicate = read("container:side=healthy", web)
    assert not predicate.holds(facts(unit("side.service", scope="web")))
    assert predicate.holds(facts((FactKey(HealthFact.CONTAINER, "sidecar", "web"), "healthy")))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("container:wbe=healthy", "no container wbe", "web"),
        ("workload:dbb=healthy", "no workload dbb", "db"),
        ("workload:web=healthy", "cannot wait for itself", "container:"),
        ("user-unit:dbb/db.service", "no workload dbb", "db"),
        ("user-unit:db/dbb.service", "no unit dbb.service", "db.service"),
    ],
)
def test_names_are_looked_up(web, text, message, hint):
    """A name that the repository does not have is an error when it is read, not a wait that never ends."""
    found = wrong(text, web)
    assert message in found.message
    assert hint in found.hint


def test_units_that_the_repository_does_not_define_may_be_meant(web):
    """A user's manager has units of its own, and a refused workload's are not known: neither is an error."""
    assert read("user-unit:db/podman.socket", web)
    assert read("user-unit:bad/bad.service", web)
    assert read("workload:bad=healthy", web)


# What is missing, in words.


def test_missing_names_each_part_in_a_sentence():
    """Of an all, the unmet members; an any is one part; a not says how things are."""
    predicate = read("all(unit:a.service, mount:/srv/photos, any(tcp:h:1, session:al), not(file:/stop))")
    seen = facts(
        unit("a.service"),
        (FactKey(GateFact.PROBE, "tcp:h:1"), False),
        (FactKey(PlatformFact.FILE, "/stop"), PRESENT_FILE),
    )
    parts = missing(predicate, seen)
    assert [(part.text, part.sentence) for part in parts] == [
        ("mount:/srv/photos", "mount /srv/photos is not mounted"),
        ("any(tcp:h:1, session:al)", "tcp:h:1 does not accept connections, and al is not logged in"),
        ("not(file:/stop)", "file /stop is there"),
    ]
    assert parts[1].keys == {FactKey(GateFact.PROBE, "tcp:h:1"), FactKey(PlatformFact.SESSIONS, "al")}


@pytest.mark.parametrize(
    ("text", "fact", "sentence"),
    [
        ("unit:a.service", None, "unit a.service is not loaded"),
        (
            "unit:a.service",
            unit("a.service", ActiveState.INACTIVE, load=LoadState.NOT_FOUND),
            "unit a.service is not installed",
        ),
        ("unit:a.service", unit("a.service", ActiveState.FAILED), "unit a.service is failed"),
        ("unit:a.service=failed", unit("a.service"), "unit a.service is active, not failed"),
        (
            "user-unit:w/a.service",
            unit("a.service", ActiveState.ACTIVATING, "w"),
            "unit a.service of w is activating",
        ),
        (
            "workload:db=healthy",
            (FactKey(WorkloadFact.WORKLOAD, "db"), "active"),
            "workload db is active, not healthy",
        ),
        (
            "manager:w",
            (FactKey(WorkloadFact.MANAGER, "w"), ManagerState.STARTING),
            "the user manager of w is starting",
        ),
        ("dns:h", None, "dns:h has not been probed yet"),
        ("dns:h", (FactKey(GateFact.PROBE, "dns:h"), False), "h does not resolve"),
        (
            "https://h/=200",
            (FactKey(GateFact.PROBE, "https://h/=200"), False),
            "https://h/ does not answer with 200",
        ),
    ],
)
def test_the_sentence_says_how_things_are(text, fact, sentence):
    """Why an atom is not met is a sentence about the host, as `eventctl why` shows it."""
    seen = facts(fact) if fact else facts()
    assert [part.sentence for part in missing(read(text), seen)] == [sentence]


def test_nothing_is_probed_while_a_local_fact_is_missing():
    """A remote host is asked only when its answer decides: not before the mount is there."""
    predicate = read("all(mount:/srv/photos, tcp:h:1)")
    mounted = (FactKey(MountFact.MOUNT, "/srv/photos"), MOUNTED)
    assert probes(predicate, facts()) == ()
    assert [probe.text for probe in probes(predicate, facts(mounted))] == ["tcp:h:1"]
    alternative = read("any(mount:/srv/photos, tcp:h:1)")
    assert [probe.text for probe in probes(alternative, facts())] == ["tcp:h:1"]
    assert probes(alternative, facts(mounted)) == ()


def test_a_negated_unknown_is_not_probed_for():
    """While a local fact is unknown, no answer of a probe can make the whole hold."""
    assert probes(read("all(not(unit:a.service), tcp:h:1)"), facts()) == ()
    assert probes(read("not(all(unit:a.service, tcp:h:1))"), facts()) != ()


# Properties.

NAMES = ("a.service", "b.service", "c.service")
VALUES: dict[FactKey, list[FactValue]] = {
    **{
        FactKey(PlatformFact.UNIT, name): [
            None,
            *(UnitState(name, active=ActiveState(s)) for s in UNIT_STATES),
        ]
        for name in NAMES
    },
    **{FactKey(MountFact.MOUNT, path): [None, MOUNTED] for path in ("/x", "/y")},
    **{FactKey(WorkloadFact.WORKLOAD, name): [None, "failed", "active", "healthy"] for name in ("v", "w")},
}
LEAVES = st.one_of(
    st.builds(
        lambda name, state: UnitIs(f"unit:{name}={state}", name, state),
        st.sampled_from(NAMES),
        st.sampled_from(UNIT_STATES),
    ),
    st.builds(lambda path: Present(f"mount:{path}", MountFact.MOUNT, path), st.sampled_from(["/x", "/y"])),
    st.builds(
        lambda name, state: WorkloadIs(f"workload:{name}={state}", name, state),
        st.sampled_from("vw"),
        st.sampled_from(["active", "healthy"]),
    ),
)
PREDICATES: st.SearchStrategy[Predicate] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda members: All(tuple(members))),
        st.lists(inner, min_size=1, max_size=3).map(lambda members: Any(tuple(members))),
        inner.map(Not),
    ),
    max_leaves=6,
)
CHANGES = st.lists(
    st.sampled_from(sorted(VALUES)).flatmap(
        lambda key: st.tuples(st.just(key), st.sampled_from(VALUES[key]))
    ),
    max_size=20,
)


@given(st.dictionaries(st.sampled_from("abcd"), PREDICATES, min_size=1), CHANGES)
def test_evaluating_by_index_equals_evaluating_everything(gates, changes):
    """After each change every gate reads as a fresh evaluation does, and only those that mention it were evaluated."""
    seen = Facts()
    indexed = Gates(seen, gates)
    for key, value in changes:
        before = indexed.evaluations
        seen.set(key, value)
        assert indexed.values == {gate: predicate.holds(seen) for gate, predicate in gates.items()}
        mentioning = sum({key} <= predicate.keys() for predicate in gates.values())
        assert indexed.evaluations - before <= mentioning


@given(PREDICATES, CHANGES, st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_change_the_outcome(predicate, changes, random):
    """Facts that arrive in any order, some of them twice, leave every gate as in any other order."""
    final = dict(changes)
    shuffled = [*final.items(), *random.sample(sorted(final.items(), key=str), len(final) // 2)]
    random.shuffle(shuffled)
    outcomes = set()
    for order in (list(final.items()), shuffled):
        seen = Facts()
        indexed = Gates(seen, {"gate": predicate})
        for key, value in order:
            seen.set(key, value)
        outcomes.add(indexed.values["gate"])
    assert len(outcomes) == 1


@given(PREDICATES, CHANGES)
def test_missing_is_empty_exactly_when_it_holds(predicate, changes):
    """What keeps a gate shut is always named, and its facts are among those the predicate mentions."""
    seen = facts(*dict(changes).items())
    parts = missing(predicate, seen)
    assert (parts == ()) is predicate.holds(seen)
    assert all(part.keys <= predicate.keys() and part.sentence for part in parts)


@given(PREDICATES, CHANGES)
def test_only_facts_that_are_mentioned_matter(predicate, changes):
    """A fact outside of `keys()` changes nothing: waking on `keys()` is enough."""
    seen = facts(*dict(changes).items())
    mentioned = facts(*((key, value) for key, value in dict(changes).items() if {key} <= predicate.keys()))
    assert predicate.value(seen) == predicate.value(mentioned)


def test_every_order_of_a_few_events_ends_alike():
    """All orders of three facts, told one by one, open the gate exactly with the last of them."""
    gate = read("all(unit:a.service, mount:/srv/photos, workload:db=healthy)")
    came = [
        unit("a.service"),
        (FactKey(MountFact.MOUNT, "/srv/photos"), MOUNTED),
        (FactKey(WorkloadFact.WORKLOAD, "db"), "healthy"),
    ]
    for order in permutations(came):
        seen = Facts()
        indexed = Gates(seen, {"gate": gate})
        values = [indexed.values["gate"]]
        for key, value in order:
            seen.set(key, value)
            values.append(indexed.values["gate"])
        assert values == [False, False, False, True]


def test_no_requirement_is_met_by_anything():
    """An empty list of requirements holds."""
    assert all_of().holds(facts())
    assert all_of(read("mount:/x")) == read("mount:/x")
