import unittest

from harness import EndToEnd, UnixConnection

try:
    import requests
    from azure.core.credentials import AccessToken
    from azure.core.exceptions import HttpResponseError
    from azure.core.pipeline.transport import RequestsTransport
    from azure.digitaltwins.core import DigitalTwinsClient
    from urllib3 import HTTPConnectionPool
    MISSING = None
except ImportError as missing:  # only where somebody runs the tests without scripts/setup
    MISSING = str(missing)
    requests = RequestsTransport = DigitalTwinsClient = HTTPConnectionPool = None


class NoCredential:
    """The socket needs none, the SDK insists on one."""

    def get_token(self, *_scopes, **_options):
        return AccessToken("none", 1 << 40)


def unix_adapter(path):
    class Pool(HTTPConnectionPool):
        def _new_conn(self):
            connection = super()._new_conn()
            unix = UnixConnection(path)

            def connect():
                unix.connect()
                connection.sock = unix.sock

            connection.connect = connect
            return connection

    class Adapter(requests.adapters.HTTPAdapter):
        def __init__(self):
            super().__init__()
            self.pool = Pool("gateway.local")

        def get_connection(self, url, proxies=None):
            return self.pool

    return Adapter()


@unittest.skipIf(MISSING, f"no Azure SDK: {MISSING}")
class PythonSdk(EndToEnd):
    """Microsoft's own client, unchanged, whose transport is put on the socket."""

    def client(self):
        session = requests.Session()
        # The SDK hands its token to https:// endpoints only: the name says https, the adapter takes the socket.
        session.mount("https://", unix_adapter(self.daemon.socket))
        self.addCleanup(session.close)
        return DigitalTwinsClient("https://gateway.local", NoCredential(),
                                  transport=RequestsTransport(session=session, session_owner=False))

    def test_the_official_sdk_publishes_through_the_socket(self):
        self.daemon.start()
        client = self.client()
        client.publish_telemetry("room 1/é", {"temperature": 21.5, "name": "é"}, message_id="id-1")
        client.publish_component_telemetry("room", "thermostat", {"temperature": 22}, message_id="id-2")
        client.publish_telemetry("room", {"temperature": 23})
        records = self.cloud.wait_for_records(3)
        by_twin = {(r["twin"], r["component"]): r for r in records}
        first = by_twin["room%201%2F%C3%A9", ""]
        self.assertEqual(first["body"], '{"temperature": 21.5, "name": "\\u00e9"}')  # as the SDK wrote it
        self.assertEqual(first["message_id"], "id-1")
        self.assertRegex(first["source_time"], r"^20\d\d-")
        self.assertEqual(by_twin["room", "thermostat"]["message_id"], "id-2")
        self.assertTrue(by_twin["room", ""]["message_id"])

    def test_the_sdk_understands_a_refusal(self):
        self.daemon.start()
        with self.assertRaises(HttpResponseError) as refused:
            self.client().publish_telemetry("room", '{"a string": "as in the README sample"}')
        self.assertEqual(refused.exception.status_code, 400)
        self.assertIn("ValidationFailed", str(refused.exception))

    def test_the_sdk_goes_on_through_an_outage(self):
        self.daemon.start()
        self.cloud.down()
        client = self.client()
        for n in range(10):
            client.publish_telemetry("room", {"n": n}, message_id=f"id-{n}")
        self.cloud.up()
        self.daemon.wait_until_drained()
        self.assertEqual([r["message_id"] for r in self.cloud.records()], [f"id-{n}" for n in range(10)])
