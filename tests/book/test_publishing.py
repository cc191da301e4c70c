"""What surrounds the book and the package: the citation, the workflows, the page for contributors.

They say the same as what they speak of, and the workflows have no rights that they do not need.
"""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from sources import HTML, ROOT

import rnn_ref


def read(name: str) -> str:
    return (ROOT / name).read_text("utf8")


PYPROJECT = tomllib.loads(read("pyproject.toml"))["project"]
CITATION, CONFIG = yaml.safe_load(read("CITATION.cff")), yaml.safe_load(read("_config.yml"))
REPOSITORY = CONFIG["sphinx"]["config"].get("repository", "")
MAKEFILE = read("Makefile")
FLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text("utf8")) for path in FLOWS}
JOBS = {f"{name}.{key}": job for name in WORKFLOWS for key, job in WORKFLOWS[name]["jobs"].items()}
every_workflow = pytest.mark.parametrize("name", WORKFLOWS)
every_job = pytest.mark.parametrize("name", JOBS)


def steps(name: str) -> list[dict]:
    return JOBS[name].get("steps", [])


def scripts() -> str:
    """What the workflows' steps run."""
    return "\n".join(step.get("run", "") for name in JOBS for step in steps(name))


def code(name: str) -> list[str]:
    """The spans of code in a Markdown file, and the lines of its blocks of shell commands."""
    text = read(name)
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    return spans + [line.partition("#")[0].strip() for line in "\n".join(blocks).splitlines()]


# The package and the book


def test_versions_agree():
    head = re.search(r"^## (\S+)", read("CHANGELOG.md"), re.M)[1]
    assert {CITATION["version"], PYPROJECT["version"], head} == {rnn_ref.__version__}


def test_the_citation_is_of_this_book():
    assert CITATION["title"] == CONFIG["title"]
    assert CITATION["authors"] == PYPROJECT["authors"] == [{"name": CONFIG["author"]}]
    assert CITATION["cff-version"] == "1.2.0" and CITATION["type"] == "software"
    assert all(CITATION[field] for field in ("message", "abstract", "keywords"))


def test_licences_agree():
    assert CITATION["license"] == [PYPROJECT["license"], "CC-BY-4.0"] == ["MIT", "CC-BY-4.0"]
    assert read("LICENSE").startswith("MIT License")
    assert "(CC BY 4.0)" in read("LICENSE-TEXT")


def test_the_repository_has_one_address_or_none():
    """_config.yml says which. Where it says none, nothing else names one but the works compared."""
    urls = PYPROJECT.get("urls", {})
    assert (CITATION.get("repository-code", ""), urls.get("Repository", "")) == (REPOSITORY,) * 2
    readme = read("README.md")
    compared = re.search(r"^## Beside what else exists\n.*?(?=^## )", readme, re.M | re.S)[0]
    files = ["CITATION.cff", "CONTRIBUTING.md", "README.md", "pyproject.toml", "CHANGELOG.md"]
    text = "".join(read(name).replace(compared, "") for name in files)
    named = set(re.findall(r"https?://[\w.-]*(?:github|gitlab|codeberg)[\w./-]*\w", text))
    assert {address for address in named if not address.startswith(REPOSITORY or "-")} == set()


def test_pages_name_the_repository_where_it_has_an_address():
    if not (HTML / "index.html").exists():
        pytest.fail("there is no _build/html; run `make book` first", pytrace=False)
    page = (HTML / "chapters/gru.html").read_text("utf8")
    for sign in ('rel="canonical"', "source-edit-button", "source-repository-button"):
        assert (sign in page) == bool(REPOSITORY), sign


# Rights


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned(path: Path):
    """By the hash of a commit, which nobody can move, with the version's name beside it."""
    for used in re.findall(r"^[\s-]*uses:\s*(.*)$", path.read_text("utf8"), re.M):
        if used.startswith("$/"):  # this repository at this commit
            assert (ROOT / used[2:]).is_file(), used
        else:
            assert re.fullmatch(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used


def test_an_action_has_one_version():
    uses = [step["uses"].split("@") for name in JOBS for step in steps(name) if "uses" in step]
    assert len({action for action, _ in uses}) == len({(action, pin) for action, pin in uses})


@every_workflow
def test_a_workflow_may_read_and_nothing_else(name):
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}


@every_job
def test_a_job_that_may_write_runs_nothing_of_ours(name):
    granted = JOBS[name].get("permissions")
    if granted is not None:
        assert name == "pages.deploy" and granted == {"pages": "write", "id-token": "write"}
        actions = [step["uses"].split("@")[0] for step in steps(name)]
        assert actions == ["actions/configure-pages", "actions/deploy-pages"]


