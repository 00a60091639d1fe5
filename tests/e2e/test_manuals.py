"""The command's help, its manual pages and its completion tell the same, and all of it."""

import os
import re
import shutil
import subprocess
import unittest

from harness import BIN, EndToEnd

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
COMMAND = os.path.join(BIN, "twinspool")
COMPLETION = os.path.join(SOURCES, "completion", "twinspool.bash")


def help_of(*verbs):
    result = subprocess.run([COMMAND, *verbs, "--help"], capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0, (verbs, result.stderr)
    return result.stdout


def verbs_of(text):
    section = re.search(r"^Subcommands:\n(.*?)(?=^\S|\Z)", text, re.M | re.S)
    return re.findall(r"^  ([a-z][a-z-]*) ", section.group(1), re.M) if section else []


def options_of(text):
    return set(re.findall(r"^  (?:-\w,)?(--[a-z-]+)", text, re.M)) - {"--help", "--version"}


def every_verb():
    """(status,), (quarantine, list), ...: those that do something."""
    for verb in verbs_of(help_of()):
        below = verbs_of(help_of(verb))
        yield from ((verb, one) for one in below) if below else [(verb,)]


def page(name):
    with open(os.path.join(SOURCES, "man", name), encoding="utf-8") as file:
        return file.read()


class Manuals(unittest.TestCase):
    def test_every_verb_and_option_of_the_help_is_in_the_manual_page(self):
        text = page("twinspool.1.scd")
        verbs = verbs_of(help_of())
        self.assertGreater(len(verbs), 15)
        for verb in verbs:
            section = re.search(rf"^(?:\*[a-z]+\*, )*\*{verb}\*.*\n(?:\t.*\n)+", text, re.M)
            self.assertIsNotNone(section, f"{verb} is not in twinspool.1")
            for path in (p for p in every_verb() if p[0] == verb):
                if len(path) > 1:
                    self.assertIn(f"*{path[1]}*", section.group())
                for option in options_of(help_of(*path)) - {"--json"}:
                    self.assertIn(f"*{option}*", section.group(), f"{path}")

    def test_every_verb_teaches(self):
        for path in every_verb():
            text = help_of(*path)
            if path != ("quarantine", "export"):  # which is NDJSON itself
                self.assertIn("--json", text, path)
            self.assertGreater(len(text.splitlines()), 5, path)

    def test_a_wrong_command_line_is_usage(self):
        for arguments in ([], ["no-such-verb"], ["status", "--no-such-option"], ["drain", "--timeout", "soon"],
                          ["drain", "--timeout", "0"], ["quarantine"], ["selftest"], ["explain"]):
            result = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(result.returncode, 2, (arguments, result.stderr))
            self.assertTrue(result.stderr, arguments)

    def test_every_option_of_the_daemon_is_in_its_page(self):
        text = subprocess.run([os.path.join(BIN, "twinspoold"), "--help"], capture_output=True, text=True, check=True).stdout
        for option in options_of(text):
            self.assertIn(f"*{option}*", page("twinspoold.8.scd"))

    @unittest.skipUnless(shutil.which("scdoc"), "SKIPPED: scdoc is not installed")
    def test_the_page_of_the_configuration_has_every_key_and_its_text(self):
        keys = os.path.join(SOURCES, "scripts", "man-keys")
        example = os.path.join(SOURCES, "config", "twinspool.yaml")
        end = subprocess.run([keys, example], capture_output=True, text=True, check=True).stdout
        with open(example, encoding="utf-8") as file:
            text = file.read()
        told = [name.replace("\\", "") for name in re.findall(r"^\*([^*]+)\*", end, re.M)]
        found = re.findall(r"^ *(?:# +)?(?:- )?([a-z_]+):(?: .*)?$", text, re.M)
        sections = re.findall(r"^([a-z]+):$", text, re.M)
        self.assertEqual([name.split(".")[-1] for name in told], [key for key in found if key not in sections])
        self.assertIn("forward.retry.retry_after_max", told)
        self.assertIn("Bytes of the live queue, from 1MiB", end)
        made = subprocess.run(["scdoc"], input=page("twinspool.yaml.5.scd") + end, capture_output=True, text=True, check=False)
        self.assertEqual((made.returncode, made.stderr), (0, ""))

    @unittest.skipUnless(shutil.which("scdoc"), "SKIPPED: scdoc is not installed")
    def test_the_pages_are_good_scdoc(self):
        for name in ("twinspool.1.scd", "twinspoold.8.scd"):
            made = subprocess.run(["scdoc"], input=page(name), capture_output=True, text=True, check=False)
            self.assertEqual((made.returncode, made.stderr), (0, ""), name)


class Completion(unittest.TestCase):
    def complete(self, *words):
        """What bash offers for the last of `words`."""
        script = f"""
source {COMPLETION}
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_twinspool
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
        result = subprocess.run(["bash", "-uc", script, "bash", COMMAND, *words], capture_output=True, text=True, timeout=30,
                                cwd=os.path.dirname(COMPLETION), check=False)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout.split()

    def test_every_verb_is_offered_and_those_below_it(self):
        self.assertEqual(self.complete(""), verbs_of(help_of()))
        self.assertEqual(self.complete("--config", "x.yaml", "qu"), ["quarantine"])
        self.assertEqual(self.complete("quarantine", ""), verbs_of(help_of("quarantine")))

    def test_every_option_is_offered(self):
        for path in every_verb():
            self.assertLessEqual(options_of(help_of(*path)) | {"--config", "--admin"}, set(self.complete(*path, "--")), path)
        self.assertEqual(self.complete("status", "--wa"), ["--watch"])

    def test_files_are_offered_where_files_are_wanted(self):
        self.assertIn("twinspool.bash", self.complete("import", "twin"))
        self.assertIn("twinspool.bash", self.complete("--config", "twin"))


class NotReachable(EndToEnd):
    def test_every_verb_that_asks_the_daemon_says_that_it_is_down(self):
        self.daemon.write_config()
        asking = {"status": [], "drain": [], "pause": [], "resume": [], "kick": [], "receipt": ["pump", "id"],
                  "replay": ["--twin", "pump", "--since", "1h"], "quarantine": ["list"]}
        for verb, arguments in asking.items():
            result = self.daemon.command(verb, *arguments)
            self.assertEqual(result.returncode, 3, (verb, result.stderr))
            self.assertIn(b"systemctl status twinspoold", result.stderr)
