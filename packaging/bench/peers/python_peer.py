"""Feeds an ECS recording to PyPI's eql and prints when each sequence that it finds ended: python_peer.py FILE QUERY

The package imports whatever is called eql_…, so this file is not. To it an array equals no text, and so arrays of one value are that value.
"""

import calendar
import json
import sys
import time

import eql

path, query = sys.argv[1:3]


def milliseconds(text):
    """RFC 3339 text with milliseconds as milliseconds since 1970."""
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) * 1000 + int(text[20:23])


def events():
    with open(path, "rb") as lines:
        for line in lines:
            document = json.loads(line)
            event = document["event"]
            event["type"] = event["type"][0]
            yield eql.Event(event["category"][0], milliseconds(document["@timestamp"]), document)


found = []
with eql.Schema({}, allow_any=True), eql.parser.elasticsearch_syntax:
    parsed = eql.parse_query(query)
engine = eql.PythonEngine({"time_unit": 1000})
engine.add_query(parsed)
engine.add_output_hook(found.append)
engine.stream_events(events(), finalize=True)
for match in found:
    print(match.events[-1].data["@timestamp"])
