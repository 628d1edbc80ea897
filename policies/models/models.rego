# METADATA
# title: Models
# description: |
#   Which models may be called, by provider and name, and where they may run. It allows the calls of those on the list. If
#   sites are named, a call runs at these alone (obligation `route`): a model that may run elsewhere, or of which no site is
#   known, is not called, and the agent's next alternative is.
# custom:
#   owasp: [ASI04]
#   ai_act: [Article 15]
#   settings:
#     models: "models that may be called: provider/name, or provider/* for all of a provider; absent: none"
#     sites: "where they may run, such as eu; absent: anywhere"
#     agents: "models of single agents, instead of all these: {agent: [model]}"
package openclaw.policies.models

import rego.v1

shape := {"models": "array", "sites": "array", "agents": "object"}

default settings := {}

settings := data.models if is_object(data.models)

models := settings.agents[input.principal.agent] if {
	has_own
} else := object.get(settings, "models", [])

has_own if is_array(settings.agents[input.principal.agent])

on_list if concat("/", [input.model.provider, input.model.name]) in models

on_list if concat("/", [input.model.provider, "*"]) in models

allow if {
	input.kind == "model"
	on_list
}

oblige contains {"kind": "route", "sites": settings.sites} if {
	input.kind == "model"
	is_array(settings.sites)
}

deny contains "this model is not on the list" if {
	input.kind == "model"
	not on_list
}

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)

mapped(value) := value if is_object(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.models are not an object" if {
	value := data.models
	not is_object(value)
}

deny contains sprintf("the setting data.models.%v is unknown or of the wrong type", [key]) if {
	some key, value in settings
	not type_name(value) == shape[key]
}

deny contains sprintf("the setting data.models.%v is not a list of texts", [key]) if {
	some key in ["models", "sites"]
	some member in listed(settings[key])
	not is_string(member)
}

deny contains sprintf("the setting data.models.agents.%v is not a list", [agent]) if {
	some agent, members in mapped(settings.agents)
	not is_array(members)
}
