"""docs/local-api.md: every command in it is run, and answered as it says there."""

import glob
import os
import re
import shutil
import subprocess
import sys
import unittest

from harness import BIN, EndToEnd

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..")
SANITIZE = [f"-fsanitize={os.environ['TWINSPOOL_SANITIZE']}"] if os.environ.get("TWINSPOOL_SANITIZE") else []
BLOCK = re.compile(r"^```([a-z-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

with open(os.path.join(SOURCES, "docs", "local-api.md"), encoding="utf-8") as document:
    BLOCKS = BLOCK.findall(document.read())


def only(language):
    found = [text for name, text in BLOCKS if name == language]
    assert len(found) == 1, f"{len(found)} blocks of {language}"
    return found[0]


def as_pattern(line):
    return ".*".join(re.escape(part) for part in line.split("..."))


def node():
    """Of a version that the snippets need, or why not."""
    program = shutil.which("node")
    if not program:
        return None, "there is no node"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return (program, "") if int(version[1:].split(".")[0]) >= 18 else (None, f"node {version} is older than 18")


NODE, NO_NODE = node()


def have_azure():
    try:
        import azure.digitaltwins.core  # pylint: disable=import-outside-toplevel,unused-import
        return True
    except ImportError:
        return False


class OnTheSocket(EndToEnd):
    """The document's names for the sockets, in the test's directory."""

    def setUp(self):
        super().setUp()
        run = os.path.join(self.directory, "run")
        os.mkdir(run)
        plc = os.path.join(self.directory, "plc.sock")
        self.daemon.config["listen"].append(
            {"path": plc, "mode": "0600", "group": "", "twins": ["line-1-*"], "quota": {"messages": 2}})
        os.symlink(self.daemon.socket, os.path.join(run, "twinspool.sock"))
        os.symlink(plc, os.path.join(run, "plc.sock"))
        os.symlink(self.daemon.database, os.path.join(run, "queue.db"))

    def run_here(self, *command, **options):
        result = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, timeout=120, check=False, **options)
        self.assertEqual(result.returncode, 0, f"{command}: {result.stdout}{result.stderr}")
        return result.stdout


