"""The machine and its people."""

from __future__ import annotations

from tests.agents.shell.replay import flags, out, run


def test_users_and_groups_are_made_and_unmade() -> None:
    script = "groupadd dev; useradd -m -s /bin/bash -G dev,sudo ann; id ann; groups ann; getent passwd ann; ls /home; usermod -aG adm ann; id -nG ann; usermod -G dev ann; id -nG ann"
    assert out(script).split("\n") == [
        "uid=1001(ann) gid=1002(ann) groups=1002(ann),27(sudo),1001(dev)",
        "ann : ann sudo dev",
        "ann:x:1001:1002::/home/ann:/bin/bash",
        "ann",
        "user",
        "ann adm sudo dev",
        "ann dev",
        "",
    ]
    assert (
        out("useradd bob; userdel -r bob 2>/dev/null; grep -c bob /etc/passwd /etc/group | cat")
        == "/etc/passwd:0\n/etc/group:0\n"
    )


def test_faults_have_the_status_of_the_real_ones() -> None:
    assert (
        run("useradd root").status == 9 and run("useradd 'A B'").status == 3 and run("userdel nobody-known").status == 6
    )
    assert (
        run("useradd -G none x").status == 6
        and run("id nobody-known").status == 1
        and run("getent passwd none").status == 2
    )


def test_what_depends_on_a_real_machine_is_flagged() -> None:
    for script in (
        "ps",
        "free",
        "df",
        "uptime",
        "uname -a",
        "hostname -I",
        "passwd root",
        "chpasswd",
        "su user",
        "usermod -L user",
        "top",
        "w",
    ):
        assert flags(script), script
