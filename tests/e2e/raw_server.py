"""An HTTPS server whose every byte a test decides: for answers and handshakes that no well-behaved server gives."""

import contextlib
import socket
import ssl
import threading

DELIVERED = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"


def tls_context(files, lowest=ssl.TLSVersion.TLSv1_2, highest=ssl.TLSVersion.TLSv1_3, client_ca=None, weak=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if weak:
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = lowest, highest
    context.load_cert_chain(files.cert_file, files.key_file)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


def read_request(connection):
    """Head and body of one request; None at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    length = int(field(head.decode("latin-1"), "Content-Length") or 0)
    while len(body) < length:
        more = connection.recv(65536)
        if not more:
            return None
        body += more
    return head.decode("latin-1"), body


def field(head, name):
    for line in head.split("\r\n")[1:]:
        key, value = line.split(":", 1)
        if key.lower() == name.lower():
            return value.strip()
    return None


class RawServer:
    """`act(connection, head, body)` answers each request; what it is set to counts from the next request on.

    What it returns: True, the connection goes on; else it is closed, with close_notify.
    """

    def __init__(self, context, act=None, address=("127.0.0.1", 0), family=socket.AF_INET):
        self.context = context
        self.act = act or self.deliver
        self.requests = []    # heads with bodies, complete
        self.delivered = []   # Message-Ids that were answered 204 by deliver()
        self.handshakes = []  # (version, resumed, subject of the client's certificate)
        self.refused = []     # handshakes that failed: the texts
        self.connections = 0
        self.lock = threading.Lock()
        self.open = set()
        self.listener = socket.create_server(address, family=family, backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open.add(connection)
            threading.Thread(target=self.run, args=(connection,), daemon=True).start()

    def run(self, connection):
        connection.settimeout(60)
        with contextlib.suppress(OSError, ValueError), connection:
            try:
                secure = self.context.wrap_socket(connection, server_side=True)
            except (ssl.SSLError, OSError) as error:
                self.refused.append(str(error))
                return
            with self.lock:
                self.open.discard(connection)
                self.open.add(secure)
                subject = dict(pair for part in (secure.getpeercert() or {}).get("subject", ()) for pair in part)
                self.handshakes.append((secure.version(), secure.session_reused, subject.get("commonName")))
            with secure:
                self.converse(secure)

    def converse(self, secure):
        while (request := read_request(secure)) is not None:
            with self.lock:
                self.requests.append(request)
            if not self.act(secure, *request):
                break
        with contextlib.suppress(OSError, ssl.SSLError):
            secure.unwrap()

    def deliver(self, connection, head, body):
        with self.lock:
            self.delivered.append(field(head, "Message-Id"))
        connection.sendall(DELIVERED)
        return True

    def deliver_and_close(self, connection, head, body):
        self.deliver(connection, head, body)
        return False

    def kill(self):
        self.listener.close()
        with self.lock:
            for connection in self.open:
                with contextlib.suppress(OSError):
                    connection.close()


def says(answer, goes_on=False):
    """An act that sends these bytes."""
    def act(connection, head, body):
        connection.sendall(answer)
        return goes_on

    return act


def cut_after(answer):
    """Sends these bytes and cuts the connection without a close_notify."""
    def act(connection, head, body):
        connection.sendall(answer)
        raw = connection.detach()
        socket.socket(fileno=raw).close()
        raise OSError("cut on purpose")

    return act
