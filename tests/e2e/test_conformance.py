"""The local API against the cloud's own description of it (tests/data/adt-api): requests are made from the description, and
every answer must be one that the description knows."""

import json
import os
import re
import urllib.parse

from harness import EndToEnd
from raw_http import RawConnection

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../data/adt-api/2023-10-31")


def load(name):
    with open(os.path.join(DATA, name), encoding="utf-8") as file:
        return json.load(file)


DESCRIPTION = load("digitaltwins.json")


def resolved(node):
    while "$ref" in node:
        path = node["$ref"].removeprefix("#/").split("/")
        node = DESCRIPTION
        for step in path:
            node = node[step]
    return node


def problems(value, schema, where="answer"):
    """What keeps `value` from being what `schema` describes; the keywords that the description uses."""
    schema = resolved(schema)
    types = {"object": dict, "array": list, "string": str, "boolean": bool}
    wanted = schema.get("type", "object" if "properties" in schema else None)
    if wanted and not isinstance(value, types[wanted]):
        return [f"{where} is no {wanted}: {value!r}"]
    found = [f"{where} has no {name}" for name in schema.get("required", []) if name not in value]
    for name, member in schema.get("properties", {}).items():
        if name in value:
            found += problems(value[name], member, f"{where}.{name}")
    if wanted == "array":
        for number, item in enumerate(value):
            found += problems(item, schema["items"], f"{where}[{number}]")
    return found


class Operation:
    def __init__(self, path, item):
        post = item["post"]
        self.path = path
        self.name = post["operationId"]
        self.parameters = [resolved(each) for each in item["parameters"] + post["parameters"]]
        self.responses = post["responses"]
        # "* 400 Bad Request\n  * InvalidArgument - ...\n": the codes that a status may have.
        self.codes = {}
        status = None
        for text in post["description"].splitlines():
            if match := re.match(r"\* (\d+) ", text):
                status = int(match[1])
            elif match := re.match(r"  \* (\w+) - ", text):
                self.codes.setdefault(status, set()).add(match[1])
        (example,) = post["x-ms-examples"].values()
        self.example = load(example["$ref"].removeprefix("./"))

    def request(self, changes):
        """The example with some parameters changed: each has a list of values, none for a parameter that is missing."""
        values = {each["name"]: [self.example["parameters"][each["name"]]] if each["name"] in self.example["parameters"]
                  else [] for each in self.parameters}
        values.update(changes)
        path, query, headers, body = self.path, [], [], b""
        for each in self.parameters:
            name, given = each["name"], values[each["name"]]
            if each["in"] == "path":
                path = path.replace("/{%s}" % name, "".join("/" + value for value in given))
            elif each["in"] == "query":
                query += [f"{name}={value}" for value in given]
            elif each["in"] == "header":
                headers += [(name, value) for value in given]
            else:
                body = b"".join(v if isinstance(v, bytes) else json.dumps(v).encode() for v in given)
        head = f"POST {path}{'?' if query else ''}{'&'.join(query)} HTTP/1.1\r\nHost: localhost\r\n".encode()
        for name, value in headers:
            head += name.encode() + b": " + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
        return head + b"Content-Type: %s\r\nContent-Length: %d\r\n\r\n" % (
            DESCRIPTION["consumes"][0].encode(), len(body)) + body


OPERATIONS = [Operation(path, item) for path, item in DESCRIPTION["paths"].items() if path.endswith("/telemetry")]

