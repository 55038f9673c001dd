"""Compose files: what eventd reads of them, and where each mistake is."""

from __future__ import annotations

import pytest

from eventd.compose.model_file import Stack, parse_stack, stack_files
from eventd.kernel.model.diagnostics import Diagnostic


def read(text: str, *beside: str) -> tuple[Stack, tuple[Diagnostic, ...]]:
    return parse_stack(text.encode(), "workloads/shop/compose.yaml", frozenset(beside))


def test_services_images_and_what_they_need_are_read() -> None:
    """Images as written, env files of the host, bind mounts and named volumes."""
    stack, found = read(
        """
services:
  web:
    image: registry.example/web:1
    env_file: [/run/secrets/web.env, ./plain.env, "${MORE}/x.env"]
    volumes: ["./conf:/etc/conf:ro", "/srv/media:/media", "cache:/cache", "/anonymous"]
  db:
    build: ./db
    volumes:
      - {type: volume, source: data, target: /var/lib/db}
      - {type: bind, source: /srv/db, target: /srv}
volumes: {cache: {}, data: {}}
""",
        "plain.env",
        "conf/site.conf",
        "db/Containerfile",
    )
    assert found == ()
    web, db = stack.services
    assert (web.name, web.line, web.image, web.built) == ("web", 3, "registry.example/web:1", False)
    assert web.env_files == ("/run/secrets/web.env",)
    assert (web.binds, web.volumes) == (("/srv/media",), ("cache",))
    assert (db.image, db.built, db.binds, db.volumes) == ("", True, ("/srv/db",), ("data",))
    assert stack.env_files == ("/run/secrets/web.env",)


def test_merge_keys_and_aliases_are_followed() -> None:
    """What an anchor gives is there, and what the service writes itself wins."""
    stack, found = read(
        "x-base: &base\n  image: a:1\n  env_file: /run/secrets/a\n"
        "services:\n  one:\n    <<: *base\n  two:\n    <<: [*base]\n    image: b:2\n"
    )
    assert found == ()
    assert [(s.image, s.env_files) for s in stack.services] == [
        ("a:1", ("/run/secrets/a",)),
        ("b:2", ("/run/secrets/a",)),
    ]


def test_an_optional_env_file_is_not_needed() -> None:
    """`required: false` is compose's way to say that it may be missing."""
    stack, found = read(
        "services:\n  web:\n    image: a\n    env_file:\n"
        "      - {path: /etc/a.env, required: false}\n      - {path: /etc/b.env}\n"
    )
    assert (stack.env_files, found) == (("/etc/b.env",), ())


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("services:\n  web:\n   image: a\n  \tb: c\n", "bad-yaml", 4),
        ("services: [", "bad-yaml", 1),
        ("a: 1\n---\nb: 2\n", "bad-yaml", 2),
        ("", "no-services", 0),
        ("services:\n", "no-services", 1),
        ("services: [web]\n", "wrong-type", 1),
        ("services:\n  web:\n    command: x\n", "missing-key", 2),
        ("services:\n  web:\n    image: a\n    comand: x\n", "unknown-key", 4),
        ("servces:\n  web: {image: a}\nservices: {w: {image: a}}\n", "unknown-key", 1),
        ("services:\n  web:\n    image: a\n    env_file: x.env\n", "missing-file", 4),
        ("services:\n  web:\n    image: a\n    volumes:\n      - ./data:/data\n", "missing-file", 5),
        ("services:\n  web:\n    image: a\n    volumes:\n      - ../../x:/data\n", "escaping-path", 5),
        ("services:\n  web:\n    build:\n      context: img\n", "missing-file", 4),
    ],
)
def test_each_mistake_is_found_with_its_line(text: str, code: str, line: int) -> None:
    """A finding names the file, the line, and what to do."""
    _, found = read(text)
    assert [(f.code, f.line) for f in found] == [(code, line)]
    assert found[0].file == "workloads/shop/compose.yaml"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("services:\n  web:\n  \tb: c\n", "indent with spaces"),
        ("services: {}\na: 'x\n", "beginning in line 2"),
        ("a: 1\n b: 2\n", "the line before it"),
        ("[" * 100_000, "less deeply"),
    ],
    ids=["tab", "quote", "indent", "depth"],
)
def test_what_is_no_yaml_says_where_to_look(text: str, hint: str) -> None:
    """Where it breaks is often not where the mistake is."""
    _, found = read(text)
    assert hint in found[0].hint


def test_a_misspelling_is_answered_with_the_right_spelling() -> None:
    """`comand` is `command`."""
    _, found = read("services:\n  web:\n    image: a\n    comand: x\n")
    assert "command" in found[0].hint


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [" + "x," * 10 + "]\n" + "".join(f"b{n}: &b{n} [*a, *a, *a, *a, *a, *a]\n" for n in range(20)),
        "[" * 5000,
        "a: &a {<<: *a, services: *a}\nservices: *a\n",
        "services: &s\n  web: *s\n",
        "\0",
        "services:\n  web: {image: !!python/object/apply:os.system [id]}\n",
    ],
)
def test_a_hostile_file_is_a_finding_and_no_more(text: str) -> None:
    """Bombs of aliases, deep nesting, cycles and foreign tags end in an error of the repository."""
    _, found = read(text)
    assert found


def test_bytes_that_are_no_text_are_a_finding() -> None:
    """The file has to be UTF-8."""
    _, found = parse_stack(b"\xff\xfe\x00", "f", frozenset())
    assert found[0].code == "bad-yaml"


def test_the_usual_name_wins_and_its_override_follows() -> None:
    """As docker-compose finds its files."""
    names = dict.fromkeys(["docker-compose.yml", "compose.yaml", "compose.override.yaml", "web.env"])
    assert stack_files(names) == ("compose.yaml", "compose.override.yaml")
    assert stack_files({"compose.override.yaml": 1}) == ()
