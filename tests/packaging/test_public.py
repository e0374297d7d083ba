# SPDX-License-Identifier: MIT
"""What GitHub reads of this tree: workflows and forms for issues."""

import re
import unittest

import common

FORM_ELEMENTS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}


def setUpModule():
    common.install("python3-yaml")


def load(path):
    import yaml

    return yaml.safe_load(path.read_text())


def steps_of(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


class Workflows(unittest.TestCase):
    FOLDER = common.TREE / ".github/workflows"

    def test_the_tests_run_on_the_distributions_that_the_readme_names(self):
        tests = load(self.FOLDER / "tests.yml")["jobs"]["tests"]
        images = {include["image"] for include in tests["strategy"]["matrix"]["include"]}
        readme = (common.TREE / "README.md").read_text()
        self.assertLessEqual({"debian:12", "debian:13", "ubuntu:24.04"}, images)
        for image in images:
            name, _, release = image.capitalize().partition(":")
            named = re.search(rf"^.*{name} .*\b{re.escape(release)}\b.* need two commands", readme,
                              re.M | re.I)
            self.assertTrue(named, image)
        self.assertIn(".ci/run ${{ matrix.steps }}", [step.get("run") for step in tests["steps"]])

    def test_the_steps_that_a_workflow_leaves_out_exist(self):
        known = re.search(r"all_steps=\(([^)]*)\)", (common.TREE / "tests/run").read_text())[1].split()
        for include in load(self.FOLDER / "tests.yml")["jobs"]["tests"]["strategy"]["matrix"]["include"]:
            for step in include.get("steps", "").split():
                self.assertIn(step.removeprefix("-"), known)

    def test_each_command_is_a_file_or_a_program(self):
        for path in self.FOLDER.iterdir():
            for step in steps_of(load(path)):
                self.assertEqual(len({"run", "uses"} & set(step)), 1, step)
                command = step.get("run", "").split(" ")[0]
                if "/" in command:
                    self.assertTrue((common.TREE / command).exists(), command)

    def test_a_workflow_may_only_read_unless_it_says_more(self):
        for path in self.FOLDER.iterdir():
            self.assertEqual(load(path)["permissions"], {"contents": "read"}, path)


class IssueForms(unittest.TestCase):
    FOLDER = common.TREE / ".github/ISSUE_TEMPLATE"

    def forms(self):
        forms = [load(path) for path in self.FOLDER.glob("*.yml") if path.name != "config.yml"]
        self.assertTrue(forms)
        return forms

    def test_forms_have_what_github_asks_for(self):
        for form in self.forms():
            self.assertTrue(form["name"] and form["description"], form)
            for element in form["body"]:
                self.assertIn(element["type"], FORM_ELEMENTS)
                self.assertIn("value" if element["type"] == "markdown" else "label", element["attributes"])

    def test_the_names_of_fields_are_unique(self):
        for form in self.forms():
            names = [element["id"] for element in form["body"] if element["type"] != "markdown"]
            self.assertEqual(len(names), len(set(names)))


if __name__ == "__main__":
    unittest.main()