@every_job
def test_a_checkout_leaves_no_credentials(name):
    for step in steps(name):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@every_job
def test_no_script_is_put_together_from_expressions(name):
    """Whatever stands in a branch's name or a title would become a command."""
    assert [step["run"] for step in steps(name) if "${{" in step.get("run", "")] == []


@every_job
def test_a_job_comes_to_an_end(name):
    assert "uses" in JOBS[name] or JOBS[name]["timeout-minutes"] <= 60


def test_no_workflow_runs_foreign_code_with_our_rights():
    triggers = {
        trigger for flow in WORKFLOWS.values() for trigger in flow[True]
    }  # "on" in YAML 1.1
    assert triggers <= {"push", "pull_request", "schedule", "workflow_call", "workflow_dispatch"}


# What they run


def test_what_is_published_has_been_tested():
    assert JOBS["pages.deploy"]["needs"] == "test"
    assert JOBS["pages.test"]["uses"] == "$/.github/workflows/ci.yml"
    *_, test, upload = steps("ci.test")  # a step runs when those before it have passed
    assert test["run"].startswith("make --keep-going test ")
    assert upload["uses"].startswith("actions/upload-pages-artifact@")
    assert f"{ROOT / upload['with']['path']}" == f"{HTML}"


def test_the_main_branch_is_tested_once():
    assert WORKFLOWS["pages"][True] == {"push": {"branches": ["main"]}}
    assert WORKFLOWS["ci"][True]["push"] == {"branches-ignore": ["main"]}


def test_nothing_is_left_out():
    command = re.search(r"^exec make .* (test .*) <", read(".ci/run"), re.M)[1]
    assert f"make --keep-going {command}" in scripts()


def test_the_oldest_python_is_the_one_that_is_asked_for():
    tested = JOBS["ci.unit"]["strategy"]["matrix"]["python"]
    assert PYPROJECT["requires-python"] == f">={tested[0]}"
    assert tested == [f"3.{n}" for n in range(11, 11 + len(tested))]


def test_windows_runs_what_make_unit_runs():
    """It has no make, so a step repeats the commands."""
    tested = re.search(r"^unit:.*\n\t@\$\(PY\) (-m pytest.*)$", MAKEFILE, re.M)[1]
    assert f"python {tested}\n" in scripts()
    extras = re.search(r"^\$\(VENV\)/\.test:.*\n\t\$\(call install,(.*)\)$", MAKEFILE, re.M)[1]
    assert f"-e '.[{extras.replace('$(comma)', ',')}]'\n" in scripts()


def test_the_newest_releases_are_those_without_constraints():
    assert JOBS["weekly.newest"]["with"] == {"newest": True}
    assert "-c constraints.txt" in MAKEFILE
    for name in ("ci.test", "ci.unit"):
        (emptied,) = (step for step in steps(name) if step.get("if") == "inputs.newest")
        assert emptied["run"] == "echo > constraints.txt"


# Names and commands in the text


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "README.md", "workflows"])
def test_commands_of_make_exist(name):
    lines = scripts().splitlines() if name == "workflows" else code(name)
    words = [w for line in lines for w in re.findall(r"(?:^|\s)make((?: +[\w.=/-]+)+)", line)]
    targets = {w for w in " ".join(words).split() if not w.startswith("-") and "=" not in w}
    assert targets and targets <= set(re.search(r"^\.PHONY:(.*)", MAKEFILE, re.M)[1].split())
    variables = {w.split("=")[0] for w in " ".join(words).split() if "=" in w}
    assert variables <= set(re.findall(r"\b[A-Z_]+\b", MAKEFILE))


def contributing(form: str) -> set[str]:
    """What CONTRIBUTING.md has in code, in that form, apart from its example."""
    found = {word for span in code("CONTRIBUTING.md") for word in re.findall(form, span)}
    return {word for word in found if "mgu" not in word.lower()}


def test_files_for_contributors_exist():
    named = contributing(
        r"(?<![\w./])(?!\.venv)[\w.]+(?:/[\w.]+)*(?:/|\.(?:py|md|yml|ipynb|bib))(?!\w)"
    )
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_names_for_contributors_exist():
    """In the code, the register or its checks."""
    places = [*ROOT.glob("rnn_ref/*.py"), *ROOT.glob("tests/*.py"), *ROOT.glob("chapters/*/*.py")]
    words = set(re.findall(r"\w+", "\n".join(path.read_text("utf8") for path in places)))
    words |= set(re.findall(r"\w+", read("chapters/errata.yml") + MAKEFILE))
    named = contributing(r"^[A-Za-z_]\w+$|(?<=^self\.)\w+")
    assert len(named) > 30
    assert named - words == set()
