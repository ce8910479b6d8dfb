"""Git commands: an error is one line with git's own reason, and no command runs for ever."""

import pytest

from fedbench.errors import FedbenchError
from fedbench.git import is_branch, run_git


def failure(*words, folder, **more):
    with pytest.raises(FedbenchError) as caught:
        run_git(words, folder=folder, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_git_prints_is_returned(tmp_path):
    run_git(["init", "--quiet"], folder=tmp_path)
    assert run_git(["hash-object", "-w", "--stdin"], folder=tmp_path, stdin=b"text").strip().isalnum()


def test_an_error_names_the_command_and_gits_reason_without_a_password(tmp_path):
    address = "https://me:hunter2@127.0.0.1:9/x"
    message = failure("-c", "core.quotePath=true", "ls-remote", address, folder=tmp_path)
    assert message.startswith("git ls-remote failed: fatal: ") and "hunter2" not in message


def test_a_command_that_takes_too_long_is_ended(tmp_path):
    slow = ("-c", "alias.slow=!sleep 2", "slow")
    assert failure(*slow, folder=tmp_path, seconds=0.1) == "git slow took more than 0.1 s"


def test_a_check_may_end_a_command(tmp_path):
    def full():
        raise FedbenchError("it is too large")

    assert failure("-c", "alias.slow=!sleep 2", "slow", folder=tmp_path, check=full) == "it is too large"


def test_without_git_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert failure("version", folder=tmp_path) == "can't run git: No such file or directory"


@pytest.mark.parametrize(("name", "valid"), [("main", True), ("a/b", True), ("..", False), ("-x", False)])
def test_names_of_branches(name, valid):
    assert is_branch(name) == valid
