package openclaw.policies.urls_test

import rego.v1

import data.openclaw.policies.urls

settings := {"hosts": ["api.example.com", ".docs.example.com"], "ports": ["443"]}

denied_by(set_to, url) := reasons if {
	request := {"kind": "tool", "tool": {"name": "get", "args": {"url": url}}}
	reasons := urls.deny with input as request with data.urls as set_to
}

denied(url) := denied_by(settings, url)

misset(value) := reasons if {
	reasons := urls.deny with input as {"kind": "model"} with data.urls as value
}

host := {"the address in url leads to a host that is not allowed"}

unclear := {"the address in url is not written plainly"}

test_named_hosts_are_free if {
	denied("https://api.example.com/v1?q=1#top") == set()
	denied("HTTPS://API.example.com:443") == set()
	denied("https://a.docs.example.com/") == set()
	denied(["https://api.example.com", "https://b.a.docs.example.com"]) == set()
}

test_other_hosts_are_denied if {
	denied("https://example.com/") == host
	denied("https://docs.example.com/") == host
	denied("https://evildocs.example.com/") == host
	denied("https://api.example.com.evil.example/") == host
	denied("https://api.example.com./") == host
	denied("https://evil.example/https://api.example.com/") == host
	denied("https://evil.example?https://api.example.com/") == host
	denied("https://evil.example#://api.example.com") == host
}

test_addresses_with_two_readings_are_denied if {
	denied("https://api.example.com@evil.example/") == unclear
	denied(`https://evil.example\@api.example.com/`) == unclear
	denied("https://api.example.com /") == unclear
	denied("https://api.example.com/\n") == unclear
	denied(" https://api.example.com/") == unclear
	denied("https://api.exämple.com/") == unclear
	denied("https://[::1]/") == unclear
	denied("//api.example.com/") == unclear
	denied("javascript:alert(1)") == unclear
	denied("") == unclear
}

test_schemes_and_ports if {
	denied("http://api.example.com/") == {"the address in url has a scheme that is not allowed"}
	denied("https://api.example.com:8443/") == {"the address in url names a port that is not allowed"}
}

test_every_public_host_can_be_let_in if {
	all_public := {"hosts": ["*"]}
	denied_by(all_public, "https://www.example.com/") == set()
	every url in [
		"https://localhost/", "https://127.0.0.1/", "https://2130706433/", "https://0x7f.1/", "https://127.0x1/",
		"https://printer.local/", "https://metadata.google.internal/", "https://example.com./",
	] {
		denied_by(all_public, url) == host
	}
}

test_what_is_no_address_is_denied if {
	reason := {"the argument url is not an address or a list of addresses"}
	denied(5) == reason
	denied({"url": "https://api.example.com"}) == reason
	denied([7]) == reason
	denied(null) == set()
}

test_without_settings_nothing_is_reached if denied_by({}, "https://api.example.com/") == host

test_misspelt_settings_deny if {
	misset(false) == {"the settings data.urls are not an object"}
	misset({"host": []}) == {"the setting data.urls.host is unknown or of the wrong type"}
	misset({"ports": [443]}) == {"the setting data.urls.ports is not a list of texts"}
	misset({"tools": {"get": "url"}}) == {"the setting data.urls.tools.get is not a list of names"}
	misset({"tools": {"get": [1]}}) == {"the setting data.urls.tools.get is not a list of names"}
}