# What each parameter's values mean: statuses by kind of fault. A parameter that is new in the description has no row here, and
# the test fails until somebody has thought about it.
HUGE = "x" * 2000
ENORMOUS = "x" * 20000
EXPECTED = {
    "id": {"missing": ([], 404), "empty": ([""], 400), "doubled": (["a", "a"], 404), "huge": ([HUGE], 400),
           "enormous": ([ENORMOUS], 414),
           "wrong": [(["%ff"], 400), (["%00"], 400), (["a%2"], 400), (["%2e%2e"], 400), (["a%0d%0ab"], 400), (["a|b"], 400)],
           "fine": [["%2F"], ["a%20b"], ["%C3%A9"], ["x" * 1024]]},
    "componentPath": {"missing": ([], 404), "empty": ([""], 400), "doubled": (["a", "a"], 404), "huge": ([HUGE], 400),
                      "enormous": ([ENORMOUS], 414), "wrong": [(["%ff"], 400), (["%7f"], 400), (["."], 400)],
                      "fine": [["motor"], ["a%2Fb"]]},
    "api-version": {"missing": ([], 400), "empty": ([""], 400), "doubled": (["2023-10-31", "2023-10-31"], 400),
                    "huge": ([HUGE], 400), "enormous": ([ENORMOUS], 414),
                    "wrong": [(["2019-01-01"], 400), (["2023-10-31x"], 400), (["%ff"], 400), (["latest"], 400)],
                    "fine": [["2020-10-31"], ["2022-05-31"], ["2023-06-30"], ["2023%2D10%2D31"]]},
    "Message-Id": {"missing": ([], 400), "empty": ([""], 400), "doubled": (["a", "a"], 400), "huge": ([HUGE], 400),
                   "enormous": ([ENORMOUS], 431), "wrong": [([b"\xff\xfe"], 400), ([b"a\xc2\x85"], 400), (["\t \t"], 400)],
                   "fine": [["x" * 1024], ["é"], ["{a b}"]]},
    "Telemetry-Source-Time": {"missing": ([], 204), "empty": ([""], 204), "doubled": (["2023-01-01T00:00:00Z"] * 2, 400),
                              "huge": ([HUGE], 400), "enormous": ([ENORMOUS], 431), "wrong": [([b"\xff"], 400)],
                              # The cloud takes what is no RFC 3339: its own .NET SDK sends this one.
                              "fine": [["01/01/01 0:00:00 +00:00"], ["2023-01-01T00:00:00.123456+01:00"]]},
    "traceparent": {"missing": ([], 204), "empty": ([""], 204), "doubled": (["00-1", "00-1"], 400), "huge": ([HUGE], 400),
                    "enormous": ([ENORMOUS], 431), "wrong": [([b"\xff"], 400)], "fine": [["00-0af7-b7ad-01"]]},
    # A list header: several lines are one list.
    "tracestate": {"missing": ([], 204), "empty": ([""], 204), "doubled": (["a=1", "b=2"], 204), "huge": ([HUGE], 204),
                   "enormous": ([ENORMOUS], 431), "wrong": [([b"\xff"], 400)], "fine": [["a=1,b=2"]]},
    "telemetry": {"missing": ([], 400), "empty": ([{}], 204), "doubled": ([{}, {}], 400), "huge": ([{"a": "x" * 32761}], 413),
                  "enormous": ([{"a": "x" * 2_000_000}], 413),
                  "wrong": [([[1]], 400), (["text"], 400), ([1], 400), ([None], 400), ([True], 400), ([b"{"], 400),
                            ([b'{"a":1,}'], 400), ([b'{"a":NaN}'], 400), ([b'{"a":"\xff"}'], 400),
                            ([b'\xef\xbb\xbf{}'], 400), ([b"{'a':1}"], 400), ([b'{"a":"\x00"}'], 400)],
                  "fine": [[{"a": {"b": [1, None]}}], [b' {"a":1e400} \r\n'], [b'{"a":123456789012345678901234567890}'],
                           [b'{"a":1,"a":2}'], [{"a": "x" * 32000}]]},
}


