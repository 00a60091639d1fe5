"""libtwinspool-client as an application gets it: installed, found with pkg-config, compiled as C and as C++."""

import os
import re
import subprocess

from harness import BIN, EndToEnd

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SANITIZE = os.environ.get("TWINSPOOL_SANITIZE")
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"] + ([f"-fsanitize={SANITIZE}"] if SANITIZE else [])


class CClient(EndToEnd):
    def setUp(self):
        super().setUp()
        self.prefix = os.path.join(self.directory, "usr")
        self.run_here("cmake", "--install", os.path.dirname(BIN), "--component", "client", "--prefix", self.prefix)
        for folder, _, files in os.walk(self.prefix):
            if "twinspool-client.pc" in files:
                self.pkg_config_path = folder
        self.library_path = os.path.dirname(self.pkg_config_path)

    def run_here(self, *command, stdin=None, **environment):
        result = subprocess.run(command, cwd=self.directory, env={**os.environ, **environment}, capture_output=True,
                                text=True, input=stdin, timeout=120, check=False)
        self.assertEqual(result.returncode, 0, f"{command}: {result.stdout}{result.stderr}")
        return result.stdout

    def flags(self, *what):
        return self.run_here("pkg-config", *what, "twinspool-client", PKG_CONFIG_PATH=self.pkg_config_path).split()

    def compile_example(self, *libraries):
        self.run_here("cc", "-std=c11", *STRICT, "-o", "send", os.path.join(SOURCES, "examples", "send.c"),
                      *self.flags("--cflags"), *(libraries or self.flags("--libs")))

    def test_the_example_sends_in_order_through_a_kill(self):
        self.compile_example()
        self.daemon.start()
        example = subprocess.Popen(["./send", "pump 1", self.daemon.socket], cwd=self.directory, text=True, bufsize=1,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env={**os.environ, "LD_LIBRARY_PATH": self.library_path})
        self.addCleanup(example.kill)
        self.addCleanup(example.stdout.close)
        for n in range(5):
            example.stdin.write(f'{{"n": {n}}}\n')
        example.stdin.flush()
        self.cloud.wait_for_records(5)
        self.daemon.kill()
        for n in range(5, 10):  # nobody is there: the example waits
            example.stdin.write(f'{{"n": {n}}}\n')
        example.stdin.close()
        self.daemon.start()
        self.assertEqual(example.wait(60), 0)
        self.assertEqual(len(example.stdout.read().splitlines()), 10)
        self.daemon.wait_until_drained()
        bodies = []
        for record in self.cloud.records():
            self.assertEqual(record["twin"], "pump%201")
            if record["body"] not in bodies:  # delivered twice only where the kill came before it was recorded
                bodies.append(record["body"])
        self.assertEqual(bodies, [f'{{"n": {n}}}' for n in range(10)])

    def test_the_example_links_statically_too(self):
        self.daemon.start()
        self.compile_example(os.path.join(self.library_path, "libtwinspool-client.a"))
        sequence, message_id = self.run_here("./send", "pump-1", self.daemon.socket, stdin='{"t": 1}\n').split()
        self.assertEqual(sequence, "1")
        self.assertRegex(message_id, r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")

    def test_the_header_is_good_c_and_c_plus_plus_and_the_library_exports_just_what_it_declares(self):
        include = "#include <twinspool/client.h>\nint main(void) { return twinspool_client_version()[0] == 0; }\n"
        for compiler, standard, language in (("cc", "c11", "c"), ("c++", "c++11", "c++"), ("c++", "c++20", "c++")):
            self.run_here(compiler, f"-std={standard}", *STRICT, "-x", language, "-fsyntax-only", *self.flags("--cflags"), "-",
                          stdin=include)
        with open(os.path.join(self.prefix, "include", "twinspool", "client.h"), encoding="utf-8") as file:
            declared = set(re.findall(r"\b(twinspool_\w+)\(", re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)))
        library = os.path.join(self.library_path, "libtwinspool-client.so")
        symbols = self.run_here("nm", "-D", "--defined-only", library).splitlines()
        exported = {line.split()[2] for line in symbols if line.split()[1] == "T"}
        self.assertEqual(exported, declared)
        self.assertIn("libtwinspool-client.so.0", self.run_here("readelf", "-d", library))
