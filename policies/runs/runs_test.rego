package openclaw.policies.runs_test

import rego.v1

import data.openclaw.policies.runs

settings := {
	"deny": {"repeats": 3, "calls": 10, "steps": 20, "seconds": 60},
	"ask": {"calls": 5},
	"again": ["wait"],
}

start := {"id": "run-1", "step": 1, "calls": 0, "repeats": 0, "elapsed_s": 0}

request(kind, name, run) := {"kind": kind, "tool": {"name": name, "args": {}}, "run": object.union(start, run)}

denied_by(value, asked) := reasons if {
	reasons := runs.deny with input as asked with data.runs as value
}

denied(asked) := denied_by(settings, asked)

asked_about(asked) := reasons if {
	reasons := runs.ask with input as asked with data.runs as settings
}

misset(value) := denied_by(value, request("tool", "look", {}))

test_the_same_call_passes_so_often_and_no_more if {
	denied(request("tool", "look", {"repeats": 2})) == set()
	denied(request("tool", "look", {"repeats": 3})) == {"a run may have at most 3 equal calls"}
}

test_a_tool_that_waits_may_repeat_itself_within_the_number_of_calls if {
	denied(request("tool", "wait", {"repeats": 9, "calls": 9})) == set()
	denied(request("tool", "wait", {"repeats": 10, "calls": 10})) == {"a run may have at most 10 calls"}
}

test_calls_ask_before_they_are_denied if {
	asked_about(request("tool", "look", {"calls": 4})) == set()
	asked_about(request("handoff", "transfer", {"calls": 5})) == {"after 5 calls a person is asked"}
	denied(request("handoff", "transfer", {"calls": 10})) == {"a run may have at most 10 calls"}
}

test_steps_and_seconds_hold_for_models_too if {
	denied(request("model", "m", {"step": 20, "elapsed_s": 60, "calls": 99})) == set()
	denied(request("model", "m", {"step": 21, "elapsed_s": 61})) == {
		"a run may have at most 20 steps",
		"a run may have at most 60 seconds",
	}
}

test_a_result_is_of_a_call_that_has_passed if {
	denied(request("result", "look", {"step": 99, "elapsed_s": 99, "calls": 99, "repeats": 99})) == set()
}

test_a_run_that_does_not_say_is_denied if {
	denied_by({"deny": {"calls": 3}}, {"kind": "tool", "tool": {"name": "look"}}) == {"the run does not say how many calls it has"}
	denied_by({"deny": {}, "ask": {"steps": 3}}, request("tool", "look", {"step": "1"})) == {"the run does not say how many steps it has"}
}

test_without_settings_the_usual_limits_hold if {
	denied_by({}, request("tool", "look", {"repeats": 4, "calls": 199, "step": 300, "elapsed_s": 3600})) == set()
	denied_by({}, request("tool", "look", {"repeats": 5})) == {"a run may have at most 5 equal calls"}
	asked := runs.ask with input as request("tool", "look", {"repeats": 9}) with data.runs as {}
	asked == set()
}

test_misspelt_settings_deny if {
	misset([]) == {"the settings data.runs are not an object"}
	misset({"limit": {}}) == {"the setting data.runs.limit is unknown or of the wrong type"}
	misset({"deny": {"step": 5}}) & {"the setting data.runs.deny.step is no limit or not a number from 0"} != set()
	misset({"ask": {"calls": "5"}}) & {"the setting data.runs.ask.calls is no limit or not a number from 0"} != set()
	misset({"deny": {"calls": -1}}) & {"the setting data.runs.deny.calls is no limit or not a number from 0"} != set()
	misset({"again": [5]}) == {"the setting data.runs.again is not a list of texts"}
}