class Conformance(EndToEnd):
    def setUp(self):
        super().setUp()
        self.cloud.down()
        self.daemon.start()
        self.count = 0

    def send(self, operation, **changes):
        """On a connection of its own; `telemetry` or a header by its name in the description."""
        if "Message-Id" not in changes:
            self.count += 1
            changes["Message-Id"] = [f"id-{self.count}"]
        connection = RawConnection(self.daemon.socket)
        try:
            connection.write(operation.request(changes))
            return connection.answer()
        finally:
            connection.close()

    def assert_described(self, operation, answer, status):
        self.assertEqual(answer.status, status, answer.body)
        response = operation.responses.get(str(status), operation.responses["default"])
        if "schema" not in response:
            self.assertEqual(answer.body, b"")
            return
        for header in response["headers"]:
            self.assertTrue(answer.headers[header])
        self.assertIn(DESCRIPTION["produces"][0], answer.headers["Content-Type"])
        body = json.loads(answer.body)
        self.assertEqual(problems(body, response["schema"]), [])
        self.assertEqual(body["error"]["code"], answer.headers["x-ms-error-code"])
        self.assertTrue(body["error"]["message"])
        self.assertNotIn("Retry-After", answer.headers)  # SDKs would try again what can never succeed
        if status in operation.codes and status == 400:
            self.assertIn(body["error"]["code"], operation.codes[status], body)

    def test_the_description_has_both_operations(self):
        self.assertEqual([operation.name for operation in OPERATIONS],
                         ["DigitalTwins_SendTelemetry", "DigitalTwins_SendComponentTelemetry"])

    def test_the_clouds_own_examples_are_accepted(self):
        for operation in OPERATIONS:
            for status in operation.example["responses"]:
                with self.subTest(operation.name):
                    answer = self.send(operation, **{"Message-Id": [operation.example["parameters"]["Message-Id"]]})
                    self.assert_described(operation, answer, int(status))
        rows = self.daemon.sql("select twin, component, message_id, source_time, body from queue")
        self.assertEqual(rows[1], {"twin": "myTwinId", "component": "myComponent", "body": '{"temperature": 1}',
                                   "message_id": "e5ca50dd-ca31-4fae-8d84-3af5a72b10c5",
                                   "source_time": "1985-04-12T23:20:50.52Z"})

    def test_every_parameter_missing_empty_wrong_doubled_and_huge(self):
        for operation in OPERATIONS:
            for parameter in operation.parameters:
                rules = EXPECTED[parameter["name"]]
                cases = [(kind, *rules[kind]) for kind in ("missing", "empty", "doubled", "huge", "enormous")]
                cases += [("wrong", *each) for each in rules["wrong"]]
                cases += [("fine", values, 204) for values in rules["fine"]]
                for kind, values, status in cases:
                    with self.subTest(operation.name, parameter=parameter["name"], kind=kind, values=str(values)[:60]):
                        if kind == "missing":  # the description's own word on it
                            self.assertEqual(status == 204, not parameter.get("required", False))
                        answer = self.send(operation, **{parameter["name"]: values})
                        self.assert_described(operation, answer, status)
        accepted = self.daemon.status()["totals"]["accepted"]
        self.assertEqual(len(self.daemon.sql("select 1 from queue")), accepted)
        self.assert_accepted(self.daemon.send("still-there"))

    def test_the_javascript_sdks_swapped_component_call_is_explained(self):
        # @azure/digital-twins-core 1.1.0 gives (payload, messageId) to a call that takes (messageId, payload).
        operation = OPERATIONS[1]
        answer = self.send(operation, **{"Message-Id": ['{"temperature":1}'], "telemetry": ["e5ca50dd"]})
        self.assert_described(operation, answer, 400)
        error = json.loads(answer.body)["error"]
        self.assertEqual(error["code"], "ValidationFailed")
        self.assertIn("swapped", error["message"])
        self.assertIn("JavaScript SDK", error["message"])

    def test_ids_are_kept_as_the_path_has_them(self):
        operation = OPERATIONS[0]
        for twin in ("twin 1/é:+", "Zürich", "a'b(c)!"):
            for safe in ("", "!'()*~"):  # Python's quote() and JavaScript's encodeURIComponent()
                path = urllib.parse.quote(twin, safe=safe)
                self.assert_described(operation, self.send(operation, id=[path]), 204)
                self.assertEqual(self.daemon.sql("select twin from queue order by sequence desc limit 1")[0]["twin"], path)
