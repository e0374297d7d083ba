# SPDX-License-Identifier: MIT
"""The software bill of materials has what the programs load, and nothing else, in CycloneDX 1.5."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import common

EPOCH, TIME = "1767225600", "2026-01-01T00:00:00Z"
PROGRAMS = ("greetd", "greet")
# The identifiers of SPDX, as the package reuse has them.
SPDX_LICENSES = pathlib.Path("/usr/lib/python3/dist-packages/reuse/resources/licenses.json")


def record(required, **properties):
    return {"type": "object", "required": required.split(), "properties": properties,
            "additionalProperties": False}


def array(items, **more):
    return {"type": "array", "items": items, "uniqueItems": True, **more}


def constant(value):
    return {"const": value}


TEXT = {"type": "string", "minLength": 1}
HASH = record("alg content", alg=constant("SHA-256"),
              content={"type": "string", "pattern": "^[0-9a-f]{64}$"})
FILE = record("type bom-ref name hashes", type=constant("file"), **{"bom-ref": TEXT}, name=TEXT,
              hashes=array(HASH, minItems=1))
LICENSE = {"oneOf": [record("license", license=record("id", id=TEXT)), record("expression", expression=TEXT)]}
LIBRARY = record("type bom-ref name purl components", type=constant("library"), **{"bom-ref": TEXT},
                 name=TEXT, version=TEXT, supplier=record("name", name=TEXT),
                 licenses=array(LICENSE, minItems=1, maxItems=1),
                 purl={"type": "string", "pattern": r"^pkg:(deb|rpm)/[a-z]+/[^@]+@[^@?]+\?arch=\w+$"},
                 components=array(FILE, minItems=1))
APPLICATION = record("type bom-ref name version licenses components", type=constant("application"),
                     **{"bom-ref": TEXT}, name=constant("greetd"), version=TEXT,
                     licenses=array(LICENSE, minItems=1), components=array(FILE, minItems=2, maxItems=2))
DEPENDENCY = record("ref dependsOn", ref=TEXT, dependsOn=array(TEXT))
# The rules of https://cyclonedx.org/docs/1.5/json/ for the properties that are used.
SCHEMA = record(
    "bomFormat specVersion serialNumber version metadata components dependencies",
    bomFormat=constant("CycloneDX"), specVersion=constant("1.5"), version=constant(1),
    serialNumber={"type": "string", "pattern":
                  "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
    metadata=record("timestamp component", component=APPLICATION,
                    timestamp={"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}),
    components=array(LIBRARY, minItems=1), dependencies=array(DEPENDENCY))


def setUpModule():
    global BUILD
    common.install("binutils", "cmake", "gcc", "libc6-dev", "libsystemd-dev", "make", "pkg-config",
                   "python3-jsonschema", "reuse")
    BUILD = pathlib.Path(unittest.enterModuleContext(tempfile.TemporaryDirectory()))
    common.run("cmake", "-S", common.TREE, "-B", BUILD, "-DBUILD_TESTING=OFF")


def make_sbom():
    """The bytes of the bill that the target `sbom` makes."""
    common.run("cmake", "--build", BUILD, "--target", "sbom", "--parallel", os.cpu_count(),
               env=os.environ | {"SOURCE_DATE_EPOCH": EPOCH})
    return (BUILD / "greetd.cdx.json").read_bytes()


def loaded_by_loader():
    """The libraries of both programs, as the loader itself lists them."""
    paths = set()
    for program in PROGRAMS:
        listing = common.run(BUILD / program, env={"LD_TRACE_LOADED_OBJECTS": "1"})[1]
        paths |= {os.path.realpath(path) for path in re.findall(r"(/\S+) \(0x", listing)}
    return paths


def mapped_by_greetd():
    """The files from which a running greetd executes code, but for itself."""
    command = [BUILD / "greetd", "--listen=127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as greetd:
        while "Server is listening" not in greetd.stderr.readline():
            if greetd.poll() is not None:
                raise AssertionError("greetd has ended")
        maps = pathlib.Path(f"/proc/{greetd.pid}/maps").read_text()
        greetd.kill()
    paths = re.findall(r"^\S+ r-xp .* (/\S+)$", maps, re.MULTILINE)
    return set(paths) - {str(BUILD / "greetd")}


class Sbom(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bytes = make_sbom()
        cls.bill = json.loads(cls.bytes)
        cls.packages = cls.bill["components"]
        cls.libraries = [file for package in cls.packages for file in package["components"]]

    def test_it_keeps_the_rules_of_the_format(self):
        import jsonschema
        jsonschema.Draft7Validator.check_schema(SCHEMA)
        jsonschema.validate(self.bill, SCHEMA, jsonschema.Draft7Validator)

    def test_each_reference_is_that_of_one_component(self):
        own = self.bill["metadata"]["component"]
        components = [own, *own["components"], *self.packages, *self.libraries]
        references = [component["bom-ref"] for component in components]
        self.assertEqual(len(references), len(set(references)))
        self.assertEqual([d["ref"] for d in self.bill["dependencies"]],
                         ["greetd", *(package["purl"] for package in self.packages)])
        for dependency in self.bill["dependencies"]:
            self.assertLessEqual(set(dependency["dependsOn"]), {p["purl"] for p in self.packages})

    def test_it_has_what_the_programs_load_and_nothing_else(self):
        names = {library["name"] for library in self.libraries}
        self.assertEqual(names, loaded_by_loader())
        self.assertEqual(names, mapped_by_greetd())

    def test_each_package_is_reached_from_the_programs(self):
        needs = {d["ref"]: d["dependsOn"] for d in self.bill["dependencies"]}
        reached, todo = set(), ["greetd"]
        while todo:
            reference = todo.pop()
            todo += set(needs[reference]) - reached
            reached |= {reference}
        self.assertEqual(reached, set(needs))

    def test_the_program_itself_needs_what_its_package_depends_on(self):
        own = self.bill["dependencies"][0]["dependsOn"]
        names = {re.search(r"/([^/@]+)@", reference)[1] for reference in own}
        self.assertEqual(names, {"libc6", "libsystemd0"})

    def test_the_checksums_are_those_of_the_files(self):
        programs = self.bill["metadata"]["component"]["components"]
        self.assertEqual([file["name"] for file in programs], sorted(PROGRAMS))
        for file in [*programs, *self.libraries]:
            content = (BUILD / file["name"]).read_bytes()  # or that of an absolute name
            self.assertEqual(file["hashes"][0]["content"], hashlib.sha256(content).hexdigest())

    def test_each_package_has_its_libraries_in_the_version_installed(self):
        for package in self.packages:
            query = common.run("dpkg-query", "--show", "--showformat=${Version} ${Architecture}",
                               package["name"])[1]
            self.assertEqual(query.split()[0], package["version"])
            self.assertTrue(package["purl"].endswith(f"?arch={query.split()[1]}"))
            files = common.run("dpkg-query", "--listfiles", package["name"])[1].split("\n")
            present = {os.path.realpath(file) for file in files}
            self.assertLessEqual({file["name"] for file in package["components"]}, present)

    def test_the_licenses_are_those_of_spdx(self):
        known = {entry["licenseId"] for entry in json.loads(SPDX_LICENSES.read_text())["licenses"]}
        licenses = [entry["expression"] for package in self.packages
                    for entry in package.get("licenses", [])]
        self.assertIn("LGPL-2.1-or-later", licenses)  # of libsystemd0
        for expression in licenses:
            self.assertLessEqual(set(re.findall(r"[^\s()]+", expression)) - {"AND", "OR"}, known)

    def test_the_version_and_the_time_are_those_of_the_build(self):
        version = common.run(BUILD / "greetd", "--version")[1].split()[1]
        self.assertEqual(self.bill["metadata"]["component"]["version"], version)
        self.assertEqual(self.bill["metadata"]["timestamp"], TIME)

    def test_the_same_programs_give_the_same_bytes(self):
        self.assertEqual(make_sbom(), self.bytes)

    def test_other_programs_have_another_serial_number(self):
        with tempfile.TemporaryDirectory() as folder:
            changed = pathlib.Path(folder) / "greetd"
            changed.write_bytes((BUILD / "greetd").read_bytes() + b"\0")
            changed.chmod(0o755)
            output = common.run(common.TREE / "packaging/sbom", changed, BUILD / "greet",
                                env=os.environ | {"SOURCE_DATE_EPOCH": EPOCH})[1]
        self.assertNotEqual(json.loads(output)["serialNumber"], self.bill["serialNumber"])

    def test_diversions_of_dpkg_are_no_packages(self):
        with tempfile.TemporaryDirectory() as folder:
            fake = pathlib.Path(folder) / "dpkg-query"
            fake.write_text('#!/bin/sh\n[ "$1" != --search ] || printf "%s\\n" "diversion by dash from: $2" '
                            '"diversion by dash to: $2.distrib" "local diversion from: $2"\n'
                            'exec /usr/bin/dpkg-query "$@"\n')
            fake.chmod(0o755)
            output = common.run(common.TREE / "packaging/sbom", *(BUILD / program for program in PROGRAMS),
                                env=os.environ | {"SOURCE_DATE_EPOCH": EPOCH,
                                                  "PATH": f"{folder}:{os.environ['PATH']}"})[1]
        self.assertEqual(json.loads(output), self.bill)

    def test_a_library_that_is_not_found_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            common.run("gcc", "-shared", "-o", f"{folder}/libabsent.so", "-x", "c", "/dev/null")
            source = pathlib.Path(folder) / "main.c"
            source.write_text("int main(void) { return 0; }\n")
            common.run("gcc", "-o", f"{folder}/program", source, "-Wl,--no-as-needed", f"-L{folder}",
                       "-labsent")
            os.unlink(f"{folder}/libabsent.so")
            status, output = common.run(common.TREE / "packaging/sbom", f"{folder}/program", check=False)
        self.assertNotEqual(status, 0)
        self.assertIn("not found: libabsent.so", output)


if __name__ == "__main__":
    unittest.main()
