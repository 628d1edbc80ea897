package openclaw.policies.secrets_test

import rego.v1

import data.openclaw.policies.secrets

settings := {"inside": ["log_in"], "names": ["Door_Code"]}

request(tool, args) := {"kind": "tool", "tool": {"name": tool, "args": args}}

denied(tool, args) := reasons if {
	reasons := secrets.deny with input as request(tool, args) with data.secrets as settings
}

masked(tool, args) := fields if {
	duties := secrets.oblige with input as request(tool, args) with data.secrets as settings
	fields := {field | some duty in duties; duty.kind == "mask"; some field in duty.fields}
}

misset(value) := reasons if {
	reasons := secrets.deny with input as {"kind": "model"} with data.secrets as value
}

body := {"the argument body holds a secret, which may get out"}

# Put together, so that nobody takes the examples for real ones.
made_up := [
	concat("", ["-----BEGIN ", "RSA PRIVATE KEY-----"]),
	concat("", ["key: AKIA", "ABCDEFGHIJKLMNOP"]),
	concat("", ["gh", "p_", "abcdefghijklmnopqrstuvwxyz0123456789"]),
	concat("", ["github_pat_", "abcdefghijklmnopqrstuv"]),
	concat("", ["glpat-", "abcdefghijklmnopqrst"]),
	concat("", ["xoxb-", "0123456789"]),
	concat("", ["AIza", "abcdefghijklmnopqrstuvwxyz012345678"]),
	concat("", ["sk_live_", "abcdefghijklmnop"]),
	concat("", ["sk-proj-", "abcdefghijklmnop"]),
	concat("", ["eyJ", "hbGciOiJIUzI1", ".eyJ", "zdWIiOiIxMjM0"]),
	concat("", ["postgresql://eva:", "hunter2@db/x"]),
	concat("", ["Authorization: Bearer ", "abcdefghijklmnopqrst"]),
	concat("", ["password=", "hunter2"]),
]

test_secrets_of_known_forms_are_kept_in_and_masked if {
	every text in made_up {
		denied("send", {"body": text}) == body
		denied("send", {"body": {"parts": [{"text": text}]}}) == body
		denied("send", {"body": {text: 1}}) == body
		masked("send", {"body": text, "to": "eva"}) == {"args.body"}
	}
}

test_arguments_whose_names_say_so_hold_secrets if {
	masked("log_in", {"user": "eva", "Password": "x"}) == {"args.Password"}
	masked("log_in", {"with": {"door_code": 1234}}) == {"args.with"}
	denied("log_in", {"user": "eva", "password": "x"}) == set()
	denied("send", {"body": {"password": "x"}}) == body
}

cut(result) := duties if {
	duties := secrets.oblige with input as {"kind": "result", "result": result} with data.secrets as settings
}

test_secrets_in_results_are_cut if {
	every text in made_up {
		some duty in cut({"found": [text]})
		duty.kind == "redact"
		contains(text, trim_space(duty.texts[0]))
	}
	key := concat("", ["AKIA", "ABCDEFGHIJKLMNOP"])
	cut(concat("", ["the key ", key, "."])) == {{"kind": "redact", "texts": [key], "replacement": "[secret]"}}
	cut({key: 5}) == {{"kind": "redact", "texts": [key], "replacement": "[secret]"}}
	cut("the password was changed") == set()
}

test_a_private_key_is_cut_whole if {
	body := "\nMII-x\n"
	pem := concat("", ["-----BEGIN ", "RSA PRIVATE KEY-----", body, "-----END RSA ", "PRIVATE KEY-----"])
	cut(concat("", ["a ", pem, " b"])) == {{"kind": "redact", "texts": [pem], "replacement": "[secret]"}}
	open := concat("", ["-----BEGIN ", "PRIVATE KEY-----", body])
	cut(open) == {{"kind": "redact", "texts": [open], "replacement": "[secret]"}}
}

test_members_of_results_whose_names_say_so_are_cut if {
	cut({"users": [{"name": "eva", "Password": "x"}]}) == {{"kind": "redact", "fields": ["result.users.0.Password"]}}
	cut({"a.b": {"pin": 5}}) == {{"kind": "redact", "fields": ["result"]}}
	cut({"password": "", "name": "password"}) == set()
}

test_results_with_secrets_are_denied_or_kept_where_that_is_said if {
	asked := {"kind": "result", "result": {"password": "x"}}
	denials := secrets.deny with input as asked with data.secrets as {"results": "deny"}
	denials == {"the result holds a secret"}
	none := secrets.deny with input as asked with data.secrets as {"results": "keep"}
	none == set()
	duties := secrets.oblige with input as asked with data.secrets as {"results": "keep"}
	duties == set()
}

test_an_empty_value_is_no_secret if {
	masked("log_in", {"password": "", "pin": null}) == set()
	denied("send", {"password": ""}) == set()
}

test_a_name_that_is_no_path_masks_all_arguments if {
	masked("log_in", {"a.password": "x", "b": {"password": "x"}}) == {"args.b"}
	masked("log_in", {"a.b": {"password": "x"}}) == {"args"}
	masked("log_in", {"*": {"password": "x"}}) == {"args"}
}

test_plain_text_is_no_secret if {
	every text in ["the password was changed", "https://example.com/a:b@c", "ask eva", "risk-averse-people-everywhere", "sk-1"] {
		denied("send", {"body": text}) == set()
		masked("send", {"body": text}) == set()
	}
}

test_without_settings_no_tool_is_inside if {
	reasons := secrets.deny with input as request("log_in", {"password": "x"}) with data.secrets as {}
	reasons == {"the argument password holds a secret, which may get out"}
}

test_misspelt_settings_deny if {
	misset([]) == {"the settings data.secrets are not an object"}
	misset({"insides": []}) == {"the setting data.secrets.insides is unknown or of the wrong type"}
	misset({"inside": "log_in"}) == {"the setting data.secrets.inside is unknown or of the wrong type"}
	misset({"results": "hide"}) == {"the setting data.secrets.results is neither cut, deny nor keep"}
	misset({"inside": [1]}) == {"the setting data.secrets.inside is not a list of texts"}
}
