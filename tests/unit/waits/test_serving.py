"""Who answers at an address, as far as unit files, labels and open ports tell."""

import pytest

from eventd.gates.model_predicate_parse import parse
from eventd.gates.model_predicates import probes
from eventd.kernel.model.facts import Facts
from eventd.kernel.model.located import Located
from eventd.waits.model_serving import Directory, Port, is_local, listening, published
from eventd.waits.model_units import Listener, UnitSpec
from tests.unit.waits.waitgraphs import ONESHOT, SIMPLE, circles, graph, wait


def servers(directory: Directory, text: str) -> list[str]:
    (probe,) = probes(parse(Located(text, "f", 1)), Facts())
    return [server.unit for server in directory.servers(probe)]


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("8080:80", Port("", 8080, 8080)),
        ("8080:80/tcp", Port("", 8080, 8080)),
        ("127.0.0.1:8080:80", Port("127.0.0.1", 8080, 8080)),
        ("[::1]:8080:80", Port("::1", 8080, 8080)),
        ("8000-8010:8000-8010", Port("", 8000, 8010)),
        ("80", None),
        ("127.0.0.1::80", None),
        ("53:53/udp", None),
        ("%i:80", None),
    ],
)
def test_a_published_port(text, port):
    """`PublishPort=` as podman reads it; a port of podman's own choice is nobody's address."""
    assert published(text) == port


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("80", Port("", 80, 80)),
        ("127.0.0.1:80", Port("127.0.0.1", 80, 80)),
        ("[::]:80", Port("::", 80, 80)),
        ("/run/x.sock", None),
        ("@abstract", None),
        ("vsock::22", None),
    ],
)
def test_a_listening_port(text, port):
    """`ListenStream=` as systemd reads it; a path is no port."""
    assert listening(text) == port


def test_an_address_of_this_host_is_local():
    """Loopback, the unspecified address and localhost; a name on the network is not."""
    assert all(is_local(host) for host in ("localhost", "127.0.0.1", "127.8.0.1", "::1", "0.0.0.0"))
    assert not any(is_local(host) for host in ("example.org", "192.0.2.1", "localhost.example.org"))


def test_only_a_port_on_the_asked_address_answers():
    """What is published on another address does not answer on localhost's; what is on all does."""
    web = UnitSpec("web.service", (), publishes=("192.0.2.1:8080:80", "8081:80"))
    directory = Directory((web,))
    assert servers(directory, "http://127.0.0.1:8081/") == ["web.service"]
    assert servers(directory, "http://127.0.0.1:8080/") == []
    assert servers(directory, "http://example.org:8081/") == []
    named = Directory((web,), hostnames=frozenset({"example.org"}))
    assert servers(named, "http://example.org:8081/") == ["web.service"]


def test_who_has_a_port_open_now_answers_there():
    """A live listener is found by the unit that its cgroup names."""
    directory = Directory((), (Listener("0.0.0.0", 80, "nginx.service"),))
    assert servers(directory, "http://localhost/") == ["nginx.service"]
    assert servers(directory, "http://localhost:81/") == []


@pytest.mark.parametrize(
    "label",
    [
        "traefik.http.routers.ci.rule=Host(`ci.example.org`)",
        "traefik.http.routers.ci.rule=PathPrefix(`/x`) && Host(`a.example.org`, `ci.example.org`)",
        '"traefik.http.routers.ci.rule=Host(`CI.example.org`)"',
        "caddy=ci.example.org",
        "caddy=http://a.example.org, https://ci.example.org:443",
    ],
)
def test_labels_of_a_reverse_proxy_say_who_answers(label):
    """A host name that labels route to a container is answered by it."""
    files = {
        "gate.service": ONESHOT,
        "ci.container": f"[Unit]\nAfter=gate.service\n[Container]\nImage=a\nLabel={label}\n",
    }
    assert circles(files, wait("gate.service", "https://ci.example.org/"))


def test_a_socket_answers_a_connection_before_its_service_runs():
    """tcp: is met by the listening socket; http: takes the service, which comes after the waiter here."""
    files = {
        "gate.service": ONESHOT,
        "web.socket": "[Socket]\nListenStream=8080\n",
        "web.service": "[Unit]\nAfter=gate.service\n" + SIMPLE,
    }
    assert circles(files, wait("gate.service", "tcp:127.0.0.1:8080")) == ()
    (cycle,) = circles(files, wait("gate.service", "http://127.0.0.1:8080/"))
    assert "passes its connections to web.service" in " ".join(edge.sentence for edge in cycle.edges)


def test_a_declared_server_goes_before_what_is_guessed():
    """With `served_by`, a published port of another is not looked at."""
    files = {
        "gate.service": ONESHOT,
        "late.container": "[Unit]\nAfter=gate.service\n[Container]\nImage=a\nPublishPort=8080:80\n",
        "free.service": SIMPLE,
    }
    assert circles(files, wait("gate.service", "http://localhost:8080/"))
    assert circles(files, wait("gate.service", "http://localhost:8080/", "free.service")) == ()


def test_an_unknown_server_is_noted_with_who_it_might_be():
    """A wait whose answer nobody is known to give is no circle, and not passed over in silence."""
    files = {
        "gate.service": ONESHOT,
        "dashboard.service": "[Unit]\nAfter=gate.service\n[Service]\nEnvironment=HOST=ci.example.org\nExecStart=/x\n",
    }
    made = graph(files, wait("gate.service", "https://ci.example.org/"))
    (note,) = made.notes
    assert "the server of https://ci.example.org/ is not known (waits.toml:3)" in note
    assert "; dashboard.service names that host; if it is dashboard.service, this is circular" in note