class LocalApi(OnTheSocket):
    def test_every_command_is_answered_as_the_document_says(self):
        self.cloud.down()  # so that the quota and the queue fill
        self.daemon.config["store"]["max_size"] = "1MiB"
        self.daemon.config["ingest"] = {"request_timeout": "2s"}
        self.daemon.start()
        expectations = 0
        for (language, script), (following, expected) in zip(BLOCKS, BLOCKS[1:] + [("", "")]):
            if language != "sh":
                continue
            if "socat" in script and not shutil.which("socat"):
                print("SKIPPED: the snippet with socat, which is not installed", file=sys.stderr)
                continue
            answer = self.run_here("bash", "-euc", script).replace("\r", "")
            if following != "text":
                continue
            for line in expected.splitlines():  # headers may come in any order
                found = re.search("^" + as_pattern(line), answer, re.MULTILINE)
                self.assertTrue(found, f"no line like {line!r} in the answer to\n{script}\n{answer}")
                expectations += 1
        self.assertGreater(expectations, 35)
        bodies = [row["message_id"] for row in self.daemon.sql("select message_id from queue")]
        for message_id in ("reading-1", "reading-2", "batch-1", "batch-2", "plc-1", "plc-2"):
            self.assertEqual(bodies.count(message_id), 1)
        self.assertEqual((bodies.count("full-2-100"), bodies.count("full-3-1")), (1, 0))
        for message_id in ("reading-3", "reading-4", "reading-5", "reading-6", "batch-3", "batch-4", "plc-3", "x"):
            self.assertNotIn(message_id, bodies)

    def test_the_configuration_is_good(self):
        path = os.path.join(self.directory, "sockets.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(only("yaml") + 'forward: {endpoint: "https://name.api.region.digitaltwins.azure.net"}\n')
        self.run_here(os.path.join(BIN, "twinspoold"), "--check-config", "--config", path)

    def test_the_python_client_sends(self):
        self.daemon.start()
        self.assertEqual(self.run_here(sys.executable, "-c", only("python")).strip(), "1")
        self.assertEqual(self.cloud.wait_for_records(1)[0]["body"], '{"temperature": 21.5}')

    def test_the_python_client_keeps_its_message_through_kills(self):
        self.daemon.start()
        script = only("python").replace('print(Gateway().send("pump-1", {"temperature": 21.5}))', """
gateway = Gateway()
for n in range(60):
    print(gateway.send("pump-1", {"n": n}, f"id-{n}"), flush=True)
""")
        self.assertIn("range(60)", script)
        with subprocess.Popen([sys.executable, "-c", script], cwd=self.directory, stdout=subprocess.PIPE, text=True) as sender:
            self.addCleanup(sender.kill)
            sequences = []
            for line in sender.stdout:
                sequences.append(int(line))
                if len(sequences) in (10, 30, 50):
                    self.daemon.restart()
            self.assertEqual(sender.wait(60), 0)
        self.daemon.wait_until_drained()
        first = list(dict.fromkeys(record["message_id"] for record in self.cloud.records()))
        self.assertEqual(first, [f"id-{n}" for n in range(60)])
        self.assertEqual(sequences, sorted(set(sequences)))

    def test_the_c_client_sends(self):
        self.daemon.start()
        self.run_here("cc", "-Wall", "-Wextra", "-Werror", *SANITIZE, f"-I{SOURCES}/include", "-x", "c", "-o", "send", "-",
                      "-x", "none", f"{BIN}/../client/libtwinspool-client.a", input=only("c"))
        self.assertIn("TWINSPOOL_OK", self.run_here("./send"))
        self.cloud.wait_for_records(1)

    @unittest.skipUnless(NODE, f"SKIPPED: {NO_NODE}")
    def test_node_sends(self):
        self.daemon.start()
        self.assertEqual(self.run_here(NODE, "-e", only("js")).strip(), "204 1")
        self.assertEqual(self.cloud.wait_for_records(1)[0]["body"], '{"temperature":21.5}')

    @unittest.skipUnless(have_azure(), "SKIPPED: python3-azure is not installed")
    def test_the_azure_sdk_for_python_sends(self):
        self.daemon.start()
        self.run_here(sys.executable, "-c", only("azure-python"))
        self.assertEqual(self.cloud.wait_for_records(1)[0]["message_id"], "from-python")


@unittest.skipUnless(NODE and shutil.which("npm"), f"SKIPPED: the Azure SDK for JavaScript: {NO_NODE or 'there is no npm'}")
class JavaScriptSdk(OnTheSocket):
    """Microsoft's JavaScript SDK, unchanged; installed from the registry once a build directory."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.modules = os.path.join(os.path.dirname(BIN), "js-sdk")
        if glob.glob(os.path.join(cls.modules, "node_modules", "@azure", "digital-twins-core", "package.json")):
            return
        os.makedirs(cls.modules, exist_ok=True)
        for file in ("package.json", "package-lock.json"):  # the lock names versions and digests, and no registry
            shutil.copy(os.path.join(HERE, "js", file), cls.modules)
        try:
            result = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
                                    cwd=cls.modules, capture_output=True, text=True, timeout=300, check=False)
            why = result.stderr[-400:] if result.returncode != 0 else ""
        except subprocess.TimeoutExpired:
            why = "no answer within 300 s"
        if why:
            print(f"SKIPPED: the Azure SDK for JavaScript could not be installed from the registry: {why}", file=sys.stderr)
            raise unittest.SkipTest("SKIPPED: npm cannot install the Azure SDK for JavaScript")

    def run_js(self, script):
        return self.run_here(NODE, "-e", script, env={**os.environ, "NODE_PATH": os.path.join(self.modules, "node_modules")})

    def test_the_azure_sdk_for_javascript_sends(self):
        self.daemon.start()
        self.assertEqual(self.run_js(only("azure-js")).strip(), "stored")
        record = self.cloud.wait_for_records(1)[0]
        self.assertEqual((record["message_id"], record["body"]), ("from-js", '{"temperature":21.5}'))

    def test_its_swapped_component_call_is_refused_and_explained(self):
        self.daemon.start()
        setup, call = only("azure-js").rsplit("client.publishTelemetry", 1)
        self.assertIn("stored", call)
        output = self.run_js(setup + """
client.publishComponentTelemetry('pump-1', 'motor', '{"rpm": 900}', 'id-1').then(
  () => console.log('stored'), (refused) => console.log(refused.statusCode, refused.message));
""")
        self.assertTrue(output.startswith("400 "), output)
        self.assertIn("swapped", output)
        self.assertEqual(self.daemon.status()["totals"]["accepted"], 0)

