"""Tokens by name, and their file."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path as File

import pytest

from firmware_bridge.__main__ import main
from firmware_bridge.server.tokens import (
    TokenError,
    Tokens,
    add_token,
    read_tokens,
    remove_token,
)

ONE, TWO = "0123456789ab", "ba9876543210"


@pytest.fixture
def file(tmp_path: File) -> Iterator[File]:
    """Return a file that only its owner can read."""
    file = tmp_path / "tokens"
    file.touch(mode=0o600)
    return file


def test_found_by_name() -> None:
    tokens = Tokens(named={"me": ONE, "you": TWO}, announced=["abc"])
    assert tokens.find(ONE) == "me"
    assert tokens.find(TWO) == "you"
    assert tokens.find("abc") == "announced"
    for wrong in ("", ONE[:-1], ONE + " ", "ä", "\udcff"):
        assert tokens.find(wrong) is None
    assert ONE not in repr(tokens)
    assert tokens.needed
    assert not Tokens().needed


def test_replaced() -> None:
    """Who is gone, or has another token, is told."""
    tokens = Tokens(named={"me": ONE, "you": TWO, "they": ONE})
    assert tokens.replace({"me": ONE, "you": ONE, "new": TWO}) == {"you", "they"}
    assert tokens.find(TWO) == "new"


def test_file(file: File) -> None:
    file.write_text(f"# who\nme  {ONE}\n\n  you\t{TWO}  \n")
    assert read_tokens(file) == {"me": ONE, "you": TWO}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("me", "1: write `name token`"),
        ("me short", "1: the token of me is too short"),
        (f"me {ONE}\nme {TWO}", "2: me is there already"),
        (f"announced {ONE}", "called"),
        (f"{'x' * 65} {ONE}", "64"),
        ("me " + "x" * 1001, "too long"),
    ],
)
def test_wrong_lines(file: File, text: str, told: str) -> None:
    """Each is told with its line, and without the token."""
    file.write_text(text)
    with pytest.raises(TokenError, match=told) as caught:
        read_tokens(file)
    assert ONE not in str(caught.value)


def test_not_text(file: File) -> None:
    file.write_bytes(b"me \xff\xfe0123456789ab")
    with pytest.raises(TokenError, match="not text"):
        read_tokens(file)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o666])
def test_readable_by_everybody(file: File, mode: int) -> None:
    """Such a file is refused, and the remedy named."""
    file.write_text(f"me {ONE}")
    file.chmod(mode)
    with pytest.raises(TokenError, match="chmod"):
        read_tokens(file)


def test_added_and_removed(tmp_path: File) -> None:
    """A new file is its owner's alone; comments and other tokens stay."""
    file = tmp_path / "tokens"
    token = add_token(file, "tablet")
    assert len(token) >= 32
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(f"# mine\n{file.read_text()}me {ONE}")
    file.chmod(0o640)
    other = add_token(file, "phone")
    assert read_tokens(file) == {"tablet": token, "me": ONE, "phone": other}
    assert file.stat().st_mode & 0o777 == 0o640
    remove_token(file, "tablet")
    assert file.read_text().splitlines() == ["# mine", f"me {ONE}", f"phone {other}"]
    for name in ("me", "a b", "", "#x", "announced"):
        with pytest.raises(TokenError):
            add_token(file, name)
    with pytest.raises(TokenError, match="no tablet"):
        remove_token(file, "tablet")
    assert [each.name for each in tmp_path.iterdir()] == ["tokens"], "nothing is left behind"


def test_owner_stays(file: File, tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever changes it, the server can read it on: the file is the same user's, or it is no change."""
    owners: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda _, user, group: owners.append((user, group)))
    token = add_token(file, "me")
    remove_token(file, "me")
    assert owners == [(file.stat().st_uid, file.stat().st_gid)] * 2

    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EPERM, "not yours")

    add_token(file, "me")
    monkeypatch.setattr(os, "fchown", forbidden)
    with pytest.raises(PermissionError, match="not yours"):
        remove_token(file, "me")
    assert list(read_tokens(file)) == ["me"]
    assert token not in file.read_text()
    assert [each.name for each in tmp_path.iterdir()] == ["tokens"]


def test_link_stays(tmp_path: File) -> None:
    """A file elsewhere is changed where it is, or made there."""
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/tokens")
    tokens = {name: add_token(tmp_path / "link", name) for name in ("one", "two")}
    assert (tmp_path / "link").is_symlink()
    assert read_tokens(tmp_path / "there" / "tokens") == tokens


def test_command_line(tmp_path: File, capsys: pytest.CaptureFixture[str]) -> None:
    """`moat-bridge server token`: made and shown once, listed by name, taken back."""
    where = ["--token-file", str(tmp_path / "tokens")]
    assert main(["server", "token", "add", "tablet", *where]) == 0
    token = capsys.readouterr().out.strip()
    assert read_tokens(tmp_path / "tokens") == {"tablet": token}
    assert main(["server", "token", "list", *where]) == 0
    assert capsys.readouterr().out == "tablet\n"
    assert main(["server", "token", "add", "tablet", *where]) == 1
    assert "already" in capsys.readouterr().err
    assert main(["server", "token", "remove", "tablet", *where]) == 0
    assert main(["server", "token", "list", "--token-file", "/nonexistent"]) == 1
    assert capsys.readouterr().err == "/nonexistent: no such file or directory\n"
