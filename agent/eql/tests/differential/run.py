#!/usr/bin/env python3
"""Compares `vedette hunt` with PyPI's eql 1.0.1 on generated queries and events.

    python3 -m venv venv && venv/bin/pip install eql==1.0.1
    venv/bin/python agent/eql/tests/differential/run.py target/release/vedette

Each query exercises one topic. A topic either agrees on every query, or stands in DIFFERENT with the reason, which
docs/eql.md repeats. The run fails if a topic that should agree does not, or if one that differs no longer does. The
other engine is a tool that is run, no part of this project.
"""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import eql
from eql import Event
from eql.engine import PythonEngine

# Topic: why the two differ.
DIFFERENT = {
    "division of negative numbers": "eql rounds down, and % has the right side's sign; Elasticsearch cuts towards zero",
    "until on a first event": "eql keeps a partial that begins with the event that ends it; Elasticsearch does not",
    "case of ==": "eql compares text in any case; Elasticsearch's == is exact",
    "case of in": "eql compares text in any case; Elasticsearch's in is exact, in~ is not",
    "case of like": "eql ignores case; Elasticsearch's like is exact, like~ is not",
    "case of join keys": "eql joins keys in any case; Elasticsearch by exact value",
    "question mark": "eql has no wildcard ?; for Elasticsearch it is one character",
    "missing and !=": "a missing field makes != null, which eql drops; for Elasticsearch it is true",
    "missing and not": "not of a null condition is null for eql, true for Elasticsearch",
    "arrays": "eql compares an array as a whole; for Elasticsearch any value will do",
    "null join keys": "eql joins events without the key; Elasticsearch leaves them out",
    "arrays as join keys": "eql takes an array as one key; Elasticsearch each of its values",
    "maxspan below a second": "eql cuts maxspan to whole seconds",
    "missing events": "eql reports sequences whose missing event was there",
    "regular expressions": "eql matches a beginning; Elasticsearch the whole value",
}


def events(rng, odd):
    """A list of events in the order of time; `odd` adds what the two are known to read differently."""
    result, time = [], 0
    for number in range(30):
        time += rng.choice([0, 1, 500, 1000, 1500])
        event = {
            "id": number,
            "@timestamp": time,
            "event_type": rng.choice(["a", "b", "c"]),
            "name": rng.choice(["bash", "curl", "sh"]),
            "n": rng.randint(-5, 20),
            "k": rng.choice(["x", "y"]),
            "ip": rng.choice(["10.1.2.3", "192.168.0.9", "8.8.8.8"]),
            "path": rng.choice(["/bin/bash", "/tmp/a.sh", "/usr/bin/curl"]),
        }
        if odd == "case":
            event["name"] = rng.choice(["bash", "Bash", "BASH", "curl"])
            event["k"] = rng.choice(["x", "X"])
        if odd == "missing" and rng.random() < 0.5:
            del event["name"], event["k"]
        if odd == "arrays":
            event["name"] = rng.choice([["bash", "curl"], "sh", ["sh"]])
            event["k"] = rng.choice([["x", "y"], "x"])
        result.append(event)
    return result


