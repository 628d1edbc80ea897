# METADATA
# title: Run limits
# description: |
#   Ends runs that go round in circles: at most so many equal calls (the same tool with the same arguments), calls of any tool,
#   steps of the graph, and seconds. At the limits in `ask` a person is asked, at those in `deny` nothing more is done. The
#   calls are counted on when a run is resumed; the seconds are those since it was started or last resumed. A loop whose
#   arguments change a little each time is found by the number of calls only.
# custom:
#   owasp: [ASI02, ASI08]
#   ai_act: [Article 14, Article 15]
#   settings:
#     deny: "{repeats, calls, steps, seconds}: at most so many pass, each a number from 0; absent: 5 repeats, 200 calls, 300 steps, 3600 seconds"
#     ask: "the same, from where on a person is asked for each; absent: none"
#     again: "names of tools that may be called with the same arguments as often as they like, such as one that waits; absent: none"
package openclaw.policies.runs

import rego.v1

shape := {"deny": "object", "ask": "object", "again": "array"}

usual := {"repeats": 5, "calls": 200, "steps": 300, "seconds": 3600}

words := {"repeats": "equal calls", "calls": "calls", "steps": "steps", "seconds": "seconds"}

default settings := {}

settings := data.runs if is_object(data.runs)

most := object.get(settings, "deny", usual)

deny contains sprintf("a run may have at most %v %v", [limit, words[what]]) if {
	some what, limit in mapped(most)
	number_of[what] > limit
}

ask contains sprintf("after %v %v a person is asked", [limit, words[what]]) if {
	some what, limit in mapped(settings.ask)
	number_of[what] > limit
}

deny contains sprintf("the run does not say how many %v it has", [words[what]]) if {
	some what in limited
	counted[what]
	not known(what)
}

known(what) if is_number(number_of[what])

limited contains what if some what, _ in mapped(most)

limited contains what if some what, _ in mapped(settings.ask)

# With this action. Results are not spoken of, so that nobody has to ask about them: their calls have passed.
number_of["repeats"] := input.run.repeats + 1 if counted.repeats

number_of["calls"] := input.run.calls + 1 if counted.calls

number_of["steps"] := input.run.step if counted.steps

number_of["seconds"] := input.run.elapsed_s if counted.seconds

default tool := ""

tool := input.tool.name if is_string(input.tool.name)

calling if input.kind in {"tool", "handoff"}

acting if input.kind in {"tool", "model", "handoff", "memory"}

counted["calls"] if calling

counted["repeats"] if {
	calling
	not tool in repeated
}

counted["steps"] if acting

counted["seconds"] if acting

repeated contains name if some name in listed(settings.again)

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)

mapped(value) := value if is_object(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.runs are not an object" if {
	value := data.runs
	not is_object(value)
}

deny contains sprintf("the setting data.runs.%v is unknown or of the wrong type", [key]) if {
	some key, value in settings
	not type_name(value) == shape[key]
}

deny contains sprintf("the setting data.runs.%v.%v is no limit or not a number from 0", [key, what]) if {
	some key in ["deny", "ask"]
	some what, limit in mapped(settings[key])
	not usable(what, limit)
}

deny contains "the setting data.runs.again is not a list of texts" if {
	some name in listed(settings.again)
	not is_string(name)
}

usable(what, limit) if {
	words[what]
	is_number(limit)
	limit >= 0
}
