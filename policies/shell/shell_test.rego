package openclaw.policies.shell_test

import rego.v1

import data.openclaw.policies.shell

settings := {"commands": ["ls", "git", "find", "sort", "bash"], "options": {"git": ["push"]}}

request(command) := {"kind": "tool", "tool": {"name": "run", "args": {"command": command}}}

denied_by(set_to, command) := reasons if {
	reasons := shell.deny with input as request(command) with data.shell as set_to
}

denied(command) := denied_by(settings, command)

misset(value) := reasons if {
	reasons := shell.deny with input as {"kind": "model"} with data.shell as value
}

program := "the command in command runs a program that is not allowed"

signs := "the command in command holds signs that have a meaning to a shell"

test_programs_on_the_list_run if {
	denied("ls -la /srv") == set()
	denied("git log --oneline") == set()
	denied(["git", "commit", "-m", "it's $done; now\n"]) == set()
}

test_other_programs_do_not if {
	denied("rm -rf /") == {program}
	denied("/bin/ls") == {program}
	denied("A=b ls") == {program}
	denied("lsof") == {program}
	denied(["rm", "-rf", "/"]) == {program}
	denied("   ") == {program}
}

test_what_a_shell_reads_is_denied if {
	every command in [
		"ls; rm x", "ls && rm x", "ls | sh", "ls `id`", "ls $(id)", "ls > x", "ls 'a'", "ls *", "ls\nrm x", "ls {a,b}", "ls ~",
		"ls \\x", "ls ä", "ls \t", "ls !x",
	] {
		signs in denied(command)
	}
}

test_options_that_run_or_write_are_forbidden if {
	denied("find . -delete") == {"the command in command uses -delete, which is forbidden with find"}
	denied(["find", ".", "-exec", "rm", "{}", ";"]) == {"the command in command uses -exec, which is forbidden with find"}
	denied("git --exec-path=/tmp log") == {"the command in command uses --exec-path, which is forbidden with git"}
	denied("git push") == {"the command in command uses push, which is forbidden with git"}
	denied("sort -uo/etc/x a") == {"the command in command uses -o, which is forbidden with sort"}
}

test_a_program_that_runs_others_asks if {
	reasons := shell.ask with input as request("bash build.sh") with data.shell as settings
	reasons == {"the command in command runs other programs"}
	denied("bash build.sh") == set()
}

test_what_is_no_command_is_denied if {
	reason := "the argument command is not a command"
	denied(5) == {reason}
	denied({"ls": "x"}) == {reason}
	denied([]) == {reason}
	denied(["ls", 5]) == {reason}
	denied(null) == set()
}

test_without_settings_nothing_runs if denied_by({}, "ls") == {program}

test_misspelt_settings_deny if {
	misset("ls") == {"the settings data.shell are not an object"}
	misset({"command": []}) == {"the setting data.shell.command is unknown or of the wrong type"}
	misset({"commands": [1]}) == {"the setting data.shell.commands is not a list of texts"}
	misset({"options": {"git": "push"}}) == {"the setting data.shell.options.git is not a list of texts"}
	misset({"tools": {"run": [1]}}) == {"the setting data.shell.tools.run is not a list of texts"}
}