def topics(rng):
    """Yields topic, query and which oddity its events have."""
    name = rng.choice(["bash", "curl", "sh"])
    n = rng.randint(-6, 21)
    op = rng.choice(["==", "!=", "<", "<=", ">", ">="])
    a, b, c = (rng.choice("abc") for _ in range(3))
    two = f"[{a} where true] [{b} where n > {n}]"
    span = rng.randint(1, 9)
    yield "comparisons of numbers", f"any where n {op} {n}", None
    yield "comparisons of text", f'any where name == "{name}" or path != "/tmp/a.sh"', None
    yield "and, or, not", f'any where not (n > {n} and name == "{name}") or n == 3', None
    yield "in", f'any where name in ("{name}", "zsh") and n in (1, 2, {n})', None
    yield "arithmetic", f"any where n * 2 + 1 > {n} and n - 1 < 12", None
    yield "division of whole numbers", f"any where n >= 0 and (n / 2 == {abs(n) // 2} or n % 3 == 1)", None
    yield "division of negative numbers", "any where n / 2 == -1 or n % 3 == 1", None
    yield "wildcards", f'any where path : "/*{name[:2]}*"', None
    yield "startsWith, endsWith", f'any where startsWith(path, "/t") or endsWith(name, "{name[-1]}")', None
    yield "stringContains, length", f'any where stringContains(path, "bin") and length(name) > {n % 5}', None
    yield "substring, indexOf", f'any where substring(path, 1, 4) == "bin" or indexOf(path, "a") == {n % 9}', None
    yield "concat, string", f'any where concat(name, ":", n) == "{name}:{n}" or string(n) == "{n}"', None
    yield "number", f'any where number(string(n)) == {n}', None
    yield "between", 'any where between(path, "/", "/") == "bin"', None
    yield "cidrMatch", 'any where cidrMatch(ip, "10.0.0.0/8", "192.168.0.0/16")', None
    yield "sequences", f"sequence by k with maxspan={span}s {two}", None
    yield "sequences of three", f"sequence by k with maxspan={span}s {two} [{c} where true]", None
    yield "sequences without keys", f"sequence with maxspan={span}s {two}", None
    yield "keys of terms", f"sequence with maxspan={span}s [{a} where true] by k [{b} where true] by k", None
    yield "until", f"sequence by k [a where true] [b where n > {n}] until [c where n < 4]", None
    yield "until on a first event", f"sequence by k [a where true] [b where n > {n}] until [a where n < 4]", None
    yield "runs", f"sequence by k [{a} where true] with runs=3 [{b} where true]", None
    yield "case of ==", 'any where name == "bash"', "case"
    yield "case of in", 'any where name in ("bash", "curl")', "case"
    yield "case of like", 'any where name like "b*"', "case"
    yield "case of join keys", f"sequence by k [{a} where true] [{b} where true]", "case"
    yield "question mark", 'any where name : "?ash" or path : "/tmp/?.sh"', None
    yield "missing and !=", f'any where name != "{name}"', "missing"
    yield "missing and not", f'any where not (name == "{name}")', "missing"
    yield "arrays", 'any where name == "curl"', "arrays"
    yield "null join keys", f"sequence by k [{a} where true] [{b} where true]", "missing"
    yield "arrays as join keys", f"sequence by k [{a} where true] [{b} where true]", "arrays"
    yield "maxspan below a second", f"sequence by k with maxspan=1500ms [{a} where true] [{b} where true]", None
    yield "missing events", f"sequence by k with maxspan={span}s [{a} where true] ![{c} where true] [{b} where true]", None
    yield "regular expressions", 'any where path regex "/bin"', None


def theirs(query, documents):
    found = []
    engine = PythonEngine({"print": False, "time_unit": 1000})
    engine.add_output_hook(lambda result: found.append([event.data["id"] for event in result.events]))
    with eql.parser.elasticsearch_syntax, eql.parser.allow_runs, eql.parser.allow_negation:
        engine.add_query(eql.parse_query(query))
    try:
        engine.stream_events([Event(d["event_type"], d["@timestamp"], d) for d in documents])
    except TypeError as error:  # An array where it needs a key that can be hashed.
        return repr(error)
    return found


def ours(binary, query, documents, folder):
    path = Path(folder) / "events.ndjson"
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    flags = ["--json", "--timestamp-field", "@timestamp", "--event-category-field", "event_type"]
    run = subprocess.run([binary, "hunt", *flags, query, str(path)], capture_output=True, text=True, check=True)
    ids = [[event and event["id"] for event in json.loads(line)["events"]] for line in run.stdout.splitlines()]
    return [[number for number in match if number is not None] for match in ids]


def main():
    binary, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 40
    count, differ, example = {}, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(rounds):
            rng = random.Random(seed)
            for topic, query, odd in topics(rng):
                documents = events(rng, odd)
                a, b = ours(binary, query, documents, folder), theirs(query, documents)
                count[topic] = count.get(topic, 0) + 1
                if a != b:
                    differ[topic] = differ.get(topic, 0) + 1
                    example.setdefault(topic, (query, a, b))
    wrong = 0
    for topic, total in count.items():
        number = differ.get(topic, 0)
        print(f"{topic:28} {total - number:4} of {total} agree   {DIFFERENT.get(topic, '') if number else ''}")
        if (number > 0) != (topic in DIFFERENT):
            wrong += 1
            print(f"  unexpected: {example.get(topic)}")
    print(f"{len(count) - wrong} passed, {wrong} failed")
    sys.exit(bool(wrong))


main()
