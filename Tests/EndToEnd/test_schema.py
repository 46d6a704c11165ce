"""`tollgate schema`, judged by a validator that editors' ones agree with."""

import copy
import json
import pathlib
import re
import subprocess

import jsonschema
import pytest
from harness.program import environment, tollgate_binary

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def schema():
    told = subprocess.run([tollgate_binary(), "schema"], capture_output=True, text=True)
    assert told.returncode == 0 and not told.stderr
    return json.loads(told.stdout)


@pytest.fixture(scope="module")
def validator(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def without_comments(text):
    """JSON with comments and trailing commas, as JSON."""
    kept = re.sub(
        r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', lambda m: m[1] or "", text, flags=re.S
    )
    return json.loads(re.sub(r',(\s*[}\]])', r"\1", kept))


def check(folder, routes):
    file = folder / "routes.json"
    file.write_text(json.dumps(routes))
    return subprocess.run(
        [tollgate_binary(), "check", file], capture_output=True, text=True,
        env=environment(SECRET="x"),
    )  # fmt: skip


MINIMAL = {
    "issuers": {"corp": {"issuer": "https://login.example.com", "audiences": ["a"]}},
    "exchanges": {
        "corp": {"tokenService": "corp", "client": {"id": "g", "secret": {"env": "SECRET"}}}
    },
    "upstreams": {"orders": {"servers": ["http://127.0.0.1:1"]}},
    "listeners": [{"address": "127.0.0.1:8080"}],
    "routes": [
        {
            "match": {"path": "/orders/*"},
            "exchange": {"audience": "orders"},
            "forward": {"to": "orders"},
        }
    ],
}


@pytest.mark.parametrize("example", sorted(ROOT.glob("examples/*/routes.json")))
def test_the_examples_are_valid(validator, example):
    validator.validate(without_comments(example.read_text()))


def test_the_smallest_file_is_valid(validator, tmp_path):
    validator.validate(MINIMAL)
    assert check(tmp_path, MINIMAL).returncode == 0


MISTAKES = [
    (("routes", 0, "exchange", "audiance"), "orders"),
    (("routes", 0, "forward", "timeout"), "30"),
    (("routes", 0, "forward", "timeout"), 30),
    (("routes", 0, "admit"), {"person": "rejekt"}),
    (("routes", 0, "exchange"), "stripp"),
    (("listeners", 0, "tls"), {"certificates": []}),
    (("limits",), {"connections": 0}),
    (("limits",), {"body": "10MB"}),
    (("issuers", "corp", "algorithms"), ["HS256"]),
    (("exchanges", "corp", "client"), {"secret": {"env": "SECRET"}}),
    (("upstreams", "orders", "balance"), "hash"),
    (("accessLog",), {"format": "yaml"}),
    (("admin",), "on"),
    (("workers",), "many"),
]


@pytest.mark.parametrize("path, value", MISTAKES, ids=[str(m[0][-1]) + str(m[1]) for m in MISTAKES])
def test_what_check_refuses_an_editor_refuses_too(validator, tmp_path, path, value):
    routes = copy.deepcopy(MINIMAL)
    place = routes
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert check(tmp_path, routes).returncode == 1
    assert not validator.is_valid(routes)


def objects_of(schema):
    """The object among what a value may be."""
    if "properties" in schema:
        return schema
    for choice in schema.get("anyOf", []):
        if "properties" in choice:
            return choice
    return None


def with_defaults(schema, given):
    """An object with every default that the schema names written out."""
    filled = dict(given)
    for name, property in schema["properties"].items():
        if name in given:
            continue
        inner = objects_of(property)
        if "default" in property:
            filled[name] = property["default"]
        elif inner and not inner.get("required"):
            filled[name] = with_defaults(inner, {})
    return filled


def test_every_default_that_it_names_is_taken_and_changes_nothing(schema, validator, tmp_path):
    routes = copy.deepcopy(MINIMAL)
    properties = schema["properties"]
    for section in ("issuers", "exchanges", "upstreams"):
        entry = properties[section]["additionalProperties"]
        for name in routes[section]:
            routes[section][name] = with_defaults(entry, routes[section][name])
    route = with_defaults(properties["routes"]["items"], {"match": {}} | routes["routes"][0])
    del route["forward"]
    routes["routes"] = [route | {"forward": routes["routes"][0]["forward"]}]
    for section in ("limits", "shutdown", "accessLog", "admin"):
        routes[section] = with_defaults(objects_of(properties[section]), {})
    for name in ("respond", "redirect", "rateLimit", "clientCredentials", "cors"):
        assert routes["routes"][0].pop(name, None) is None
    told = check(tmp_path, routes)
    assert told.returncode == 0, told.stderr
    validator.validate(routes)


def test_every_key_says_what_it_is_for(schema):
    def look(part, path):
        for name, property in part.get("properties", {}).items():
            assert property.get("description"), f"{path}.{name}"
            look(property, f"{path}.{name}")
        for inner in part.get("anyOf", []):
            look(inner, path)
        for key in ("items", "additionalProperties"):
            if isinstance(part.get(key), dict):
                look(part[key], path)

    look(schema, "")
    assert len(json.dumps(schema)) > 10_000
