# METADATA
# title: SQL
# description: |
#   One statement at a time, of a kind that is allowed, without comments and escapes, and without words that write or reach
#   beyond the database. A statement is not parsed: a forbidden word denies it wherever it stands, in a text too, so give
#   values as parameters. The rights of the database account remain the wall; this keeps calls away from it.
# custom:
#   owasp: [ASI02]
#   ai_act: [Article 15]
#   settings:
#     tools: "arguments that hold statements: {tool: [argument]}, \"*\" for every tool; absent: arguments of the usual names"
#     statements: "first words that are allowed; absent: [select]"
#     forbidden: "words that are forbidden besides those that the policy knows"
package openclaw.policies.sql

import rego.v1

shape := {"tools": "object", "statements": "array", "forbidden": "array"}

default settings := {}

settings := data.sql if is_object(data.sql)

tools := object.get(settings, "tools", {"*": ["sql", "statement", "sql_query"]})

statements := object.get(settings, "statements", ["select"])

# Each begins a statement, and some also stand inside of others: `with x as (delete …)`, `select … into …`.
verbs := {
	"alter", "analyze", "attach", "begin", "call", "cluster", "comment", "commit", "copy", "create", "deallocate",
	"declare", "delete", "detach", "do", "drop", "exec", "execute", "explain", "export", "grant", "import", "insert",
	"install", "kill", "listen", "load", "lock", "merge", "notify", "pragma", "prepare", "refresh", "reindex", "rename",
	"reset", "revoke", "rollback", "savepoint", "set", "shutdown", "truncate", "unload", "update", "upsert", "use", "vacuum",
}

# Words of statements that are allowed bring these along.
parts := {"insert": {"into"}, "update": {"set"}, "merge": {"into", "insert", "update", "delete", "set"}}

reaching := {
	"into", "outfile", "dumpfile", "load_file", "load_extension", "readfile", "writefile", "pg_read_file",
	"pg_read_binary_file", "pg_ls_dir", "pg_sleep", "lo_import", "lo_export", "dblink", "xp_cmdshell", "openrowset",
	"opendatasource", "sp_executesql", "utl_http", "utl_file", "dbms_scheduler", "benchmark", "sleep", "waitfor",
}

guarded contains [arg, value] if {
	input.kind == "tool"
	some tool in [input.tool.name, "*"]
	some arg in listed(tools[tool])
	value := input.tool.args[arg]
	value != null
}

found contains [arg, lower(text)] if {
	some [arg, text] in guarded
	is_string(text)
}

deny contains sprintf("the argument %v is not a statement", [arg]) if {
	some [arg, value] in guarded
	not is_string(value)
}

deny contains sprintf("the statement in %v holds comments, escapes or several statements", [arg]) if {
	some [arg, text] in found
	some sign in ["--", "/*", "*/", "#", "\\", ";", "$$"]
	contains(trim_suffix(text, ";"), sign)
}

deny contains sprintf("the statement in %v is of a kind that is not allowed", [arg]) if {
	some [arg, text] in found
	not first(text) in statements
}

deny contains sprintf("the statement in %v holds the word %v, which is forbidden", [arg, word]) if {
	some [arg, text] in found
	some word in unwanted
	word in words(text)
	not word in allowed_words(first(text))
}

deny contains sprintf("the statement in %v would change every row: it has no `where`", [arg]) if {
	some [arg, text] in found
	first(text) in {"update", "delete"}
	not "where" in words(text)
}

unwanted := union({verbs, reaching, own})

own := {word | some entry in listed(object.get(settings, "forbidden", [])); is_string(entry); word := lower(entry)}

words(text) := regex.split("[^a-z0-9_]+", text)

first(text) := regex.split("[^a-z0-9_]+", trim_space(text))[0]

allowed_words(verb) := {verb} | object.get(parts, verb, set()) if {
	verb in statements
} else := {" "}

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)

mapped(value) := value if is_object(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.sql are not an object" if {
	value := data.sql
	not is_object(value)
}

deny contains sprintf("the setting data.sql.%v is unknown or of the wrong type", [key]) if {
	some key, value in settings
	not type_name(value) == shape[key]
}

deny contains sprintf("the setting data.sql.%v is not a list of texts", [key]) if {
	some key in ["statements", "forbidden"]
	some member in listed(settings[key])
	not is_string(member)
}

deny contains sprintf("the setting data.sql.tools.%v is not a list of names", [tool]) if {
	some tool, names in mapped(settings.tools)
	not is_array(names)
}

deny contains sprintf("the setting data.sql.tools.%v is not a list of names", [tool]) if {
	some tool, names in mapped(settings.tools)
	some name in listed(names)
	not is_string(name)
}
