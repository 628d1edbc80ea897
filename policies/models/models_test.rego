package openclaw.policies.models_test

import rego.v1

import data.openclaw.policies.models

settings := {"models": ["acme/small-1", "house/*"], "sites": ["eu"], "agents": {"lab": ["acme/large-1"]}}

request(agent, provider, name, sites) := {
	"kind": "model",
	"principal": {"agent": agent},
	"model": {"provider": provider, "name": name, "sites": sites},
}

may_by(set_to, asked) if {
	models.allow with input as asked with data.models as set_to
	denied_by(set_to, asked) == set()
}

may(agent, provider, name, sites) if may_by(settings, request(agent, provider, name, sites))

denied_by(set_to, asked) := reasons if {
	reasons := models.deny with input as asked with data.models as set_to
}

denied(agent, provider, name, sites) := denied_by(settings, request(agent, provider, name, sites))

misset(value) := denied_by(value, {"kind": "tool"})

test_listed_models_are_called if {
	may("desk", "acme", "small-1", ["eu"])
	may("desk", "house", "anything", ["eu"])
	may("lab", "acme", "large-1", ["eu"])
}

test_other_models_are_not if {
	reason := {"this model is not on the list"}
	denied("desk", "acme", "large-1", ["eu"]) == reason
	denied("lab", "acme", "small-1", ["eu"]) == reason
	denied("desk", "other", "small-1", ["eu"]) == reason
	denied("desk", "acme/small-1", "", ["eu"]) == reason
	not may("desk", "acme", "large-1", ["eu"])
}

routed(set_to, asked) := duties if {
	duties := models.oblige with input as asked with data.models as set_to
}

test_a_model_runs_at_the_sites_that_are_named if {
	routed(settings, request("desk", "acme", "small-1", ["eu", "us"])) == {{"kind": "route", "sites": ["eu"]}}
	routed(settings, request("desk", "acme", "small-1", [])) == {{"kind": "route", "sites": ["eu"]}}
	routed(settings, {"kind": "tool", "tool": {"name": "x"}}) == set()
	routed({"models": ["acme/small-1"]}, request("desk", "acme", "small-1", [])) == set()
}

test_without_sites_it_runs_anywhere if {
	may_by({"models": ["acme/small-1"]}, request("desk", "acme", "small-1", []))
}

test_without_settings_no_model_is_called if {
	denied_by({}, request("desk", "acme", "small-1", ["eu"])) == {"this model is not on the list"}
}

test_tools_are_not_its_business if {
	misset(settings) == set()
	not may_by(settings, {"kind": "tool", "model": {"provider": "acme", "name": "small-1", "sites": ["eu"]}})
}

test_misspelt_settings_deny if {
	misset([]) == {"the settings data.models are not an object"}
	misset({"model": []}) == {"the setting data.models.model is unknown or of the wrong type"}
	misset({"sites": "eu"}) == {"the setting data.models.sites is unknown or of the wrong type"}
	misset({"models": [1]}) == {"the setting data.models.models is not a list of texts"}
	misset({"agents": {"lab": "x"}}) == {"the setting data.models.agents.lab is not a list"}
}
