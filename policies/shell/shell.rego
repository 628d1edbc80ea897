# METADATA
# title: Shell
# description: |
#   Commands are programs from a list, called plainly. In a text, only letters, digits and signs that no shell gives a
#   meaning may stand: no quotes, variables, pipes, redirections or new lines. A list of arguments goes past the shell, so
#   its members may hold anything. Options with which a program runs others or writes where it likes are forbidden, and a
#   program that only runs others asks a person, each time.
# custom:
#   owasp: [ASI02, ASI05]
#   ai_act: [Article 14, Article 15]
#   settings:
#     tools: "arguments that hold commands: {tool: [argument]}, \"*\" for every tool; absent: arguments of the usual names"
#     commands: "programs that may be run, as they are written; absent: none"
#     options: "options that are forbidden besides those that the policy knows: {program: [option]}"
package openclaw.policies.shell

import rego.v1

shape := {"tools": "object", "commands": "array", "options": "object"}

default settings := {}

settings := data.shell if is_object(data.shell)

tools := object.get(settings, "tools", {"*": ["command", "commands", "cmd", "shell", "argv"]})

dangerous := {
	"find": ["-exec", "-execdir", "-ok", "-okdir", "-delete", "-fprint", "-fprint0", "-fprintf", "-fls"],
	"git": ["-c", "--exec-path", "--upload-pack", "--receive-pack", "--config-env", "--ext-diff", "--open-files-in-pager", "-O"],
	"grep": ["-f", "--file"],
	"rg": ["--pre"],
	"sort": ["-o", "--output", "--compress-program"],
	"tar": ["-I", "--use-compress-program", "--checkpoint-action", "--to-command", "-F", "--info-script", "--new-volume-script"],
	"curl": ["-o", "-O", "--output", "--remote-name", "-T", "--upload-file", "-K", "--config", "-d", "--data", "-F", "--form"],
	"wget": ["-O", "--output-document", "--post-file", "--body-file", "--use-askpass", "-e", "--execute"],
	"sed": ["-i", "--in-place", "-e", "--expression", "-f", "--file"],
}

runners := {
	"awk", "bash", "busybox", "chroot", "dash", "doas", "docker", "env", "eval", "exec", "fish", "ksh", "kubectl", "lua", "make",
	"nice", "node", "nohup", "npx", "parallel", "perl", "php", "powershell", "pwsh", "python", "python3", "ruby", "screen",
	"sh", "ssh", "su", "sudo", "tclsh", "time", "timeout", "tmux", "uvx", "vi", "vim", "watch", "xargs", "zsh",
}

guarded contains [arg, value] if {
	input.kind == "tool"
	some tool in [input.tool.name, "*"]
	some arg in listed(tools[tool])
	value := input.tool.args[arg]
	value != null
}

# Each command as the list of its words.
found contains [arg, words] if {
	some [arg, value] in guarded
	is_string(value)
	words := split(trim_space(value), " ")
}

found contains [arg, words] if {
	some [arg, words] in guarded
	is_array(words)
	is_string(words[0])
}

deny contains sprintf("the argument %v is not a command", [arg]) if {
	some [arg, value] in guarded
	not type_name(value) in {"string", "array"}
}

deny contains sprintf("the argument %v is not a command", [arg]) if {
	some [arg, value] in guarded
	value == []
}

deny contains sprintf("the argument %v is not a command", [arg]) if {
	some [arg, value] in guarded
	is_array(value)
	some member in listed(value)
	not is_string(member)
}

deny contains sprintf("the command in %v holds signs that have a meaning to a shell", [arg]) if {
	some [arg, value] in guarded
	is_string(value)
	not regex.match("^[A-Za-z0-9_@%+=:,./ -]+$", value)
}

deny contains sprintf("the command in %v runs a program that is not allowed", [arg]) if {
	some [arg, words] in found
	not words[0] in object.get(settings, "commands", [])
}

deny contains sprintf("the command in %v uses %v, which is forbidden with %v", [arg, option, words[0]]) if {
	some [arg, words] in found
	some option in forbidden[words[0]]
	is_string(option)
	some word in array.slice(words, 1, 100000)
	uses(word, option)
}

ask contains sprintf("the command in %v runs other programs", [arg]) if {
	some [arg, words] in found
	words[0] in runners
}

forbidden[program] contains option if some option in dangerous[program]

forbidden[program] contains option if some option in listed(settings.options[program])

uses(word, option) if word == option

uses(word, option) if startswith(word, concat("", [option, "="]))

# `-ofile` and `-xof`: letters of short options stand together, with their value.
uses(word, option) if {
	regex.match("^-[A-Za-z]$", option)
	regex.match("^-[^-]", word)
	contains(word, substring(option, 1, 1))
}

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)

mapped(value) := value if is_object(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.shell are not an object" if {
	value := data.shell
	not is_object(value)
}

deny contains sprintf("the setting data.shell.%v is unknown or of the wrong type", [key]) if {
	some key, value in settings
	not type_name(value) == shape[key]
}

deny contains "the setting data.shell.commands is not a list of texts" if {
	some member in listed(settings.commands)
	not is_string(member)
}

deny contains sprintf("the setting data.shell.%v.%v is not a list of texts", [key, name]) if {
	some key in ["tools", "options"]
	some name, members in mapped(settings[key])
	not is_array(members)
}

deny contains sprintf("the setting data.shell.%v.%v is not a list of texts", [key, name]) if {
	some key in ["tools", "options"]
	some name, members in mapped(settings[key])
	some member in listed(members)
	not is_string(member)
}
