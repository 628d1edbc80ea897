# METADATA
# title: URLs
# description: |
#   Addresses of the web go to hosts that are named. An address that two readers could take for two hosts (a user name
#   before an `@`, backslashes, white space, signs beyond ASCII) is refused. Where every public host is let in with "*",
#   addresses in numbers and names of the own network are still refused; what a public name resolves to is not seen here.
# custom:
#   owasp: [ASI02]
#   ai_act: [Article 15]
#   settings:
#     tools: "arguments that hold addresses: {tool: [argument]}, \"*\" for every tool; absent: arguments of the usual names"
#     hosts: "hosts that may be reached: a name, \".example.com\" for all below it, or \"*\" for all public ones; absent: none"
#     schemes: "absent: [https]"
#     ports: "ports that may be named, as texts; absent: none"
package openclaw.policies.urls

import rego.v1

shape := {"tools": "object", "hosts": "array", "schemes": "array", "ports": "array"}

default settings := {}

settings := data.urls if is_object(data.urls)

usual := ["url", "urls", "uri", "link", "href", "endpoint", "webhook", "base_url", "callback_url"]

tools := object.get(settings, "tools", {"*": usual})

guarded contains [arg, value] if {
	input.kind == "tool"
	some tool in [input.tool.name, "*"]
	some arg in listed(tools[tool])
	value := input.tool.args[arg]
	value != null
}

found contains [arg, url] if {
	some [arg, url] in guarded
	is_string(url)
}

found contains [arg, url] if {
	some [arg, value] in guarded
	is_array(value)
	some url in listed(value)
	is_string(url)
}

deny contains sprintf("the argument %v is not an address or a list of addresses", [arg]) if {
	some [arg, value] in guarded
	not type_name(value) in {"string", "array"}
}

deny contains sprintf("the argument %v is not an address or a list of addresses", [arg]) if {
	some [arg, value] in guarded
	is_array(value)
	some member in listed(value)
	not is_string(member)
}

deny contains sprintf("the address in %v is not written plainly", [arg]) if {
	some [arg, url] in found
	not plain(url)
}

deny contains sprintf("the address in %v has a scheme that is not allowed", [arg]) if {
	some [arg, url] in found
	plain(url)
	not scheme(url) in object.get(settings, "schemes", ["https"])
}

deny contains sprintf("the address in %v leads to a host that is not allowed", [arg]) if {
	some [arg, url] in found
	plain(url)
	not allowed_host(host(url))
}

deny contains sprintf("the address in %v names a port that is not allowed", [arg]) if {
	some [arg, url] in found
	plain(url)
	some port in array.slice(split(authority(url), ":"), 1, 99)
	not port in object.get(settings, "ports", [])
}

# Printable ASCII, a scheme, and an authority of a host and perhaps a port, without a user, brackets or escapes.
plain(url) if {
	count(url) <= 2048
	regex.match("^[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9.-]+(:[0-9]+)?([/?#][!-~]*)?$", url)
	not contains(url, "\\")
}

scheme(url) := lower(split(url, ":")[0])

authority(url) := split(split(split(split(url, "://")[1], "/")[0], "?")[0], "#")[0]

host(url) := lower(split(authority(url), ":")[0])

allowed_host(name) if name in object.get(settings, "hosts", [])

allowed_host(name) if {
	some suffix in listed(object.get(settings, "hosts", []))
	is_string(suffix)
	startswith(suffix, ".")
	endswith(name, suffix)
}

allowed_host(name) if {
	"*" in object.get(settings, "hosts", [])
	public(name)
}

# Its last label begins with a letter: 127.0.0.1, 2130706433 and 127.0x1 are no names, and `localhost` has no dot.
public(name) if {
	labels := split(name, ".")
	count(labels) > 1
	not "" in labels
	regex.match("^[a-z]", labels[count(labels) - 1])
	not own_network(name)
}

own_network(name) if {
	some suffix in [".local", ".localhost", ".internal", ".intranet", ".lan", ".home", ".corp", ".home.arpa"]
	endswith(name, suffix)
}

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)

mapped(value) := value if is_object(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.urls are not an object" if {
	value := data.urls
	not is_object(value)
}

deny contains sprintf("the setting data.urls.%v is unknown or of the wrong type", [key]) if {
	some key, value in settings
	not type_name(value) == shape[key]
}

deny contains sprintf("the setting data.urls.%v is not a list of texts", [key]) if {
	some key in ["hosts", "schemes", "ports"]
	some member in listed(settings[key])
	not is_string(member)
}

deny contains sprintf("the setting data.urls.tools.%v is not a list of names", [tool]) if {
	some tool, names in mapped(settings.tools)
	not is_array(names)
}

deny contains sprintf("the setting data.urls.tools.%v is not a list of names", [tool]) if {
	some tool, names in mapped(settings.tools)
	some name in listed(names)
	not is_string(name)
}
