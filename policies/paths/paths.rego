# METADATA
# title: Paths
# description: |
#   File paths stay below the folders that are named. A path that climbs (`..`), begins at a home folder (`~`), names a
#   hidden file or holds what only some systems understand is refused, not tidied: guessing what a tool makes of it would
#   be guessing wrong one day. Links on the disk are not followed; a tool that meets them needs a guard of its own.
# custom:
#   owasp: [ASI02]
#   ai_act: [Article 15]
#   settings:
#     tools: "arguments that hold paths: {tool: [argument]}, \"*\" for every tool; absent: arguments of the usual names"
#     roots: "folders that may be used, absolute, or relative to the tool's own; absent: none"
#     forbidden: "names of files and folders that may not be used anywhere, in any case of letters"
#     hidden: "true: names that begin with a dot may be used"
package openclaw.policies.paths

import rego.v1

shape := {"tools": "object", "roots": "array", "forbidden": "array", "hidden": "boolean"}

default settings := {}

settings := data.paths if is_object(data.paths)

usual := ["path", "paths", "file", "files", "file_path", "file_name", "filename", "folder", "directory", "dir"]

tools := object.get(settings, "tools", {"*": usual})

guarded contains [arg, value] if {
	input.kind == "tool"
	some tool in [input.tool.name, "*"]
	some arg in listed(tools[tool])
	value := input.tool.args[arg]
	value != null
}

found contains [arg, path] if {
	some [arg, path] in guarded
	is_string(path)
}

found contains [arg, path] if {
	some [arg, value] in guarded
	is_array(value)
	some path in listed(value)
	is_string(path)
}

deny contains sprintf("the argument %v is not a path or a list of paths", [arg]) if {
	some [arg, value] in guarded
	not type_name(value) in {"string", "array"}
}

deny contains sprintf("the argument %v is not a path or a list of paths", [arg]) if {
	some [arg, value] in guarded
	is_array(value)
	some member in listed(value)
	not is_string(member)
}

deny contains sprintf("the path in %v leads out of its folder", [arg]) if {
	some [arg, path] in found
	".." in split(path, "/")
}

deny contains sprintf("the path in %v means different files to different systems", [arg]) if {
	some [arg, path] in found
	some sign in ["%", "~", "$", ":"]
	contains(path, sign)
}

# What JSON writes with a backslash: control characters (a library in C ends a text at a NUL), quotes, and `<>&`.
deny contains sprintf("the path in %v holds control characters, quotes or other signs with a meaning", [arg]) if {
	some [arg, path] in found
	contains(json.marshal(path), "\\")
}

deny contains sprintf("the path in %v is not below a folder that may be used", [arg]) if {
	some [arg, path] in found
	not below_a_root(path)
}

deny contains sprintf("the path in %v names a hidden file", [arg]) if {
	not object.get(settings, "hidden", false) == true
	some [arg, path] in found
	some name in split(path, "/")
	startswith(name, ".")
	not name in {".", ".."}
}

deny contains sprintf("the path in %v names a file or folder that is forbidden", [arg]) if {
	some [arg, path] in found
	some name in split(lower(path), "/")
	some word in listed(object.get(settings, "forbidden", []))
	is_string(word)
	name == lower(word)
}

below_a_root(path) if {
	path in object.get(settings, "roots", [])
}

below_a_root(path) if {
	some root in listed(object.get(settings, "roots", []))
	is_string(root)
	root != ""
	startswith(path, concat("", [trim_suffix(root, "/"), "/"]))
}

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)

mapped(value) := value if is_object(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.paths are not an object" if {
	value := data.paths
	not is_object(value)
}

deny contains sprintf("the setting data.paths.%v is unknown or of the wrong type", [key]) if {
	some key, value in settings
	not type_name(value) == shape[key]
}

deny contains sprintf("the setting data.paths.%v is not a list of texts", [key]) if {
	some key in ["roots", "forbidden"]
	some member in listed(settings[key])
	not is_string(member)
}

deny contains sprintf("the setting data.paths.tools.%v is not a list of names", [tool]) if {
	some tool, names in mapped(settings.tools)
	not is_array(names)
}

deny contains sprintf("the setting data.paths.tools.%v is not a list of names", [tool]) if {
	some tool, names in mapped(settings.tools)
	some name in listed(names)
	not is_string(name)
}
