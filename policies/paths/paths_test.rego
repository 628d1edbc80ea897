package openclaw.policies.paths_test

import rego.v1

import data.openclaw.policies.paths

settings := {
	"tools": {"read": ["path"], "*": ["file"]},
	"roots": ["/srv/desk", "notes/"],
	"forbidden": ["Secrets"],
}

denied(name, args) := reasons if {
	request := {"kind": "tool", "tool": {"name": name, "args": args}}
	reasons := paths.deny with input as request with data.paths as settings
}

misset(value) := reasons if {
	reasons := paths.deny with input as {"kind": "model"} with data.paths as value
}

outside := "the path in path is not below a folder that may be used"

test_below_a_root_is_free if {
	denied("read", {"path": "/srv/desk/a.txt"}) == set()
	denied("read", {"path": "/srv/desk"}) == set()
	denied("read", {"path": "notes/today.md"}) == set()
	denied("read", {"path": ["/srv/desk/a", "/srv/desk/b c.txt"]}) == set()
}

test_outside_is_denied if {
	denied("read", {"path": "/etc/passwd"}) == {outside}
	denied("read", {"path": "/srv/desktop"}) == {outside}
	denied("read", {"path": "//srv/desk/a"}) == {outside}
	denied("read", {"path": ""}) == {outside}
	denied("read", {"path": ["/srv/desk/a", "/etc/passwd"]}) == {outside}
}

test_climbing_is_denied if {
	denied("read", {"path": "/srv/desk/../../etc/passwd"}) == {"the path in path leads out of its folder"}
}

test_signs_with_two_meanings_are_denied if {
	reason := "the path in path means different files to different systems"
	every path in ["/srv/desk/%2e%2e/x", "/srv/desk/~root", "/srv/desk/$HOME"] {
		reason in denied("read", {"path": path})
	}
}

test_control_characters_and_quotes_are_denied if {
	reason := {"the path in path holds control characters, quotes or other signs with a meaning"}
	denied("read", {"path": `/srv/desk/a\..\x`}) == reason
	denied("read", {"path": `/srv/desk/"x"`}) == reason
	denied("read", {"path": "/srv/desk/id_rsa\u0000.txt"}) == reason
}

test_hidden_and_forbidden_names if {
	denied("read", {"path": "/srv/desk/.SSH/key"}) == {"the path in path names a hidden file"}
	denied("read", {"path": "/srv/desk/SECRETS/key"}) == {"the path in path names a file or folder that is forbidden"}
	denied("read", {"path": "/srv/desk/./a"}) == set()
}

test_hidden_files_can_be_let_in if {
	request := {"kind": "tool", "tool": {"name": "read", "args": {"path": "/srv/.config"}}}
	reasons := paths.deny with input as request with data.paths as {"roots": ["/srv"], "hidden": true}
	reasons == set()
}

test_what_is_no_path_is_denied if {
	reason := {"the argument path is not a path or a list of paths"}
	denied("read", {"path": 5}) == reason
	denied("read", {"path": {"x": "/etc"}}) == reason
	denied("read", {"path": ["/srv/desk/a", {"x": 1}]}) == reason
	denied("read", {"path": null}) == set()
}

test_a_star_guards_every_tool if {
	denied("other", {"file": "/etc/passwd"}) == {"the path in file is not below a folder that may be used"}
	denied("other", {"path": "/etc/passwd"}) == set()
}

test_without_settings_no_path_may_be_used if {
	request := {"kind": "tool", "tool": {"name": "read", "args": {"file_path": "/srv/desk/a"}}}
	reasons := paths.deny with input as request with data.paths as {}
	reasons == {"the path in file_path is not below a folder that may be used"}
}

test_misspelt_settings_deny if {
	misset("x") == {"the settings data.paths are not an object"}
	misset({"root": []}) == {"the setting data.paths.root is unknown or of the wrong type"}
	misset({"roots": [5]}) == {"the setting data.paths.roots is not a list of texts"}
	misset({"tools": {"read": "path"}}) == {"the setting data.paths.tools.read is not a list of names"}
	misset({"tools": {"read": [1]}}) == {"the setting data.paths.tools.read is not a list of names"}
}
