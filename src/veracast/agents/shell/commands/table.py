"""The commands by name. What is not listed here, nor a builtin, a function or a script of the tree, is not available."""

from __future__ import annotations

from veracast.agents.shell.call import Command
from veracast.agents.shell.commands import archives, columns, files, listing, numbers, system, text, xargs
from veracast.agents.shell.commands.awk import awk
from veracast.agents.shell.commands.compare import cmp, diff
from veracast.agents.shell.commands.find import find
from veracast.agents.shell.commands.search import grep
from veracast.agents.shell.commands.sed import sed

COMMANDS: dict[str, Command] = {
    "cat": text.cat, "tac": text.tac, "rev": text.rev, "nl": text.nl, "head": text.head, "tail": text.tail, "wc": text.wc, "tee": text.tee,
    "strings": text.strings, "base64": text.base64_, "md5sum": text.digest, "sha1sum": text.digest, "sha256sum": text.digest,
    "sha512sum": text.digest, "yes": text.yes, "seq": text.seq,
    "sort": columns.sort, "uniq": columns.uniq, "cut": columns.cut, "paste": columns.paste, "join": columns.join, "comm": columns.comm,
    "tr": columns.tr, "fold": columns.fold, "column": columns.column, "diff": diff, "cmp": cmp,
    "grep": grep, "egrep": grep, "fgrep": grep, "zgrep": grep, "sed": sed, "awk": awk, "find": find,
    "ls": listing.ls, "stat": listing.stat, "file": listing.file, "du": listing.du, "basename": listing.basename,
    "dirname": listing.dirname, "realpath": listing.realpath, "readlink": listing.readlink,
    "mkdir": files.mkdir, "rmdir": files.rmdir, "touch": files.touch, "cp": files.cp, "mv": files.mv, "rm": files.rm, "ln": files.ln,
    "chmod": files.chmod, "chown": files.chown, "chgrp": files.chown, "truncate": files.truncate, "fallocate": files.fallocate,
    "dd": files.dd, "mktemp": files.mktemp,
    "date": system.date, "sleep": system.sleep, "whoami": system.whoami, "id": system.id_, "groups": system.groups_,
    "hostname": system.hostname, "uname": system.uname, "nproc": system.nproc, "getent": system.getent, "groupadd": system.groupadd,
    "groupdel": system.groupdel, "useradd": system.useradd, "usermod": system.usermod, "userdel": system.userdel,
    "xargs": xargs.xargs, "env": xargs.env, "printenv": xargs.printenv, "nohup": xargs.nohup, "timeout": xargs.timeout,
    "bash": xargs.bash, "sh": xargs.bash, "expr": numbers.expr, "bc": numbers.bc,
    "gzip": archives.gzip, "gunzip": archives.gzip, "zcat": archives.gzip,
    "sync": lambda call: 0,
}  # fmt: skip
STREAMING = frozenset("cat grep egrep fgrep sed tr cut awk nl rev tee fold uniq".split())  # noqa: SIM905
"""What writes as it reads, so that in `yes | cat | head` it ends when its reader has had enough."""

_BUILTIN_FILES = {"echo", "printf", "test", "[", "true", "false", "pwd"}


def _as_files() -> None:
    """Builtins that are files too, for xargs and find."""
    from veracast.agents.shell.builtins import BUILTINS

    COMMANDS.update({name: BUILTINS[name] for name in _BUILTIN_FILES})


_as_files()
